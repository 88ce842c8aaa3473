//! Write protection of the record's pages, set by a technician at the console. `[RM0351] 3.4.2`
//!
//! For the bring-up image only. Read-out protection is written back as it was: the chip erases and programs the options of a
//! bank together, so a loss of power meanwhile can leave it at read-out level 1.

#![expect(
    unsafe_code,
    reason = "the controller's numbers are written as such, and a range by its register's address"
)]

use assay_board_support::cortex_m::systick::Watchdog;
use assay_board_support::desk::Guard;
use assay_firmware::console::ProtectFault;

use crate::clock::CORE_HZ;
use crate::pac::FLASH;
use crate::protection::{in_use, pages, range, read, with};
use crate::watchdog::Independent;

/// Keys of RM0351 3.3.5, and of 3.4.2.
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];
/// The flags of an operation that failed, of FLASH_SR (RM0351 3.7.5).
const ERRORS: u32 = 0x0000_C3FA;
/// OPTSTRT, OBL_LAUNCH, OPTLOCK, LOCK of FLASH_CR (RM0351 3.7.6).
const PROGRAM: u32 = 1 << 17;
const LOAD: u32 = 1 << 27;
const LOCKS: u32 = 3 << 30;
/// Which of the bank's two ranges is taken first: the second, since tools and people begin with the first.
const ORDER: [usize; 2] = [1, 0];

/// How long a restart is waited for: 0.1 s.
const RESTART_CYCLES: u32 = CORE_HZ / 10;

/// The record of this board.
pub(crate) const GUARD: Guard = Guard {
    state: read,
    protect: Some(protect),
    undo,
};

fn undo() -> &'static str {
    let (bank, first, last) = pages();
    let touches = |nth: usize| {
        // SAFETY: a register of the controller, which reads do not change.
        let range = in_use(unsafe { range(bank, nth).read_volatile() });
        range.is_some_and(|(start, end)| start <= last && first <= end)
    };
    match (bank, touches(0), touches(1)) {
        (0, true, true) => {
            "STM32_Programmer_CLI -c port=SWD -ob WRP1A_STRT=0xFF WRP1A_END=0x00 WRP1B_STRT=0xFF WRP1B_END=0x00"
        }
        (0, true, false) => "STM32_Programmer_CLI -c port=SWD -ob WRP1A_STRT=0xFF WRP1A_END=0x00",
        (0, false, _) => "STM32_Programmer_CLI -c port=SWD -ob WRP1B_STRT=0xFF WRP1B_END=0x00",
        (_, true, true) => {
            "STM32_Programmer_CLI -c port=SWD -ob WRP2A_STRT=0xFF WRP2A_END=0x00 WRP2B_STRT=0xFF WRP2B_END=0x00"
        }
        (_, true, false) => "STM32_Programmer_CLI -c port=SWD -ob WRP2A_STRT=0xFF WRP2A_END=0x00",
        (_, false, _) => "STM32_Programmer_CLI -c port=SWD -ob WRP2B_STRT=0xFF WRP2B_END=0x00",
    }
}

/// Puts the record's pages into a range that protects nothing yet, and has the chip load that, which restarts it. Returns when
/// it did not.
fn protect() -> Result<(), ProtectFault> {
    let (bank, first, last) = pages();
    // SAFETY: a register of the controller, which reads do not change.
    let free = |nth: &usize| in_use(unsafe { range(bank, *nth).read_volatile() }).is_none();
    let free = ORDER.into_iter().find(free).ok_or(ProtectFault::InUse)?;
    let register = range(bank, free);
    // SAFETY: as above.
    let before = unsafe { register.read_volatile() };
    // SAFETY: the other users of the controller are the settings and the record, whose operations are whole when this is called.
    let flash = unsafe { &*FLASH::ptr() };
    Independent::kick();
    while flash.sr().read().bsy().bit_is_set() {}
    // SAFETY: the registers take any number; these, in this order, unlock. Flags are cleared by writing ones to them. The range's
    // register is the controller's, and its start and end are pages of the bank.
    unsafe {
        // An open lock takes no keys.
        if flash.cr().read().lock().bit_is_set() {
            for key in KEYS {
                flash.keyr().write(|w| w.bits(key));
            }
        }
        for key in OPTION_KEYS {
            flash.optkeyr().write(|w| w.bits(key));
        }
        flash.sr().write(|w| w.bits(ERRORS));
        register.write_volatile(with(register.read_volatile(), first, last));
        flash.cr().modify(|r, w| w.bits(r.bits() | PROGRAM));
    }
    while flash.sr().read().bsy().bit_is_set() {}
    let failed = flash.sr().read().bits() & ERRORS != 0;
    if failed {
        // What the register says is what is in force.
        // SAFETY: the range's register, as it was.
        unsafe { register.write_volatile(before) };
    } else {
        // SAFETY: the bit asks for a restart.
        flash.cr().modify(|r, w| unsafe { w.bits(r.bits() | LOAD) });
        // It comes within some microseconds; a chip that goes on has refused.
        cortex_m::asm::delay(RESTART_CYCLES);
    }
    Independent::kick();
    // SAFETY: both bits lock.
    flash
        .cr()
        .modify(|r, w| unsafe { w.bits(r.bits() | LOCKS) });
    Err(ProtectFault::Refused)
}
