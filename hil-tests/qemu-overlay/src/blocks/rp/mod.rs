//! The blocks of an RP2350 that QEMU lacks. Names and offsets as in Raspberry Pi's data sheet of the RP2350.
//!
//! Below [`Uart`] is QEMU's own PL011. A block that is held in reset answers with a bus fault ([`crate::board`] asks
//! [`System`]), and each block of the peripherals' bus lies there four times, three of them to change single bits
//! ([`aliased`]).

pub mod pins;
pub mod rom;
pub mod spi;
pub mod system;
pub mod timer;
pub mod trng;
pub mod uart;
pub mod watchdog;
pub mod xip;

pub use pins::Pins;
pub use spi::Spi;
pub use system::System;
pub use timer::{ALARM, Timer};
pub use trng::Trng;
pub use uart::Uart;
pub use watchdog::Dog;
pub use xip::Xip;

use crate::args::Pin;

/// Bytes of a block on the peripherals' bus, with its three aliases.
pub const REGISTERS: u64 = 0x4000;

/// What resets and clocks the others, beside RESETS itself. `[RP2350] 2.2.4`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// CLOCKS.
    Clocks,
    /// The power-on state machine, PSM.
    Psm,
    /// The crystal's oscillator.
    Xosc,
    /// The PLL of the core's clock.
    PllSys,
    /// The tick generators.
    Ticks,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Clocks,
        Self::Psm,
        Self::Xosc,
        Self::PllSys,
        Self::Ticks,
    ];

    /// Its address.
    #[must_use]
    pub const fn base(self) -> u64 {
        match self {
            Self::Clocks => 0x4001_0000,
            Self::Psm => 0x4001_8000,
            Self::Xosc => 0x4004_8000,
            Self::PllSys => 0x4005_0000,
            Self::Ticks => 0x4010_8000,
        }
    }

    /// Where its register at `offset` is for [`System`], which takes them all; below are those of RESETS.
    #[must_use]
    pub const fn at(self, offset: u32) -> u32 {
        let nth: u32 = match self {
            Self::Clocks => 1,
            Self::Psm => 2,
            Self::Xosc => 3,
            Self::PllSys => 4,
            Self::Ticks => 5,
        };
        nth << 16 | offset
    }
}

/// The pins of SPI0 that the TPM is wired to: SCK, MISO, MOSI.
pub const TPM_PINS: [u8; 3] = [18, 16, 19];
/// The pins of UART0 that the link is wired to: TX, RX.
pub const LINK_PINS: [u8; 2] = [0, 1];
/// A pin's function, SPI. `[RP2350] 9.4`
pub const SPI: u32 = 1;
/// A pin's function, UART.
pub const UART: u32 = 2;

/// The register at `offset` of a block with aliases, and the bits that a write of `value` leaves there. `[RP2350] 2.1.3`
///
/// A write of less than a word is one of the whole word with the value in each lane. `[RP2350] 2.1.5`
#[must_use]
pub fn aliased(offset: u32, size: u32, value: u32, old: impl FnOnce(u32) -> u32) -> (u32, u32) {
    let at = offset & 0xFFC;
    let value = match size {
        1 => (value & 0xFF).saturating_mul(0x0101_0101),
        2 => (value & 0xFFFF).saturating_mul(0x0001_0001),
        _ => value,
    };
    let left = match offset >> 12 {
        0 => value,
        1 => old(at) ^ value,
        2 => old(at) | value,
        _ => old(at) & !value,
    };
    (at, left)
}

/// A pin of the one bank that has its pads on a Pico.
#[must_use]
pub const fn pin(number: u8) -> Pin {
    Pin { port: 0, number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_toggles_sets_or_clears_and_a_narrow_write_fills_the_word() {
        let old = |_| 0b1100;
        assert_eq!(aliased(0x0008, 4, 0b1010, old), (8, 0b1010));
        assert_eq!(aliased(0x1008, 4, 0b1010, old), (8, 0b0110));
        assert_eq!(aliased(0x2008, 4, 0b1010, old), (8, 0b1110));
        assert_eq!(aliased(0x3008, 4, 0b1010, old), (8, 0b0100));
        assert_eq!(aliased(0x0009, 1, 0xA5, old), (8, 0xA5A5_A5A5));
        assert_eq!(aliased(0x000A, 2, 0xA55A, old), (8, 0xA55A_A55A));
    }
}
