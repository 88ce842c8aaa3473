//! Which chip the overlay makes of the machine, and where its blocks are.
//!
//! All have the core of the machine's own STM32F405, at least as many interrupts, RAM at 0x2000_0000 and 1 MiB of flash, which
//! the machine has at 0x0800_0000 and again at 0, where the nRF52840's is. What differs are the blocks: the STM32L476 has its
//! own USART, too ([`crate::blocks::l4`]), the nRF52840 its own of everything ([`crate::blocks::nrf`]).
//!
//! The RP2350 has another core, and so another machine: of that one nothing stays but the core and its interrupt controller,
//! and whatever has no model here answers with a bus fault ([`crate::blocks::rp`]).

use std::ffi::CStr;

use crate::blocks::rp::{self, Part, rom, xip};
use crate::blocks::{Gpio, Port, flash, flash_info, gpio, l4, nrf};

/// A chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chip {
    /// The machine's own. `[RM0090]`
    #[default]
    Stm32f405,
    /// The low-power one of the same core. `[RM0351]`
    Stm32l476,
    /// Nordic's. `[nRF52840_PS]`
    Nrf52840,
    /// Raspberry Pi's, with its Cortex-M33. `[RP2350]`
    Rp2350,
}

/// A block of registers, or a piece of the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Reset and clock control; CLOCK; RESETS.
    Rcc,
    /// Power control.
    Pwr,
    /// Flash controller; with the access control lists of an nRF52840.
    Flash,
    /// The part of the flash that the board writes.
    Settings,
    /// The part of the flash with the provisioning record; laid over the machine's only where the board shall write it,
    /// since what QEMU loads there would be hidden.
    Record,
    /// A port, 0 = A or P0; IO_BANK0.
    Gpio(u8),
    /// The pads of an RP2350's pins.
    Pads,
    /// Its core's registers of their levels, SIO.
    Sio,
    /// What clocks and restarts it, beside RESETS.
    System(Part),
    /// The calls of its boot ROM's stand-in.
    RomCalls,
    /// What an RP2350 has not, or has no model of.
    Nothing,
    /// The TPM's bus.
    Spi1,
    /// The link, by other registers than the machine's USART2 has: USART2, or UART0.
    Uart,
    /// The random number generator.
    Noise,
    /// TIMER0 of an nRF52840 or an RP2350.
    Timer,
    /// Unique id and flash size.
    FlashInfo,
    /// The watchdog.
    Watchdog,
}

/// Memory that the machine has not.
#[derive(Debug, Clone)]
pub struct Memory {
    /// QEMU's name for it.
    pub name: &'static CStr,
    /// Its address.
    pub base: u64,
    /// Its bytes.
    pub len: u64,
    /// What it begins with; the rest is zeros.
    pub content: Vec<u8>,
    /// Whether it is the flash, which the core cannot write, and which is no memory at times.
    pub is_flash: bool,
}

/// Bytes of address space of a block of registers.
const REGISTERS: u64 = 0x400;

impl Chip {
    /// Every chip.
    pub const ALL: [Self; 4] = [
        Self::Stm32f405,
        Self::Stm32l476,
        Self::Nrf52840,
        Self::Rp2350,
    ];

