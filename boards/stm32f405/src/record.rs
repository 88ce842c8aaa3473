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
use assay_firmware::console::{ProtectFault, RecordFault};
use assay_firmware::platform::{ReadOut, WriteProtection};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use stm32f4xx_hal::flash::{FlashExt, LockedFlash};
use stm32f4xx_hal::pac::FLASH;

use crate::protection;
use crate::watchdog::Independent;

/// Where the flash is in memory.
const FLASH_BASE: usize = 0x0800_0000;

unsafe extern "C" {
    static _provisioning_start: u8;
    static _provisioning_end: u8;
}

/// Keys of FLASH_OPTKEYR, and OPTLOCK and OPTSTRT of FLASH_OPTCR (RM0090 3.6.2, 3.9).
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];
const OPTION_LOCK: u32 = 1;
const OPTION_START: u32 = 1 << 1;
/// The flags of an operation that failed, of FLASH_SR: OPERR, WRPERR, PGAERR, PGPERR, PGSERR (RM0090 3.9).
const ERRORS: u32 = 0xF2;

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

    /// Write-protects the sector. Read-out protection and all other options are written back as they were read: the chip
    /// erases and programs them together, so a loss of power meanwhile can leave it at read-out level 1.
    pub(crate) fn protect(&mut self) -> Result<(), ProtectFault> {
        // Its register would take the bit there, and the chip not.
        if protection::read().read_out == ReadOut::Level2 {
            return Err(ProtectFault::Refused);
        }
        // SAFETY: as in `new`.
        let flash = unsafe { &*FLASH::ptr() };
        Independent::kick();
        while flash.sr().read().bsy().bit_is_set() {}
        // SAFETY: the register takes any number; these two, in this order, unlock. What is written to the options is what was read
        // from them but for the sector's bit, the lock and the start.
        unsafe {
            for key in OPTION_KEYS {
                flash.optkeyr().write(|w| w.bits(key));
            }
            let options = flash.optcr().read().bits() & !protection::OPEN;
            if options & OPTION_LOCK != 0 {
                return Err(ProtectFault::Refused);
            }
            flash.sr().write(|w| w.bits(ERRORS));
            flash.optcr().write(|w| w.bits(options));
            flash.optcr().write(|w| w.bits(options | OPTION_START));
        }
        // The option bytes are erased and programmed: as long as a sector of 16 KiB, 0.5 s at most.
        while flash.sr().read().bsy().bit_is_set() {}
        Independent::kick();
        let failed = flash.sr().read().bits() & ERRORS != 0;
        if failed {
            // What the register says is what is in force.
            // SAFETY: the register has what it had before.
            unsafe {
                flash
                    .optcr()
                    .modify(|r, w| w.bits(r.bits() | protection::OPEN))
            };
        }
        // SAFETY: the bit locks.
        flash
            .optcr()
            .modify(|r, w| unsafe { w.bits(r.bits() | OPTION_LOCK) });
        match protection::read().write {
            WriteProtection::Protected if !failed => Ok(()),
            _ => Err(ProtectFault::Refused),
        }
    }
}

/// The sector, in bytes from the start of the flash.
fn region() -> Range<u32> {
    let offset = |address: usize| (address - FLASH_BASE) as u32;
    offset(addr_of!(_provisioning_start).addr())..offset(addr_of!(_provisioning_end).addr())
}
