//! One GPIO port: modes, output levels, alternate functions. `[RM0090] 8.4`, `[RM0351] 8.5`

use super::{Port, Words, merge, narrow};

const MODER: u32 = 0x00;
const PUPDR: u32 = 0x0C;
const IDR: u32 = 0x10;
const ODR: u32 = 0x14;
const BSRR: u32 = 0x18;
const AFRL: u32 = 0x20;
const AFRH: u32 = 0x24;

const OUTPUT: u32 = 1;
const ALTERNATE: u32 = 2;
const ANALOG: u32 = 3;

/// What a port's registers hold after a reset, where that is not zero.
#[derive(Debug, Clone, Copy)]
pub struct AtReset {
    moder: u32,
    pupdr: u32,
}

impl AtReset {
    /// Modes and pulls.
    #[must_use]
    pub const fn new(moder: u32, pupdr: u32) -> Self {
        Self { moder, pupdr }
    }
}

/// A port.
#[derive(Debug)]
pub struct Gpio {
    words: Words<10>,
    at_reset: AtReset,
}

impl Gpio {
    /// A port in its reset state.
    #[must_use]
    pub fn new(at_reset: AtReset) -> Self {
        let mut gpio = Self {
            words: Words::default(),
            at_reset,
        };
        gpio.reset();
        gpio
    }

    fn mode(&self, pin: u8) -> u32 {
        two_bits(self.words.get(MODER), pin)
    }

    fn level(&self, pin: u8) -> bool {
        // An analog pin's input is cut off.
        self.mode(pin) != ANALOG
            && self
                .driven(pin)
                .unwrap_or_else(|| two_bits(self.words.get(PUPDR), pin) == 1)
    }
}

impl Port for Gpio {
    /// No pin drives anything then but the debug port's.
    fn reset(&mut self) {
        self.words = Words::default();
        self.words.set(MODER, self.at_reset.moder);
        self.words.set(PUPDR, self.at_reset.pupdr);
    }

    fn driven(&self, pin: u8) -> Option<bool> {
        (self.mode(pin) == OUTPUT).then(|| bit(self.words.get(ODR), pin))
    }

    fn is_alternate(&self, pin: u8, function: u32) -> bool {
        let register = if pin < 8 { AFRL } else { AFRH };
        let selected = self
            .words
            .get(register)
            .checked_shr(u32::from(pin & 7).saturating_mul(4))
            .unwrap_or(0)
            & 0xF;
        self.mode(pin) == ALTERNATE && selected == function
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            IDR => (0..16u8)
                .filter(|pin| self.level(*pin))
                .fold(0, |acc, pin| {
                    acc | 1u32.checked_shl(u32::from(pin)).unwrap_or(0)
                }),
            BSRR => 0,
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        match offset & !3 {
            IDR => {}
            BSRR => {
                let word = merge(0, offset, size, value);
                let (set, clear) = (word & 0xFFFF, word >> 16);
                // Where both are asked for, the set wins.
                self.words.set(ODR, (self.words.get(ODR) & !clear) | set);
            }
            _ => {
                let word = merge(self.words.get(offset), offset, size, value);
                self.words.set(offset, word);
            }
        }
    }
}

fn bit(word: u32, pin: u8) -> bool {
    word.checked_shr(u32::from(pin)).unwrap_or(0) & 1 != 0
}

fn two_bits(word: u32, pin: u8) -> u32 {
    word.checked_shr(u32::from(pin).saturating_mul(2))
        .unwrap_or(0)
        & 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_drives_nothing_until_it_is_an_output() {
        let mut port = Gpio::new(AtReset::new(0xA800_0000, 0x6400_0000));
        port.write(BSRR, 4, 0x0010_0000);
        assert_eq!(port.driven(4), None);
        port.write(MODER, 4, 0xA800_0000 | (1 << 8));
        assert_eq!(port.driven(4), Some(false));
        port.write(BSRR, 4, 0x0000_0010);
        assert_eq!(port.driven(4), Some(true));
        assert_eq!(port.read(IDR, 4) & 0x10, 0x10);
        port.write(BSRR + 2, 2, 0x0010);
        assert_eq!(port.driven(4), Some(false));
    }

    #[test]
    fn an_alternate_function_needs_mode_and_number() {
        let mut port = Gpio::new(AtReset::new(0xA800_0000, 0x6400_0000));
        port.write(AFRL, 4, 5 << 20);
        assert!(!port.is_alternate(5, 5));
        port.write(MODER, 4, 2 << 10);
        assert!(port.is_alternate(5, 5));
        assert!(!port.is_alternate(5, 7));
    }
}