    /// Its name, as the argument `chip` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stm32f405 => "stm32f405",
            Self::Stm32l476 => "stm32l476",
            Self::Nrf52840 => "nrf52840",
            Self::Rp2350 => "rp2350",
        }
    }

    /// The chip of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chip| chip.name() == name)
    }

    /// How many GPIO ports there are, from A or P0 on.
    #[must_use]
    pub const fn ports(self) -> u8 {
        match self {
            Self::Stm32f405 => 9,
            Self::Stm32l476 => 8,
            Self::Nrf52840 => 2,
            Self::Rp2350 => 1,
        }
    }

    /// A port in its state after a reset.
    #[must_use]
    pub fn port(self, port: u8) -> Box<dyn Port> {
        let (modes, pulls) = match (self, port) {
            (Self::Stm32f405, 0) => (0xA800_0000, 0x6400_0000),
            (Self::Stm32f405, 1) => (0x0000_0280, 0x0000_0100),
            (Self::Stm32f405, _) => (0, 0),
            // Analog, but for the debug port's pins.
            (Self::Stm32l476, 0) => (0xABFF_FFFF, 0x6400_0000),
            (Self::Stm32l476, 1) => (0xFFFF_FEBF, 0x0000_0100),
            (Self::Stm32l476, 7) => (0x0000_000F, 0),
            (Self::Stm32l476, _) => (0xFFFF_FFFF, 0),
            (Self::Nrf52840, 0) => return Box::new(nrf::Gpio::new(32)),
            (Self::Nrf52840, _) => return Box::new(nrf::Gpio::new(16)),
            (Self::Rp2350, _) => return Box::new(rp::Pins::default()),
        };
        Box::new(Gpio::new(gpio::AtReset::new(modes, pulls)))
    }

    /// Where unique id and flash size are in [`Block::FlashInfo`]; `None` on a chip without.
    #[must_use]
    pub const fn factory(self) -> Option<flash_info::Layout> {
        match self {
            Self::Stm32f405 => Some(flash_info::Layout::STM32F405),
            Self::Stm32l476 => Some(flash_info::Layout::STM32L476),
            Self::Nrf52840 | Self::Rp2350 => None,
        }
    }

    /// Address and size of a block in the machine's memory; `None` where the machine's own serves, or there is none.
    /// `[RM0090] table 1`, `[RM0351] 2.2.2`, `[nRF52840_PS] Memory, Instantiation`
    #[must_use]
    pub fn place(self, block: Block) -> Option<(u64, u64)> {
        let port = |base: u64, number: u8| {
            let offset = u64::from(number).saturating_mul(REGISTERS);
            (base.saturating_add(offset), REGISTERS)
        };
        Some(match (self, block) {
            (Self::Nrf52840, block) => return nrf52840(block),
            (Self::Rp2350, block) => return rp2350(block),
            (_, Block::Spi1) => (0x4001_3000, REGISTERS),
            (_, Block::Watchdog) => (0x4000_3000, REGISTERS),
            (Self::Stm32f405, Block::Rcc) => (0x4002_3800, REGISTERS),
            (Self::Stm32f405, Block::Pwr) => (0x4000_7000, REGISTERS),
            (Self::Stm32f405, Block::Flash) => (0x4002_3C00, REGISTERS),
            (Self::Stm32f405, Block::Settings) => (flash::BASE, flash::SETTINGS_LEN as u64),
            (Self::Stm32f405, Block::Record) => (flash::RECORD_BASE, flash::SECTOR as u64),
            (Self::Stm32f405, Block::Gpio(number)) => port(0x4002_0000, number),
            (Self::Stm32f405, Block::FlashInfo) => (0x1FFF_7800, REGISTERS),
            (Self::Stm32f405, Block::Uart | Block::Noise) => return None,
            (Self::Stm32l476, Block::Rcc) => (0x4002_1000, REGISTERS),
            (Self::Stm32l476, Block::Flash) => (0x4002_2000, REGISTERS),
            (Self::Stm32l476, Block::Settings) => (l4::flash::BASE, l4::flash::SETTINGS_LEN as u64),
            (Self::Stm32l476, Block::Record) => {
                (l4::flash::RECORD_BASE, l4::flash::RECORD_LEN as u64)
            }
            (Self::Stm32l476, Block::Gpio(number)) => port(0x4800_0000, number),
            (Self::Stm32l476, Block::Uart) => (0x4000_4400, REGISTERS),
            (Self::Stm32l476, Block::Noise) => (0x5006_0800, REGISTERS),
            (Self::Stm32l476, Block::FlashInfo) => (0x1FFF_7500, 0x100),
            // The image leaves the regulator as it is after a reset.
            (Self::Stm32l476, Block::Pwr) => return None,
            (_, Block::Timer | Block::Pads | Block::Sio | Block::System(_))
            | (_, Block::RomCalls | Block::Nothing) => return None,
        })
    }

    /// What lies below every block and the memory, instead of the machine's own: address and size.
    #[must_use]
    pub fn below(self) -> Option<(Block, u64, u64)> {
        // Up to the core's own registers.
        (self == Self::Rp2350).then_some((Block::Nothing, 0, 0xE000_0000))
    }

    /// Memory that is laid over the machine's.
    #[must_use]
    pub fn memories(self) -> Vec<Memory> {
        if self != Self::Rp2350 {
            return Vec::new();
        }
        let memory = |name, base, len, content, is_flash| Memory {
            name,
            base,
            len,
            content,
            is_flash,
        };
        let (rom, setup) = (rom::bytes(&rom::CODE), rom::bytes(&rom::XIP_SETUP));
        vec![
            memory(c"assay-rom", rom::BASE, rom::LEN, rom, false),
            memory(
                c"assay-flash",
                xip::FLASH_BASE,
                xip::FLASH_LEN,
                vec![],
                true,
            ),
            memory(c"assay-sram", rom::SRAM_BASE, rom::SRAM_LEN, vec![], false),
            memory(
                c"assay-bootram",
                rom::BOOT_RAM_BASE,
                rom::BOOT_RAM_LEN,
                setup,
                false,
            ),
        ]
    }

    /// Whether a block has aliases that change single bits.
    #[must_use]
    pub fn has_aliases(self, block: Block) -> bool {
        let none = matches!(
            block,
            Block::Settings | Block::Record | Block::RomCalls | Block::Sio | Block::Nothing
        );
        self == Self::Rp2350 && !none
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
            Block::Uart,
            Block::Noise,
            Block::Timer,
            Block::FlashInfo,
            Block::Watchdog,
            Block::Pads,
            Block::Sio,
            Block::RomCalls,
        ]
        .into_iter()
        .chain((0..self.ports()).map(Block::Gpio))
        .chain(Part::ALL.map(Block::System))
        .filter_map(move |block| {
            let (base, size) = self.place(block)?;
            Some((block, base, size))
        })
    }
}

