//! UART0, the one without DMA, in front of QEMU's own model of an nRF51's. `[nRF52840_PS] UART`
//!
//! QEMU's has the registers, the character device and the interrupt. What it does not look at is looked at here: the pins,
//! which must be selected while the UART is off, be the link's, and have their directions. Baud rates are not modelled.

use super::{NO_PIN, selected};
use crate::args::Pin;
use crate::blocks::{Link, MachineUart, Words, merge, narrow};

const ENABLE: u32 = 0x500;
const PSEL_TXD: u32 = 0x50C;
const PSEL_RXD: u32 = 0x514;
const BAUDRATE: u32 = 0x524;
const CONFIG: u32 = 0x56C;

const ENABLED: u32 = 4;

/// The link on the development kit: P0.06 sends, P0.08 receives.
pub const PINS: [Pin; 2] = [Pin { port: 0, number: 6 }, Pin { port: 0, number: 8 }];

/// UART0.
#[derive(Debug)]
pub struct Uart {
    /// What is its own here: ENABLE, and what is fixed while it is enabled.
    words: Words<0x15C>,
}

impl Default for Uart {
    fn default() -> Self {
        let mut words = Words::default();
        for psel in [PSEL_TXD, PSEL_RXD] {
            words.set(psel, NO_PIN);
        }
        words.set(BAUDRATE, 0x0400_0000);
        Self { words }
    }
}

impl Link for Uart {
    fn is_on(&self) -> bool {
        self.words.get(ENABLE) == ENABLED
    }

    fn system_reset(&mut self) {
        *self = Self::default();
    }

    fn reset(&mut self, machine: &mut dyn MachineUart) {
        *self = Self::default();
        machine.write(ENABLE, 0);
    }

    fn pins(&self) -> Option<[Option<Pin>; 2]> {
        Some([PSEL_TXD, PSEL_RXD].map(|psel| selected(self.words.get(psel))))
    }

    fn read(&mut self, offset: u32, size: u32, machine: &mut dyn MachineUart) -> u32 {
        let word = match offset & !3 {
            at @ (ENABLE | PSEL_TXD | PSEL_RXD | BAUDRATE | CONFIG) => self.words.get(at),
            at => machine.read(at),
        };
        narrow(word, offset, size)
    }

    fn write(
        &mut self,
        offset: u32,
        size: u32,
        value: u32,
        is_wired: bool,
        machine: &mut dyn MachineUart,
    ) {
        let word = merge(self.words.get(offset), offset, size, value);
        match offset & !3 {
            ENABLE => {
                self.words.set(ENABLE, word);
                // QEMU's is on from here on, if the pins are what they must be.
                let on = if self.is_on() && is_wired { ENABLED } else { 0 };
                machine.write(ENABLE, on);
            }
            at @ (PSEL_TXD | PSEL_RXD | BAUDRATE | CONFIG) => {
                if !self.is_on() {
                    self.words.set(at, word);
                }
            }
            at => machine.write(at, merge(0, offset, size, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TXD: u32 = 0x51C;

    /// QEMU's: sends while it is on.
    #[derive(Default)]
    struct Machine {
        on: bool,
        sent: Vec<u32>,
    }

    impl MachineUart for Machine {
        fn read(&mut self, offset: u32) -> u32 {
            offset
        }

        fn write(&mut self, offset: u32, value: u32) {
            match offset {
                ENABLE => self.on = value == ENABLED,
                TXD if self.on => self.sent.push(value),
                _ => {}
            }
        }
    }

    #[test]
    fn a_uart_that_was_set_up_sends_and_one_on_other_pins_does_not() {
        for (wired, sent) in [(true, vec![0x42]), (false, vec![])] {
            let (mut uart, mut machine) = (Uart::default(), Machine::default());
            uart.write(TXD, 4, 0x41, wired, &mut machine);
            uart.write(ENABLE, 4, ENABLED, wired, &mut machine);
            uart.write(TXD, 4, 0x42, wired, &mut machine);
            assert_eq!(machine.sent, sent);
            assert_eq!(uart.read(ENABLE, 4, &mut machine), ENABLED);
            assert_eq!(uart.read(0x108, 4, &mut machine), 0x108);
            uart.reset(&mut machine);
            assert!(!machine.on);
        }
    }

    #[test]
    fn the_pins_are_those_that_were_selected_before_it_was_enabled() {
        let (mut uart, mut machine) = (Uart::default(), Machine::default());
        assert_eq!(uart.pins(), Some([None; 2]));
        uart.write(PSEL_TXD, 4, 6, true, &mut machine);
        uart.write(PSEL_RXD, 4, 8, true, &mut machine);
        uart.write(ENABLE, 4, ENABLED, true, &mut machine);
        uart.write(PSEL_TXD, 4, 7, true, &mut machine);
        assert_eq!(uart.pins(), Some(PINS.map(Some)));
    }
}
