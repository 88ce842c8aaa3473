//! The board: blocks, wiring, and the TPM behind SPI1. Plain Rust; [`crate::plugin`] hangs it into
//! QEMU.
//!
//! As on the real chip a block without its clock is dead, a pin that was never made an output
//! drives nothing, and SPI1 reaches the TPM only through pins given to it (PA5 to PA7 or PB3 to PB5,
//! alternate function 5). A board crate that forgets any of these fails here too.

use std::path::PathBuf;

use assay_spi_tpm::SpiTpm;

use crate::args::Pin;
use crate::blocks::flash::{RECORD_BASE, SECTOR, SETTINGS_BASE, SETTINGS_LEN};
use crate::blocks::{Flash, FlashInfo, Gpio, Rcc, Rx, Spi, Words, merge, narrow};

/// GPIO ports of the chip, A to I.
pub const PORTS: u8 = 9;
/// Alternate function of SPI1.
const AF_SPI1: u32 = 5;
/// PWR_CSR.VOSRDY: the regulator is ready.
const VOSRDY: u32 = 1 << 14;

/// A block of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Reset and clock control.
    Rcc,
    /// Power control.
    Pwr,
    /// Flash controller.
    Flash,
    /// The sectors of the flash that the board writes.
    Settings,
    /// The sector of the flash with the provisioning record; laid over the machine's only where the board shall write it,
    /// since what QEMU loads there would be hidden.
    Record,
    /// A port, 0 = A.
    Gpio(u8),
    /// The TPM's bus.
    Spi1,
    /// Unique id and flash size.
    FlashInfo,
}

impl Block {
    /// Address in the machine's memory. `[RM0090] table 1`
    #[must_use]
    pub fn base(self) -> u64 {
        match self {
            Self::Rcc => 0x4002_3800,
            Self::Pwr => 0x4000_7000,
            Self::Flash => 0x4002_3C00,
            Self::Settings => SETTINGS_BASE,
            Self::Record => RECORD_BASE,
            Self::Gpio(port) => {
                0x4002_0000u64.saturating_add(u64::from(port).saturating_mul(0x400))
            }
            Self::Spi1 => 0x4001_3000,
            Self::FlashInfo => 0x1FFF_7800,
        }
    }

    /// Bytes of address space.
    #[must_use]
    pub fn size(self) -> u64 {
        match self {
            Self::Settings => SETTINGS_LEN as u64,
            Self::Record => SECTOR as u64,
            _ => REGISTERS_LEN,
        }
    }

    /// Every block of the overlay.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::Rcc,
            Self::Pwr,
            Self::Flash,
            Self::Settings,
            Self::Record,
            Self::Spi1,
            Self::FlashInfo,
        ]
        .into_iter()
        .chain((0..PORTS).map(Self::Gpio))
    }
}

/// Bytes of address space of a block of registers.
const REGISTERS_LEN: u64 = 0x400;

/// The record's sector follows upon the settings'.
fn record_offset(offset: u32) -> u32 {
    offset.saturating_add(u32::try_from(SETTINGS_LEN).unwrap_or(u32::MAX))
}

/// The board.
pub struct Board {
    tpm: SpiTpm,
    cs: Pin,
    nrst: Option<Pin>,
    rcc: Rcc,
    pwr: Words<2>,
    flash: Flash,
    ports: Vec<Gpio>,
    spi: Spi,
    flash_info: FlashInfo,
}

impl Board {
    /// A board that has just been powered.
    ///
    /// `settings` is the file in which the sectors that it writes outlive the run.
    #[must_use]
    pub fn new(
        tpm: SpiTpm,
        cs: Pin,
        nrst: Option<Pin>,
        uid: [u8; 12],
        settings: Option<PathBuf>,
        record: bool,
    ) -> Self {
        Self {
            tpm,
            cs,
            nrst,
            rcc: Rcc::default(),
            pwr: Words::default(),
            flash: Flash::new(settings, record),
            ports: (0..PORTS).map(Gpio::new).collect(),
            spi: Spi::default(),
            flash_info: FlashInfo::new(uid),
        }
    }

    /// The TPM.
    pub fn tpm(&mut self) -> &mut SpiTpm {
        &mut self.tpm
    }

    /// Tells the model the guest's time, ns.
    pub fn set_time(&mut self, ns: u64) {
        self.tpm.clock().set_ns(ns);
    }