/// As [`Chip::place`], for the one whose blocks have 4 KiB each.
fn nrf52840(block: Block) -> Option<(u64, u64)> {
    const REGISTERS: u64 = 0x1000;
    Some(match block {
        Block::Rcc => (0x4000_0000, REGISTERS),
        Block::Uart => (0x4000_2000, REGISTERS),
        Block::Spi1 => (0x4000_4000, REGISTERS),
        Block::Timer => (0x4000_8000, REGISTERS),
        Block::Noise => (0x4000_D000, REGISTERS),
        Block::Watchdog => (0x4001_0000, REGISTERS),
        Block::Flash => (0x4001_E000, REGISTERS),
        // Both ports lie in one page, each from its register OUT on.
        Block::Gpio(0) => (0x5000_0500, 0x280),
        Block::Gpio(1) => (0x5000_0800, 0x280),
        Block::Settings => (nrf::nvmc::BASE, nrf::nvmc::SETTINGS_LEN as u64),
        Block::Record => (nrf::nvmc::RECORD_BASE, nrf::nvmc::RECORD_LEN as u64),
        // The others are another chip's.
        _ => return None,
    })
}

/// As [`Chip::place`], for the one whose blocks have four times 4 KiB each. `[RP2350] 2.2`
fn rp2350(block: Block) -> Option<(u64, u64)> {
    let registers = |base| (base, rp::REGISTERS);
    Some(match block {
        Block::System(part) => registers(part.base()),
        Block::Rcc => registers(0x4002_0000),
        Block::Gpio(_) => registers(0x4002_8000),
        Block::Pads => registers(0x4003_8000),
        Block::Uart => registers(0x4007_0000),
        Block::Spi1 => registers(0x4008_0000),
        Block::Timer => registers(0x400B_0000),
        Block::Watchdog => registers(0x400D_8000),
        Block::Noise => registers(0x400F_0000),
        Block::Sio => (0xD000_0000, 0x200),
        Block::RomCalls => (rom::CALLS_BASE, rom::CALLS_LEN),
        Block::Settings => (xip::BASE, xip::SETTINGS_LEN as u64),
        Block::Record => (xip::RECORD_BASE, xip::RECORD_LEN as u64),
        Block::Pwr | Block::Flash | Block::FlashInfo | Block::Nothing => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_aliases_and_memory_has_none() {
        let aliased: Vec<_> = Chip::Rp2350
            .blocks()
            .filter(|(block, ..)| Chip::Rp2350.has_aliases(*block))
            .map(|(block, base, size)| (block, base >> 28, size))
            .collect();
        assert!(!aliased.is_empty());
        for (block, area, size) in aliased {
            assert_eq!((area, size), (4, rp::REGISTERS), "{block:?}");
        }
        assert!(!Chip::Nrf52840.has_aliases(Block::Timer));
    }

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
