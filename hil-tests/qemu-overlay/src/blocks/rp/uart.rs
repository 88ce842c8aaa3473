//! UART0 in front of QEMU's own model of the same PL011. `[RP2350] 12.1`, `[DDI 0183]`
//!
//! QEMU's has the FIFO, the character device and the interrupt, but sends and receives whatever it was set to. What it does
//! not look at is looked at here: that it is on, both ways, with eight bits, a divider that was taken in, and the link's pins.
//! Baud rates are not modelled.

use crate::blocks::{Link, MachineUart, Words, narrow};

const UARTDR: u32 = 0x00;
const UARTFR: u32 = 0x18;
const UARTIBRD: u32 = 0x24;
const UARTFBRD: u32 = 0x28;
const UARTLCR_H: u32 = 0x2C;
const UARTCR: u32 = 0x30;
const UARTIMSC: u32 = 0x38;

/// FR: nothing was received; everything was sent.
const RXFE: u32 = 1 << 4;
const TXFE: u32 = 1 << 7;
/// LCR_H: eight bits; a parity, a second stop bit, a break.
const WLEN_8: u32 = 3 << 5;
const FRAME: u32 = 3 << 5 | 1 << 3 | 1 << 1 | 1 << 0;
/// CR: on, and on each way.
const UARTEN: u32 = 1 << 0;
const TXE: u32 = 1 << 8;
const RXE: u32 = 1 << 9;
const LOOP: u32 = 1 << 7;
const CR_RESET: u32 = TXE | RXE;

/// UART0.
#[derive(Debug)]
pub struct Uart {
    /// What is its own here, beside QEMU's.
    words: Words<0x13>,
    /// The divider, as the last write of LCR_H took it in.
    divider: u32,
    is_wired: bool,
}

impl Default for Uart {
    fn default() -> Self {
        let mut words = Words::default();
        words.set(UARTCR, CR_RESET);
        Self {
            words,
            divider: 0,
            is_wired: false,
        }
    }
}

impl Uart {
    fn does(&self, way: u32) -> bool {
        let on = UARTEN | way;
        self.is_wired
            && self.divider != 0
            && self.words.get(UARTCR) & (on | LOOP) == on
            && self.words.get(UARTLCR_H) & FRAME == WLEN_8
    }

    /// QEMU's interrupts where it is on.
    fn pass_interrupts(&self, machine: &mut dyn MachineUart) {
        let mask = if self.does(RXE) {
            self.words.get(UARTIMSC)
        } else {
            0
        };
        machine.write(UARTIMSC, mask);
    }
}

impl Link for Uart {
    fn is_on(&self) -> bool {
        self.does(RXE)
    }

    fn system_reset(&mut self) {
        *self = Self::default();
    }

    fn reset(&mut self, machine: &mut dyn MachineUart) {
        *self = Self::default();
        for (register, value) in [(UARTIMSC, 0), (UARTLCR_H, 0), (UARTCR, CR_RESET)] {
            machine.write(register, value);
        }
    }

    fn read(&mut self, offset: u32, size: u32, machine: &mut dyn MachineUart) -> u32 {
        let word = match offset & !3 {
            UARTDR | UARTFR if !self.does(RXE) => {
                if offset & !3 == UARTFR {
                    RXFE | TXFE
                } else {
                    0
                }
            }
            at @ (UARTIBRD | UARTFBRD | UARTLCR_H | UARTCR | UARTIMSC) => self.words.get(at),
            at => machine.read(at),
        };
        narrow(word, offset, size)
    }

    fn write(
        &mut self,
        offset: u32,
        _: u32,
        value: u32,
        is_wired: bool,
        machine: &mut dyn MachineUart,
    ) {
        self.is_wired = is_wired;
        match offset & !3 {
            UARTDR if !self.does(TXE) => {}
            at @ (UARTIBRD | UARTFBRD | UARTLCR_H | UARTCR | UARTIMSC) => {
                self.words.set(at, value);
                if at == UARTLCR_H {
                    self.divider = self.words.get(UARTIBRD);
                }
                if at != UARTIMSC {
                    machine.write(at, value);
                }
                self.pass_interrupts(machine);
            }
            at => machine.write(at, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU's: sends and interrupts whatever it was set to.
    #[derive(Default)]
    struct Machine {
        sent: Vec<u32>,
        mask: u32,
    }

    impl MachineUart for Machine {
        fn read(&mut self, offset: u32) -> u32 {
            if offset == UARTDR { 0x55 } else { 0 }
        }

        fn write(&mut self, offset: u32, value: u32) {
            match offset {
                UARTDR => self.sent.push(value),
                UARTIMSC => self.mask = value,
                _ => {}
            }
        }
    }

    const STEPS: [(u32, u32); 4] = [
        (UARTIBRD, 10),
        (UARTLCR_H, WLEN_8 | 1 << 4),
        (UARTIMSC, 0x50),
        (UARTCR, UARTEN | TXE | RXE),
    ];

    fn works(steps: &[(u32, u32)], is_wired: bool) -> (bool, bool, bool) {
        let (mut uart, mut machine) = (Uart::default(), Machine::default());
        for (at, value) in steps {
            uart.write(*at, 4, *value, is_wired, &mut machine);
        }
        uart.write(UARTDR, 4, 0x42, is_wired, &mut machine);
        let received = uart.read(UARTDR, 4, &mut machine) == 0x55;
        (machine.sent == [0x42], received, machine.mask == 0x50)
    }

    #[test]
    fn a_uart_that_was_set_up_works_and_one_on_other_pins_does_not() {
        assert_eq!(works(&STEPS, true), (true, true, true));
        assert_eq!(works(&STEPS, false), (false, false, false));
    }

    #[test]
    fn a_step_that_is_left_out_leaves_it_dead() {
        for left_out in [0, 1, 3] {
            let mut steps = STEPS.to_vec();
            steps.remove(left_out);
            assert_eq!(works(&steps, true), (false, false, false), "{left_out}");
        }
        let [baud, line, mask, on] = STEPS;
        let late = works(&[line, baud, mask, on], true);
        assert_eq!(late, (false, false, false), "a divider that nobody took in");
        let one_way = works(&[baud, line, mask, (UARTCR, UARTEN | TXE)], true);
        assert_eq!(one_way, (true, false, false));
        let parity = works(&[baud, (UARTLCR_H, WLEN_8 | 2), mask, on], true);
        assert_eq!(parity, (false, false, false));
    }
}
