//! The sectors of the flash in which the board keeps its settings, by the boot ROM's functions.
//!
//! The flash is a chip of its own, from which the image runs: while a sector is erased or written, 0.4 s at the longest, the
//! core does nothing else. That is at the start, before the link listens.

#![expect(unsafe_code, reason = "the flash is read by its address")]

use core::ptr::{slice_from_raw_parts, with_exposed_provenance};

use assay_board_support::paged_flash::{Chip, PAGE, PagedFlash};
use assay_board_support::settings::region;
use assay_firmware::settings::{Settings, SettingsError};

use crate::rom::{FLASH_BASE, FlashRom};
use crate::watchdog;

/// The board's settings.
pub(crate) fn settings() -> Result<Settings<PagedFlash<Quad>>, SettingsError> {
    let ours = region(FLASH_BASE);
    let rom = FlashRom::find(ours.start, ours.end - 1).ok_or(SettingsError::Region)?;
    Settings::new(PagedFlash::new(Quad(rom), ours.clone()), ours)
}

/// The chip on the quad SPI.
pub(crate) struct Quad(FlashRom);

impl Chip for Quad {
    fn erase(&mut self, offset: u32) {
        watchdog::kick();
        self.0.erase(offset);
        watchdog::kick();
    }

    fn program(&mut self, offset: u32, page: &[u8; PAGE]) {
        watchdog::kick();
        self.0.program(offset, page);
    }

    /// The ROM emptied the cache when something was changed.
    fn read(&self, offset: u32, bytes: &mut [u8]) {
        let from = with_exposed_provenance::<u8>(FLASH_BASE + offset as usize);
        // SAFETY: the caller stays within the flash, and only this driver changes it.
        let there = unsafe { &*slice_from_raw_parts(from, bytes.len()) };
        bytes.copy_from_slice(there);
    }
}
