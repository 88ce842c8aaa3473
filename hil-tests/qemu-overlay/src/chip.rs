//! Which chip the overlay makes of the machine, and where its blocks are.
//!
//! Both have the core, the interrupt numbers and the memory of the machine's own STM32F405: 1 MiB of flash at 0x0800_0000
//! and RAM at 0x2000_0000. What differs are the blocks, and the STM32L476 has its own USART, too ([`crate::blocks::l4`]).

use crate::blocks::{flash, flash_info, gpio, l4};

/// A chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chip {
    /// The machine's own. `[RM0090]`
    #[default]
    Stm32f405,
    /// The low-power one of the same core. `[RM0351]`
    Stm32l476,
}

/// A block of registers, or a piece of the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Reset and clock control.
    Rcc,
    /// Power control.
    Pwr,
    /// Flash controller.
    Flash,
    /// The part of the flash that the board writes.
    Settings,
    /// The part of the flash with the provisioning record; laid over the machine's only where the board shall write it,
    /// since what QEMU loads there would be hidden.
    Record,
    /// A port, 0 = A.
    Gpio(u8),
    /// The TPM's bus.
    Spi1,
    /// The link, by other registers than the machine's USART2 has.
    Usart2,
    /// The random number generator.
    Noise,
    /// Unique id and flash size.
    FlashInfo,
    /// The watchdog.
    Watchdog,
}

/// Bytes of address space of a block of registers.
const REGISTERS: u64 = 0x400;

impl Chip {
    /// Every chip.
    pub const ALL: [Self; 2] = [Self::Stm32f405, Self::Stm32l476];

    /// Its name, as the argument `chip` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stm32f405 => "stm32f405",
            Self::Stm32l476 => "stm32l476",
        }
    }

    /// The chip of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chip| chip.name() == name)
    }

    /// How many GPIO ports there are, from A on.
    #[must_use]
    pub const fn ports(self) -> u8 {
        match self {
            Self::Stm32f405 => 9,
            Self::Stm32l476 => 8,
        }
    }

    /// The state of a port after a reset.
    #[must_use]
    pub const fn port_at_reset(self, port: u8) -> gpio::AtReset {
        match (self, port) {
            (Self::Stm32f405, 0) => gpio::AtReset::new(0xA800_0000, 0x6400_0000),
            (Self::Stm32f405, 1) => gpio::AtReset::new(0x0000_0280, 0x0000_0100),
            (Self::Stm32f405, _) => gpio::AtReset::new(0, 0),
            // Analog, but for the debug port's pins.
            (Self::Stm32l476, 0) => gpio::AtReset::new(0xABFF_FFFF, 0x6400_0000),
            (Self::Stm32l476, 1) => gpio::AtReset::new(0xFFFF_FEBF, 0x0000_0100),
            (Self::Stm32l476, 7) => gpio::AtReset::new(0x0000_000F, 0),
            (Self::Stm32l476, _) => gpio::AtReset::new(0xFFFF_FFFF, 0),
        }
    }

    /// Where unique id and flash size are in [`Block::FlashInfo`].
    #[must_use]
    pub const fn factory(self) -> flash_info::Layout {
        match self {
            Self::Stm32f405 => flash_info::Layout::STM32F405,
            Self::Stm32l476 => flash_info::Layout::STM32L476,
        }
    }

    /// Address and size of a block in the machine's memory; `None` where the machine's own serves, or there is none.
    /// `[RM0090] table 1`, `[RM0351] 2.2.2`
    #[must_use]
    pub fn place(self, block: Block) -> Option<(u64, u64)> {
        let port = |base: u64, number: u8| {
            let offset = u64::from(number).saturating_mul(REGISTERS);
            (base.saturating_add(offset), REGISTERS)
        };
        Some(match (self, block) {
            (_, Block::Spi1) => (0x4001_3000, REGISTERS),
            (_, Block::Watchdog) => (0x4000_3000, REGISTERS),
            (Self::Stm32f405, Block::Rcc) => (0x4002_3800, REGISTERS),
            (Self::Stm32f405, Block::Pwr) => (0x4000_7000, REGISTERS),
            (Self::Stm32f405, Block::Flash) => (0x4002_3C00, REGISTERS),
            (Self::Stm32f405, Block::Settings) => (flash::BASE, flash::SETTINGS_LEN as u64),
            (Self::Stm32f405, Block::Record) => (flash::RECORD_BASE, flash::SECTOR as u64),
            (Self::Stm32f405, Block::Gpio(number)) => port(0x4002_0000, number),
            (Self::Stm32f405, Block::FlashInfo) => (0x1FFF_7800, REGISTERS),
            (Self::Stm32f405, Block::Usart2 | Block::Noise) => return None,
            (Self::Stm32l476, Block::Rcc) => (0x4002_1000, REGISTERS),
            (Self::Stm32l476, Block::Flash) => (0x4002_2000, REGISTERS),
            (Self::Stm32l476, Block::Settings) => (l4::flash::BASE, l4::flash::SETTINGS_LEN as u64),
            (Self::Stm32l476, Block::Record) => {
                (l4::flash::RECORD_BASE, l4::flash::RECORD_LEN as u64)
            }
            (Self::Stm32l476, Block::Gpio(number)) => port(0x4800_0000, number),
            (Self::Stm32l476, Block::Usart2) => (0x4000_4400, REGISTERS),
            (Self::Stm32l476, Block::Noise) => (0x5006_0800, REGISTERS),
            (Self::Stm32l476, Block::FlashInfo) => (0x1FFF_7500, 0x100),
            // The image leaves the regulator as it is after a reset.
            (Self::Stm32l476, Block::Pwr) => return None,
        })
    }

    /// Every block that is laid over the machine: with address and size.
    pub fn blocks(self) -> impl Iterator<Item = (Block, u64, u64)> {
        [
            Block::Rcc,
            Block::Pwr,
            Block::Flash,
            Block::Settings,
            Block::Record,
            Block::Spi1,
            Block::Usart2,
            Block::Noise,
            Block::FlashInfo,
            Block::Watchdog,
        ]
        .into_iter()
        .chain((0..self.ports()).map(Block::Gpio))
        .filter_map(move |block| {
            let (base, size) = self.place(block)?;
            Some((block, base, size))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_blocks_of_a_chip_overlap() {
        for chip in Chip::ALL {
            let mut all: Vec<_> = chip.blocks().map(|(_, base, size)| (base, size)).collect();
            all.sort_unstable();
            for pair in all.windows(2) {
                if let [(base, size), (next, _)] = pair {
                    assert!(
                        base + size <= *next,
                        "{}: {base:#x}, {next:#x}",
                        chip.name()
                    );
                }
            }
        }
    }
}
