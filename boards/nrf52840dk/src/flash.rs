//! The pages of the flash that the board writes: its settings, before them the page of the microcontroller's key, and in a
//! bring-up image the provisioning record.
//!
//! The processor fetches its instructions from the same flash, so it stands still while a page is erased (85 ms at most) or a
//! word is written (41 µs): nothing is received meanwhile, which is why an agent writes before the link is up.

#![expect(unsafe_code, reason = "the flash is written by its address")]

use core::ops::Range;
use core::ptr::{slice_from_raw_parts, with_exposed_provenance, with_exposed_provenance_mut};

use assay_board_support::flash_error::FlashError;
use assay_board_support::settings::region;
#[cfg(feature = "console")]
use assay_board_support::{desk::InFlash, provisioning, record::Record};
use assay_firmware::settings::{Settings, SettingsError};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, ReadNorFlash, check_erase, check_read, check_write,
};
use nrf_pac::NVMC;
use nrf_pac::nvmc::vals::Wen;

use crate::watchdog;

/// Where the flash is in memory.
pub(crate) const FLASH_BASE: usize = 0;

/// The board's settings.
pub(crate) fn settings() -> Result<Settings<Pages>, SettingsError> {
    Settings::new(Pages(settings_place()), settings_place())
}

/// Where they are.
pub(crate) fn settings_place() -> Range<u32> {
    region(FLASH_BASE)
}

/// Where the page of the microcontroller's key is: memory.x has it before the settings.
pub(crate) fn key_place() -> Range<u32> {
    let end = settings_place().start;
    end - Pages::ERASE_SIZE as u32..end
}

/// What a technician can have written.
#[cfg(feature = "console")]
pub(crate) fn kept() -> InFlash<Pages> {
    let place = provisioning::place(FLASH_BASE);
    let record = Record::new(Pages(place.clone()), place);
    InFlash::new(settings(), record)
}

/// The flash with the page of the microcontroller's key, and where it begins.
#[cfg(all(feature = "secure-bus", not(feature = "console")))]
pub(crate) fn key_page() -> (Pages, u32) {
    let place = key_place();
    (Pages(place.clone()), place.start)
}

/// The flash up to the end of these bytes, of which they are to be written; the controller takes changes while one is made,
/// and only then.
pub(crate) struct Pages(Range<u32>);

/// Sets the controller to `what`, does `work`, and sets it to reading again.
fn change(what: Wen, work: impl FnOnce() -> Result<(), FlashError>) -> Result<(), FlashError> {
    watchdog::kick();
    NVMC.config().write(|w| w.set_wen(what));
    let done = work();
    NVMC.config().write(|w| w.set_wen(Wen::Ren));
    watchdog::kick();
    done
}

/// Waits for the end of an operation; the watchdog ends it with a controller that is broken.
fn finish() {
    while !NVMC.ready().read().ready() {}
}

impl Pages {
    /// Nothing before them is to be changed.
    fn check_start(&self, from: u32) -> Result<(), FlashError> {
        if from < self.0.start {
            return Err(FlashError::OutOfBounds);
        }
        Ok(())
    }
}

impl ErrorType for Pages {
    type Error = FlashError;
}

impl ReadNorFlash for Pages {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len())?;
        let from = with_exposed_provenance::<u8>(FLASH_BASE + offset as usize);
        // SAFETY: the range is within the chip's flash, as was checked, and only this driver changes it.
        let there = unsafe { &*slice_from_raw_parts(from, bytes.len()) };
        for (to, from) in bytes.iter_mut().zip(there) {
            *to = *from;
        }
        Ok(())
    }

    /// Up to their end: what comes after them is somebody else's.
    fn capacity(&self) -> usize {
        self.0.end as usize
    }
}

impl NorFlash for Pages {
    /// The controller takes whole words. Each may be written twice between two erasures (nWRITE); none is written again here.
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4 * 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        self.check_start(from)?;
        change(Wen::Een, || {
            for page in (from..to).step_by(Self::ERASE_SIZE) {
                NVMC.erasepage().write_value(page);
                finish();
            }
            Ok(())
        })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        self.check_start(offset)?;
        let mut at = with_exposed_provenance_mut::<u32>(FLASH_BASE + offset as usize);
        change(Wen::Wen, || {
            for word in bytes.as_chunks::<4>().0 {
                let word = u32::from_le_bytes(*word);
                // SAFETY: within the pages, as was checked, and aligned; the controller has ended the word before.
                let there = unsafe {
                    at.write_volatile(word);
                    finish();
                    let there = at.read_volatile();
                    at = at.add(1);
                    there
                };
                // The controller has no flag for what it did not do.
                if there != word {
                    return Err(FlashError::Refused);
                }
            }
            Ok(())
        })
    }
}
