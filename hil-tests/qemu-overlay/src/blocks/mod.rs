//! Register models of the blocks that a stock machine lacks. Plain Rust, no QEMU in here.
//! Names and offsets as in ST RM0090, for an STM32F405; in [`l4`] as in RM0351, for an STM32L476; in [`nrf`] an nRF52840's,
//! in [`rp`] an RP2350's.

pub mod cells;
pub mod control;
pub mod flash;
pub mod flash_info;
pub mod gpio;
pub mod iwdg;
pub mod l4;
pub mod late;
pub mod nrf;
pub mod options;
pub mod rcc;
pub mod rp;
pub mod spi;
pub mod watchdog;

pub use cells::{Cells, Lock};
pub use control::{
    Clocks, FlashControl, Link, MachineUart, Noise, Port, ResetCause, Rx, SpiMaster, Ticked, Timer,
};
pub use flash::Flash;
pub use flash_info::FlashInfo;
pub use gpio::Gpio;
pub use iwdg::Iwdg;
pub use options::Options;
pub use rcc::Rcc;
pub use spi::Spi;
pub use watchdog::{Countdown, Kicks, Watchdog};

/// A bank of plain 32-bit registers, with byte and half-word access as on the bus.
#[derive(Debug, Clone)]
pub struct Words<const N: usize>([u32; N]);

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Words<N> {
    /// The register that contains byte `offset`; 0 past the end.
    #[must_use]
    pub fn get(&self, offset: u32) -> u32 {
        usize::try_from(offset >> 2)
            .ok()
            .and_then(|at| self.0.get(at).copied())
            .unwrap_or(0)
    }

    /// Sets the register that contains byte `offset`.
    pub fn set(&mut self, offset: u32, value: u32) {
        if let Some(word) = usize::try_from(offset >> 2)
            .ok()
            .and_then(|at| self.0.get_mut(at))
        {
            *word = value;
        }
    }
}

/// The `size` bytes at `offset` within its 32-bit register.
#[must_use]
pub fn narrow(word: u32, offset: u32, size: u32) -> u32 {
    let shifted = word
        .checked_shr((offset & 3).saturating_mul(8))
        .unwrap_or(0);
    match size {
        1 => shifted & 0xFF,
        2 => shifted & 0xFFFF,
        _ => shifted,
    }
}

/// `old` with the `size` bytes at `offset` replaced by `value`.
#[must_use]
pub fn merge(old: u32, offset: u32, size: u32, value: u32) -> u32 {
    let mask: u32 = match size {
        1 => 0xFF,
        2 => 0xFFFF,
        _ => u32::MAX,
    };
    let shift = (offset & 3).saturating_mul(8);
    let mask = mask.checked_shl(shift).unwrap_or(0);
    let value = value.checked_shl(shift).unwrap_or(0);
    (old & !mask) | (value & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_half_words_reach_their_part_of_a_register() {
        assert_eq!(narrow(0x1122_3344, 2, 1), 0x22);
        assert_eq!(narrow(0x1122_3344, 2, 2), 0x1122);
        assert_eq!(merge(0x1122_3344, 1, 1, 0xAB), 0x1122_AB44);
        assert_eq!(merge(0x1122_3344, 0, 4, 0xCAFE_F00D), 0xCAFE_F00D);
    }
}
