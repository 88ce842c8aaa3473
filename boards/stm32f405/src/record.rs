//! The last sector of the flash, as a technician's console writes it: the provisioning record.
//!
//! For the bring-up image only. The agent reads the sector in place and relies on nobody writing it.

#![expect(
    unsafe_code,
    reason = "the settings own the flash controller; the region is known to the linker script only"
)]

use core::ops::Range;
use core::ptr::addr_of;

use assay_board_support::cortex_m::systick::Watchdog;
use assay_firmware::console::RecordFault;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use stm32f4xx_hal::flash::{FlashExt, LockedFlash};
use stm32f4xx_hal::pac::FLASH;

use crate::watchdog::Independent;

/// Where the flash is in memory.
const FLASH_BASE: usize = 0x0800_0000;

unsafe extern "C" {
    static _provisioning_start: u8;
    static _provisioning_end: u8;
}

/// The sector with the record.
pub(crate) struct Record(LockedFlash);

impl Record {
    /// Touches nothing yet.
    pub(crate) fn new() -> Self {
        // SAFETY: the other owner is the settings, whose owner has this as well: one changes the flash and locks it again
        // before the other begins, and no interrupt handler touches it.
        Self(LockedFlash::new(unsafe { FLASH::steal() }))
    }

    /// Copies what is at the front of the sector.
    pub(crate) fn read(&mut self, to: &mut [u8]) {
        // Blank, should it ever fail: that is no record.
        if ReadNorFlash::read(&mut self.0, region().start, to).is_err() {
            to.fill(0xFF);
        }
    }

    /// Erases the sector, and writes `record` to its front. Power that goes meanwhile leaves a board without a record,
    /// never with half of one: its checksum comes last.
    pub(crate) fn write(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        let Range { start, end } = region();
        if record.len() > (end - start) as usize {
            return Err(RecordFault::TooLong);
        }
        let mut flash = self.0.unlocked();
        // 4 s at most, as for the settings (flash.rs).
        Independent::kick();
        let erased = NorFlash::erase(&mut flash, start, end);
        Independent::kick();
        erased
            .and_then(|()| NorFlash::write(&mut flash, start, record))
            .map_err(|_| RecordFault::Flash)
    }
}

/// The sector, in bytes from the start of the flash.
fn region() -> Range<u32> {
    let offset = |address: usize| (address - FLASH_BASE) as u32;
    offset(addr_of!(_provisioning_start).addr())..offset(addr_of!(_provisioning_end).addr())
}
