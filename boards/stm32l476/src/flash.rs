//! The pages of the flash that the board writes: its settings, and in a bring-up image the provisioning record.
//!
//! On a chip with two banks they are in the second and the image is in the first, so the processor runs on while a page is
//! erased or written. With one bank it stands still, once a boot.

#![expect(
    unsafe_code,
    reason = "the controller's numbers are written as such, and the flash by its address"
)]

use core::ops::Range;
use core::ptr::{slice_from_raw_parts, with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use assay_board_support::cortex_m::fault;
use assay_board_support::cortex_m::systick::Watchdog;
use assay_board_support::flash_error::FlashError;
use assay_board_support::settings::region;
#[cfg(feature = "console")]
use assay_board_support::{desk::InFlash, provisioning, record::Record};
use assay_firmware::settings::{Settings, SettingsError};
use cortex_m_rt::exception;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::pac::FLASH;
use crate::pac::flash::RegisterBlock;
use crate::watchdog::Independent;

/// Where the flash is in memory.
const FLASH_BASE: usize = 0x0800_0000;
/// Pages of a bank. A chip with one bank has no more.
const BANK_PAGES: u32 = 256;
/// Keys of RM0351 3.3.5.
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
/// The flags of an operation that failed, of FLASH_SR (RM0351 3.7.5).
const ERRORS: u32 = 0x0000_C3FA;
/// The exception's number, as the processor counts them.
const NON_MASKABLE: i16 = -14;

/// Whether what is being read are the settings, or a record on a desk.
static READING: AtomicBool = AtomicBool::new(false);

/// The board's settings. Takes the controller, which nobody else changes.
pub(crate) fn settings(_: FLASH) -> Result<Settings<Pages>, SettingsError> {
    let ours = region(FLASH_BASE);
    Settings::new(Pages { ours: ours.clone() }, ours)
}

/// What a technician can have written.
#[cfg(feature = "console")]
pub(crate) fn kept(flash: FLASH) -> InFlash<Pages> {
    let place = provisioning::place(FLASH_BASE);
    let pages = Pages {
        ours: place.clone(),
    };
    InFlash::new(settings(flash), Record::new(pages, place))
}

/// The error-correcting code found more wrong bits in a double word than it can mend (RM0351 3.3.2).
///
/// Among the settings that is a word that a loss of power cut short: what was read is kept, and its checksum tells. Anywhere
/// else it is a flash that has gone bad.
#[exception]
unsafe fn NonMaskableInt() {
    // SAFETY: the flag is cleared by writing a one to it, and nobody else uses the register.
    let flash = unsafe { &*FLASH::ptr() };
    let double = flash.eccr().read().eccd().bit_is_set();
    if !double || !READING.load(Ordering::Relaxed) {
        fault::unexpected_interrupt(NON_MASKABLE)
    }
    flash.eccr().modify(|_, w| w.eccd().set_bit());
}

/// The flash up to the end of `ours`, of which those pages may be changed; unlocked while they are, and only then.
pub(crate) struct Pages {
    ours: Range<u32>,
}

impl Pages {
    /// Nothing before them is ours to change.
    fn is_ours(&self, from: u32) -> Result<(), FlashError> {
        if from < self.ours.start {
            return Err(FlashError::OutOfBounds);
        }
        Ok(())
    }

    /// Unlocks, does `work`, and locks again.
    ///
    /// The data cache is off meanwhile, and empty afterwards: it does not follow an erasure (RM0351 3.3.4), and may be
    /// corrupted by reads of one bank while the other is written (the chip's errata, "Data cache might be corrupted during
    /// Flash memory read-while-write operation").
    fn change(
        &mut self,
        work: impl FnOnce(&RegisterBlock) -> Result<(), FlashError>,
    ) -> Result<(), FlashError> {
        // SAFETY: the controller was given for this. The pages of settings and record are changed one after the other, each by a
        // whole operation, and no interrupt handler changes any.
        let flash = unsafe { &*FLASH::ptr() };
        Independent::kick();
        if flash.cr().read().lock().bit_is_set() {
            for key in KEYS {
                // SAFETY: the register takes any number; these two, in this order, unlock.
                flash.keyr().write(|w| unsafe { w.keyr().bits(key) });
            }
        }
        // What an earlier operation left behind would fail this one.
        // SAFETY: flags are cleared by writing ones to them.
        flash.sr().write(|w| unsafe { w.bits(ERRORS) });
        flash.acr().modify(|_, w| w.dcen().clear_bit());
        let done = work(flash);
        flash.acr().modify(|_, w| w.dcrst().set_bit());
        flash
            .acr()
            .modify(|_, w| w.dcrst().clear_bit().dcen().set_bit());
        flash.cr().modify(|_, w| {
            w.pg().clear_bit();
            w.per().clear_bit();
            w.lock().set_bit()
        });
        Independent::kick();
        done
    }
}

/// Waits for the end of an operation; the watchdog ends it with a controller that is broken.
fn finish(flash: &RegisterBlock) -> Result<(), FlashError> {
    while flash.sr().read().bsy().bit_is_set() {}
    if flash.sr().read().bits() & ERRORS == 0 {
        Ok(())
    } else {
        Err(FlashError::Refused)
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
        READING.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the range is within the chip's flash, as was checked, and only this driver changes it.
        let there = unsafe { &*slice_from_raw_parts(from, bytes.len()) };
        for (to, from) in bytes.iter_mut().zip(there) {
            *to = *from;
        }
        // An error of these reads is taken before they count as done.
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
        READING.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.ours.end as usize
    }
}

impl NorFlash for Pages {
    /// The error-correcting code is one for each double word (RM0351 3.3.7).
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 2 * 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        self.is_ours(from)?;
        let page = |offset: u32| offset / Self::ERASE_SIZE as u32;
        // 25 ms each at most (data sheet, "Flash memory characteristics").
        self.change(|flash| {
            for page in page(from)..page(to) {
                flash.cr().modify(|_, w| {
                    w.per().set_bit();
                    w.bker().bit(page >= BANK_PAGES);
                    // SAFETY: any number of eight bits is a page of a bank.
                    unsafe { w.pnb().bits((page % BANK_PAGES) as u8) }
                });
                flash.cr().modify(|_, w| w.start().set_bit());
                finish(flash)?;
            }
            Ok(())
        })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        self.is_ours(offset)?;
        let mut at = with_exposed_provenance_mut::<u32>(FLASH_BASE + offset as usize);
        self.change(|flash| {
            flash.cr().modify(|_, w| w.pg().set_bit());
            for word in bytes.as_chunks::<8>().0 {
                for half in word.as_chunks::<4>().0 {
                    // SAFETY: within our pages, as was checked, and aligned; the controller takes the two halves one
                    // after the other.
                    unsafe {
                        at.write_volatile(u32::from_le_bytes(*half));
                        at = at.add(1);
                    }
                }
                finish(flash)?;
            }
            Ok(())
        })
    }
}