    /// A reset of the microcontroller. The TPM keeps running unless its nRST is wired to a pin.
    pub fn system_reset(&mut self) {
        self.rcc.system_reset();
        self.pwr = Words::default();
        self.flash.reset();
        for port in &mut self.ports {
            port.reset();
        }
        self.spi.reset();
        self.drive_lines();
    }

    /// A read by the guest; `size` is 1, 2 or 4 bytes.
    pub fn read(&mut self, block: Block, offset: u32, size: u32) -> u32 {
        match block {
            Block::Rcc => self.rcc.read(offset, size),
            Block::Pwr => {
                let ready = if offset & !3 == 4 { VOSRDY } else { 0 };
                narrow(self.pwr.get(offset) | ready, offset, size)
            }
            Block::Flash => self.flash.read_register(offset, size),
            Block::Settings => self.flash.read(offset, size),
            Block::Record => self.flash.read(record_offset(offset), size),
            Block::Gpio(port) if self.rcc.gpio_clock(port) => self
                .ports
                .get(usize::from(port))
                .map_or(0, |gpio| gpio.read(offset, size)),
            Block::Spi1 if self.rcc.spi_clock() => self.spi.read(offset, size),
            Block::FlashInfo => self.flash_info.read(offset, size),
            Block::Gpio(_) | Block::Spi1 => 0,
        }
    }

    /// A write by the guest; `size` is 1, 2 or 4 bytes.
    pub fn write(&mut self, block: Block, offset: u32, size: u32, value: u32) {
        match block {
            Block::Rcc => {
                self.rcc.write(offset, size, value);
                self.apply_block_resets();
            }
            Block::Pwr => {
                let word = merge(self.pwr.get(offset), offset, size, value);
                self.pwr.set(offset, word);
            }
            Block::Flash => self.flash.write_register(offset, size, value),
            Block::Settings => self.flash.write(offset, size, value),
            Block::Record => self.flash.write(record_offset(offset), size, value),
            Block::Gpio(port) if self.rcc.gpio_clock(port) => {
                if let Some(gpio) = self.ports.get_mut(usize::from(port)) {
                    gpio.write(offset, size, value);
                }
                if port == self.cs.port || self.nrst.is_some_and(|pin| pin.port == port) {
                    self.drive_lines();
                }
            }
            Block::Spi1 if self.rcc.spi_clock() => self.spi_write(offset, size, value),
            Block::FlashInfo | Block::Gpio(_) | Block::Spi1 => {}
        }
    }

    fn apply_block_resets(&mut self) {
        let mut moved = false;
        for (number, gpio) in (0..PORTS).zip(self.ports.iter_mut()) {
            if self.rcc.gpio_reset(number) {
                gpio.reset();
                moved = true;
            }
        }
        if self.rcc.spi_reset() {
            self.spi.reset();
        }
        if moved {
            self.drive_lines();
        }
    }

    /// Chip select and nRST have pull-ups: a floating pin is high.
    fn drive_lines(&mut self) {
        let high = |pin: Pin, ports: &[Gpio]| {
            ports
                .get(usize::from(pin.port))
                .and_then(|gpio| gpio.driven(pin.number))
                .unwrap_or(true)
        };
        if let Some(pin) = self.nrst {
            let low = !high(pin, &self.ports);
            self.tpm.reset_line(low);
        }
        let selected = !high(self.cs, &self.ports);
        self.tpm.cs(selected);
    }

    fn spi_write(&mut self, offset: u32, size: u32, value: u32) {
        match self.spi.write(offset, size, value) {
            Rx::Silent => {}
            Rx::WrongMode => self.spi.receive(0xFF),
            Rx::Byte(byte) => {
                let answer = self.clock(byte);
                self.spi.receive(u16::from(answer));
            }
            Rx::TwoBytes(first, second) => {
                let answer = [self.clock(first), self.clock(second)];
                self.spi.receive(u16::from_be_bytes(answer));
            }
        }
    }

    fn clock(&mut self, byte: u8) -> u8 {
        if self.spi_is_wired() {
            self.tpm.xfer(byte)
        } else {
            0xFF
        }
    }

    /// SCK, MISO and MOSI on PA5, PA6, PA7 or on PB3, PB4, PB5.
    fn spi_is_wired(&self) -> bool {
        let given = |port: usize, pin: u8| {
            self.ports
                .get(port)
                .is_some_and(|gpio| gpio.is_alternate(pin, AF_SPI1))
        };
        [(5, 3), (6, 4), (7, 5)]
            .into_iter()
            .all(|(a, b)| given(0, a) || given(1, b))
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
