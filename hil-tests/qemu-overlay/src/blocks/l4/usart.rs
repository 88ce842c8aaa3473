//! USART2 by its own registers, over the machine's USART2, which has an STM32F2's. `[RM0351] 40.8`
//!
//! Both are at the same address with the same interrupt, so what the machine's has beside its registers (the character
//! device, the interrupt) serves here as it is. The baud rate is the machine's; a divider below 16, which the real one
//! cannot work with, leaves it off.

use crate::blocks::{Link, MachineUart, Words, merge, narrow};

const CR1: u32 = 0x00;
const BRR: u32 = 0x0C;
const RQR: u32 = 0x18;
const ISR: u32 = 0x1C;
const ICR: u32 = 0x20;
const RDR: u32 = 0x24;
const TDR: u32 = 0x28;

const ENABLE: u32 = 1 << 0;
const RECEIVE: u32 = 1 << 2;
const TRANSMIT: u32 = 1 << 3;
/// RE, TE and the enables of the interrupts: the same bits on both.
const SAME: u32 = 0x1FC;
/// TEACK and REACK.
const TRANSMITS: u32 = 1 << 21;
const RECEIVES: u32 = 1 << 22;
/// RXFRQ: forget what was received.
const FORGET: u32 = 1 << 3;
/// What is ready after a reset: nothing to send, all sent.
const IDLE: u32 = 0xC0;

/// The machine's registers.
const OLD_SR: u32 = 0x00;
const OLD_DR: u32 = 0x04;
const OLD_CR1: u32 = 0x0C;
const OLD_ENABLE: u32 = 1 << 13;

/// USART2.
#[derive(Debug, Default)]
pub struct Usart {
    words: Words<11>,
}

impl Usart {
    fn does(&self, what: u32) -> bool {
        self.is_on() && self.words.get(CR1) & what != 0
    }
}

impl Link for Usart {
    fn is_on(&self) -> bool {
        self.words.get(CR1) & ENABLE != 0 && self.words.get(BRR) >= 16
    }

    fn reset(&mut self, machine: &mut dyn MachineUart) {
        self.words = Words::default();
        machine.write(OLD_CR1, 0);
    }

    fn system_reset(&mut self) {
        self.words = Words::default();
    }

    fn read(&mut self, offset: u32, size: u32, machine: &mut dyn MachineUart) -> u32 {
        let word = match offset & !3 {
            // The low byte's flags are the same on both.
            ISR if self.is_on() => {
                let answers = [(TRANSMIT, TRANSMITS), (RECEIVE, RECEIVES)];
                let on = answers.into_iter().filter(|(what, _)| self.does(*what));
                on.fold(machine.read(OLD_SR) & 0xFF, |word, (_, flag)| word | flag)
            }
            ISR => IDLE,
            RDR if self.does(RECEIVE) => machine.read(OLD_DR) & 0x1FF,
            RDR | RQR | ICR => 0,
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    /// Whether its pins are given to it is not looked at: on this chip the port says so.
    fn write(
        &mut self,
        offset: u32,
        size: u32,
        value: u32,
        _: bool,
        machine: &mut dyn MachineUart,
    ) {
        let word = merge(self.words.get(offset), offset, size, value);
        match offset & !3 {
            CR1 => {
                self.words.set(CR1, word);
                let on = if self.is_on() { OLD_ENABLE } else { 0 };
                machine.write(OLD_CR1, (word & SAME) | on);
            }
            // Fixed while it is on.
            BRR if self.words.get(CR1) & ENABLE != 0 => {}
            RQR if word & FORGET != 0 && self.does(RECEIVE) => {
                machine.read(OLD_DR);
            }
            TDR if self.does(TRANSMIT) => machine.write(OLD_DR, word & 0x1FF),
            // The machine's has no errors to clear.
            RQR | ISR | ICR | RDR | TDR => {}
            _ => self.words.set(offset, word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte is waiting; what is sent and how it was set up is kept.
    #[derive(Default)]
    struct Machine {
        sent: Vec<u32>,
        control: u32,
    }

    impl MachineUart for Machine {
        fn read(&mut self, offset: u32) -> u32 {
            match offset {
                OLD_SR => IDLE | 1 << 5,
                OLD_DR => 0x41,
                _ => 0,
            }
        }

        fn write(&mut self, offset: u32, value: u32) {
            match offset {
                OLD_CR1 => self.control = value,
                OLD_DR => self.sent.push(value),
                _ => {}
            }
        }
    }

    const ALL: u32 = ENABLE | RECEIVE | TRANSMIT | 1 << 5;

    #[test]
    fn a_usart_that_was_set_up_sends_and_receives_by_the_machines() {
        let (mut usart, mut machine) = (Usart::default(), Machine::default());
        usart.write(BRR, 4, 87, true, &mut machine);
        usart.write(CR1, 4, ALL, true, &mut machine);
        assert_eq!(machine.control, OLD_ENABLE | RECEIVE | TRANSMIT | 1 << 5);
        assert_eq!(
            usart.read(ISR, 4, &mut machine),
            IDLE | 1 << 5 | TRANSMITS | RECEIVES
        );
        assert_eq!(usart.read(RDR, 4, &mut machine), 0x41);
        usart.write(TDR, 4, 0x42, true, &mut machine);
        assert_eq!(machine.sent, [0x42]);
        usart.reset(&mut machine);
        assert_eq!(machine.control, 0);
    }

    #[test]
    fn one_that_is_off_or_has_no_divider_or_only_receives_sends_nothing() {
        for (divider, control) in [(87, ALL & !ENABLE), (15, ALL), (87, ALL & !TRANSMIT)] {
            let (mut usart, mut machine) = (Usart::default(), Machine::default());
            usart.write(BRR, 4, divider, true, &mut machine);
            usart.write(CR1, 4, control, true, &mut machine);
            usart.write(TDR, 4, 0x42, true, &mut machine);
            assert!(machine.sent.is_empty(), "{divider} {control:#x}");
        }
    }

    #[test]
    fn the_divider_is_fixed_while_it_is_on() {
        let (mut usart, mut machine) = (Usart::default(), Machine::default());
        usart.write(BRR, 4, 87, true, &mut machine);
        usart.write(CR1, 4, ALL, true, &mut machine);
        usart.write(BRR, 4, 694, true, &mut machine);
        assert_eq!(usart.read(BRR, 4, &mut machine), 87);
    }
}
