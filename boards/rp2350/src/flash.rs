//! The sectors of the flash that the board writes, by the boot ROM's functions: its settings, and in a bring-up image the
//! provisioning record.
//!
//! The flash is a chip of its own, from which the image runs: while a sector is erased or written, 0.4 s at the longest, the
//! core does nothing else. An agent does that at its start, before the link listens.

#![expect(unsafe_code, reason = "the flash is read by its address")]

use core::ops::Range;
use core::ptr::{slice_from_raw_parts, with_exposed_provenance};

use assay_board_support::paged_flash::{Chip, PAGE, PagedFlash};
use assay_board_support::settings::region;
#[cfg(feature = "console")]
use assay_board_support::{desk::InFlash, provisioning, record::Record};
use assay_firmware::settings::{Settings, SettingsError};

use crate::rom::{FLASH_BASE, FlashRom};
use crate::watchdog;

/// The board's settings.
pub(crate) fn settings() -> Result<Settings<PagedFlash<Quad>>, SettingsError> {
    let ours = region(FLASH_BASE);
    Settings::new(part(ours.clone()), ours)
}

/// What a technician can have written.
#[cfg(feature = "console")]
pub(crate) fn kept() -> InFlash<PagedFlash<Quad>> {
    let place = provisioning::place(FLASH_BASE);
    let record = Record::new(part(place.clone()), place);
    InFlash::new(settings(), record)
}

/// The flash, of which `ours` may be changed.
fn part(ours: Range<u32>) -> PagedFlash<Quad> {
    let rom = FlashRom::find(ours.start, ours.end - 1);
    PagedFlash::new(Quad(rom), ours)
}

/// The chip on the quad SPI. Without the ROM's functions it ignores what it is told, as a chip does that is write-protected.
pub(crate) struct Quad(Option<FlashRom>);

impl Chip for Quad {
    fn erase(&mut self, offset: u32) {
        watchdog::kick();
        if let Some(rom) = &self.0 {
            rom.erase(offset);
        }
        watchdog::kick();
    }

    fn program(&mut self, offset: u32, page: &[u8; PAGE]) {
        watchdog::kick();
        if let Some(rom) = &self.0 {
            rom.program(offset, page);
        }
    }

    /// The ROM emptied the cache when something was changed.
    fn read(&self, offset: u32, bytes: &mut [u8]) {
        let from = with_exposed_provenance::<u8>(FLASH_BASE + offset as usize);
        // SAFETY: the caller stays within the flash, and only this driver changes it.
        let there = unsafe { &*slice_from_raw_parts(from, bytes.len()) };
        bytes.copy_from_slice(there);
    }
}
