//! What the option bytes say of the record's sector, and of reading the flash. `[RM0090] 3.6, 3.9`

#![expect(
    unsafe_code,
    reason = "the settings own the flash controller, and this only reads one register of it"
)]

use assay_firmware::platform::{Protection, ReadOut, WriteProtection};
use stm32f4xx_hal::pac::FLASH;

/// nWRP of sector 11, the record's (memory.x), in FLASH_OPTCR: a 0 protects it.
pub(crate) const OPEN: u32 = 1 << 27;
/// SPRMOD: nWRP would mean something else. Chips of the series that lack it keep it 0.
const SPRMOD: u32 = 1 << 31;
/// RDP at its two ends; everything between is level 1.
const LEVEL_0: u32 = 0xAA;
const LEVEL_2: u32 = 0xCC;

/// As the chip has it now: option bytes of this chip are in force as soon as they are programmed.
pub(crate) fn read() -> Protection {
    // SAFETY: a read of a register that reads do not change.
    let options = unsafe { (*FLASH::ptr()).optcr().read().bits() };
    let write = if options & (OPEN | SPRMOD) == 0 {
        WriteProtection::Protected
    } else {
        WriteProtection::Open
    };
    let read_out = match options >> 8 & 0xFF {
        LEVEL_0 => ReadOut::Level0,
        LEVEL_2 => ReadOut::Level2,
        _ => ReadOut::Level1,
    };
    Protection { write, read_out }
}
