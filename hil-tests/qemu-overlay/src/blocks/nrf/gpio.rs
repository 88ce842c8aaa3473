//! One GPIO port: directions, output levels, inputs. `[nRF52840_PS] GPIO`
//!
//! Offsets count from OUT's block at 0x500, where a port's registers begin: those of both ports lie in one page.

use crate::blocks::{Port, Words, merge, narrow};

const OUT: u32 = 0x004;
const OUTSET: u32 = 0x008;
const OUTCLR: u32 = 0x00C;
const IN: u32 = 0x010;
const DIR: u32 = 0x014;
const DIRSET: u32 = 0x018;
const DIRCLR: u32 = 0x01C;
const PIN_CNF: u32 = 0x200;

const CNF_OUTPUT: u32 = 1;
/// PIN_CNF.INPUT: the buffer is disconnected, as after a reset.
const CNF_DISCONNECTED: u32 = 1 << 1;
const CNF_PULL: u32 = 3 << 2;
const CNF_PULL_UP: u32 = 3 << 2;

/// A port.
#[derive(Debug)]
pub struct Gpio {
    out: u32,
    /// PIN_CNF of each pin; bit 0 of it is the pin's bit of DIR.
    pins: Words<32>,
    /// How many of them there are.
    count: u8,
}

impl Gpio {
    /// A port of `count` pins in its reset state.
    #[must_use]
    pub fn new(count: u8) -> Self {
        let mut gpio = Self {
            out: 0,
            pins: Words::default(),
            count,
        };
        gpio.reset();
        gpio
    }

    fn configured(&self, pin: u8) -> u32 {
        self.pins.get(u32::from(pin).saturating_mul(4))
    }

    fn mask(&self) -> u32 {
        let above = 32u32.saturating_sub(u32::from(self.count));
        u32::MAX.checked_shr(above).unwrap_or(0)
    }

    /// A word with the bit of each pin of which `is` is true.
    fn bits(&self, is: impl Fn(u8) -> bool) -> u32 {
        (0..self.count)
            .filter(|pin| is(*pin))
            .fold(0, |word, pin| word | bit(pin))
    }

    fn set_directions(&mut self, pins: u32, output: bool) {
        for pin in (0..self.count).filter(|pin| pins & bit(*pin) != 0) {
            let other = self.configured(pin) & !CNF_OUTPUT;
            let at = u32::from(pin).saturating_mul(4);
            self.pins.set(at, other | u32::from(output));
        }
    }

    fn level(&self, pin: u8) -> bool {
        let pulled_up = self.configured(pin) & CNF_PULL == CNF_PULL_UP;
        self.configured(pin) & CNF_DISCONNECTED == 0 && self.driven(pin).unwrap_or(pulled_up)
    }
}

fn bit(pin: u8) -> u32 {
    1u32.checked_shl(u32::from(pin)).unwrap_or(0)
}

impl Port for Gpio {
    fn reset(&mut self) {
        self.out = 0;
        self.pins = Words::default();
        for pin in 0..32u32 {
            self.pins.set(pin.saturating_mul(4), CNF_DISCONNECTED);
        }
    }

    fn driven(&self, pin: u8) -> Option<bool> {
        let is_output = pin < self.count && self.configured(pin) & CNF_OUTPUT != 0;
        is_output.then_some(self.out & bit(pin) != 0)
    }

    fn is_input(&self, pin: u8) -> bool {
        pin < self.count && self.configured(pin) & (CNF_OUTPUT | CNF_DISCONNECTED) == 0
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            OUT | OUTSET | OUTCLR => self.out,
            IN => self.bits(|pin| self.level(pin)),
            DIR | DIRSET | DIRCLR => self.bits(|pin| self.configured(pin) & CNF_OUTPUT != 0),
            at if at >= PIN_CNF => self.pins.get(at.saturating_sub(PIN_CNF)),
            _ => 0,
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let alone = merge(0, offset, size, value);
        match offset & !3 {
            OUT => self.out = merge(self.out, offset, size, value) & self.mask(),
            OUTSET => self.out |= alone & self.mask(),
            OUTCLR => self.out &= !alone,
            DIR => {
                let outputs = merge(self.read(DIR, 4), offset, size, value);
                self.set_directions(!outputs, false);
                self.set_directions(outputs, true);
            }
            DIRSET => self.set_directions(alone, true),
            DIRCLR => self.set_directions(alone, false),
            at if at >= PIN_CNF => {
                let at = at.saturating_sub(PIN_CNF);
                if at < u32::from(self.count).saturating_mul(4) {
                    let word = merge(self.pins.get(at), offset, size, value);
                    self.pins.set(at, word);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_drives_nothing_until_it_is_an_output() {
        let mut port = Gpio::new(16);
        port.write(OUTSET, 4, 1 << 12);
        assert_eq!(port.driven(12), None);
        port.write(PIN_CNF + 48, 4, CNF_OUTPUT | CNF_DISCONNECTED);
        assert_eq!(port.driven(12), Some(true));
        assert_eq!(port.read(DIR, 4), 1 << 12);
        port.write(OUTCLR, 4, 1 << 12);
        assert_eq!(port.driven(12), Some(false));
        port.write(DIRCLR, 4, 1 << 12);
        assert_eq!(port.driven(12), None);
        port.write(DIRSET, 4, 1 << 12);
        port.reset();
        assert_eq!((port.driven(12), port.read(OUT, 4)), (None, 0));
    }

    #[test]
    fn an_input_counts_once_its_buffer_is_connected() {
        let mut port = Gpio::new(16);
        assert!(!port.is_input(14));
        port.write(PIN_CNF + 56, 4, CNF_PULL_UP);
        assert!(port.is_input(14));
        assert_eq!(port.read(IN, 4), 1 << 14);
        port.write(PIN_CNF + 56, 4, CNF_PULL_UP | CNF_OUTPUT);
        assert!(!port.is_input(14));
        assert_eq!(port.read(IN, 4), 0, "it drives low");
    }

    #[test]
    fn the_second_port_has_sixteen_pins() {
        let mut port = Gpio::new(16);
        port.write(PIN_CNF + 64, 4, CNF_OUTPUT);
        port.write(OUTSET, 4, 1 << 16);
        assert_eq!((port.driven(16), port.read(OUT, 4)), (None, 0));
    }
}
