//! The pins: IO_BANK0 (functions), PADS_BANK0 (drivers, pulls, isolation) and SIO (levels and directions). `[RP2350] 3.1, 9`
//!
//! Three blocks for one set of pins, at [`Pins`]' offsets [`IO`], [`PADS`] and [`SIO`]. A pad that is isolated, as each is after
//! a reset, carries nothing in either direction; the level that a real one holds is not modelled.

use crate::blocks::{Port, Words, narrow};

/// Offset of IO_BANK0.
pub const IO: u32 = 0;
/// Offset of PADS_BANK0.
pub const PADS: u32 = 0x1_0000;
/// Offset of SIO.
pub const SIO: u32 = 0x2_0000;

/// Pins of the RP2350A, the one on a Pico 2.
const COUNT: u8 = 30;

const SIO_FUNCTION: u32 = 5;
/// CTRL: the function, and what overrides its output and its output enable.
const FUNCSEL: u32 = 0x1F;
const OVERRIDES: u32 = 0xF << 12;
const CTRL_RESET: u32 = 0x1F;

/// A pad's bits.
const PUE: u32 = 1 << 3;
const IE: u32 = 1 << 6;
const OD: u32 = 1 << 7;
const ISO: u32 = 1 << 8;
const PAD_RESET: u32 = 0x116;

/// SIO's registers; the three after OUT and OE set, clear and toggle.
const GPIO_IN: u32 = SIO + 0x04;
const GPIO_OUT: u32 = SIO + 0x10;
const GPIO_OUT_SET: u32 = SIO + 0x18;
const GPIO_OUT_CLR: u32 = SIO + 0x20;
const GPIO_OUT_XOR: u32 = SIO + 0x28;
const GPIO_OE: u32 = SIO + 0x30;
const GPIO_OE_SET: u32 = SIO + 0x38;
const GPIO_OE_CLR: u32 = SIO + 0x40;
const GPIO_OE_XOR: u32 = SIO + 0x48;

/// The pins.
#[derive(Debug, Clone)]
pub struct Pins {
    /// CTRL of each.
    control: Words<32>,
    pads: Words<32>,
    out: u32,
    enabled: u32,
}

impl Default for Pins {
    fn default() -> Self {
        let mut pins = Self {
            control: Words::default(),
            pads: Words::default(),
            out: 0,
            enabled: 0,
        };
        pins.block_reset();
        pins
    }
}

fn word_of(pin: u8) -> u32 {
    u32::from(pin).saturating_mul(4)
}

fn bit(pin: u8) -> u32 {
    1u32.checked_shl(u32::from(pin)).unwrap_or(0)
}

impl Pins {
    fn pad(&self, pin: u8) -> u32 {
        self.pads.get(word_of(pin))
    }

    fn level(&self, pin: u8) -> bool {
        self.is_input(pin) && self.driven(pin).unwrap_or(self.pad(pin) & PUE != 0)
    }
}

impl Port for Pins {
    fn reset(&mut self) {
        *self = Self::default();
    }

    /// SIO is in no reset but the core's.
    fn block_reset(&mut self) {
        for pin in 0..COUNT {
            self.control.set(word_of(pin), CTRL_RESET);
            self.pads.set(word_of(pin), PAD_RESET);
        }
    }

    fn driven(&self, pin: u8) -> Option<bool> {
        let is_output = self.is_alternate(pin, SIO_FUNCTION) && self.enabled & bit(pin) != 0;
        is_output.then_some(self.out & bit(pin) != 0)
    }

    fn is_alternate(&self, pin: u8, function: u32) -> bool {
        let control = self.control.get(word_of(pin));
        pin < COUNT
            && control & (FUNCSEL | OVERRIDES) == function
            && self.pad(pin) & (OD | ISO) == 0
    }

    fn is_input(&self, pin: u8) -> bool {
        pin < COUNT && self.pad(pin) & (IE | ISO) == IE
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            GPIO_IN => (0..COUNT)
                .filter(|pin| self.level(*pin))
                .fold(0, |word, pin| word | bit(pin)),
            GPIO_OUT => self.out,
            GPIO_OE => self.enabled,
            at if at >= SIO => 0,
            at if at > PADS => self.pads.get(at.saturating_sub(PADS).saturating_sub(4)),
            at if at < PADS && at & 4 != 0 => self.control.get(at >> 1 & !3),
            _ => 0,
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, _: u32, value: u32) {
        match offset & !3 {
            GPIO_OUT => self.out = value,
            GPIO_OUT_SET => self.out |= value,
            GPIO_OUT_CLR => self.out &= !value,
            GPIO_OUT_XOR => self.out ^= value,
            GPIO_OE => self.enabled = value,
            GPIO_OE_SET => self.enabled |= value,
            GPIO_OE_CLR => self.enabled &= !value,
            GPIO_OE_XOR => self.enabled ^= value,
            at if at >= SIO => {}
            at if at > PADS => {
                let at = at.saturating_sub(PADS).saturating_sub(4);
                if at < word_of(COUNT) {
                    self.pads.set(at, value);
                }
            }
            at if at < PADS && at & 4 != 0 && at < word_of(COUNT).saturating_mul(2) => {
                self.control.set(at >> 1 & !3, value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CS: u8 = 17;
    const CTRL: u32 = IO + 17 * 8 + 4;
    const PAD: u32 = PADS + 4 + 17 * 4;

    #[test]
    fn a_pin_drives_with_its_function_its_direction_and_a_pad_that_is_not_isolated() {
        let steps = [(CTRL, 5), (PAD, IE), (GPIO_OE_SET, bit(CS))];
        for left_out in 0..=steps.len() {
            let mut pins = Pins::default();
            for (nth, (at, value)) in steps.into_iter().enumerate() {
                if nth != left_out {
                    pins.write(at, 4, value);
                }
            }
            assert_eq!(pins.driven(CS).is_some(), left_out == 3, "{left_out}");
        }
    }

    #[test]
    fn levels_are_set_cleared_and_toggled_alone() {
        let mut pins = Pins::default();
        for (at, value) in [(CTRL, 5), (PAD, IE), (GPIO_OE_SET, bit(CS))] {
            pins.write(at, 4, value);
        }
        pins.write(GPIO_OUT_SET, 4, bit(CS) | 1);
        assert_eq!(
            (pins.driven(CS), pins.read(GPIO_OUT, 4)),
            (Some(true), bit(CS) | 1)
        );
        pins.write(GPIO_OUT_XOR, 4, bit(CS));
        assert_eq!((pins.driven(CS), pins.read(GPIO_OUT, 4)), (Some(false), 1));
        pins.write(GPIO_OUT_XOR, 4, bit(CS));
        assert_eq!(pins.read(GPIO_IN, 4), bit(CS));
        pins.block_reset();
        assert_eq!(
            (pins.driven(CS), pins.read(GPIO_OUT, 4)),
            (None, bit(CS) | 1)
        );
    }

    #[test]
    fn an_input_is_pulled_or_low_and_reads_nothing_while_isolated() {
        let mut pins = Pins::default();
        pins.write(PAD, 4, IE | PUE | ISO);
        assert!(!pins.is_input(CS) && pins.read(GPIO_IN, 4) == 0);
        pins.write(PAD, 4, IE | PUE);
        assert_eq!(pins.read(GPIO_IN, 4), bit(CS));
        pins.write(PAD, 4, PUE);
        assert!(!pins.is_input(CS), "its buffer is off");
    }
}
