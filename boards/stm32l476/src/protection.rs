//! What the option bytes say of the record's pages, and of reading the flash. `[RM0351] 3.4, 3.7`
//!
//! A bank has two ranges of pages that can be write-protected. The record lies in one bank.

#![expect(
    unsafe_code,
    reason = "the settings own the flash controller, and this only reads registers of it; those of a range are found by \
              their offset"
)]

use assay_board_support::provisioning;
use assay_firmware::platform::{Protection, ReadOut, WriteProtection};

use crate::pac::FLASH;

/// Where the flash is in memory.
const FLASH_BASE: usize = 0x0800_0000;
/// Bytes of a page.
const PAGE: usize = 2 * 1024;
/// Pages of a bank. A chip with one bank has no more.
const BANK_PAGES: usize = 256;
/// FLASH_WRP1AR and FLASH_WRP2AR in words from the first register; the bank's other range follows.
const FIRST_BANK: usize = 0x2C / 4;
const SECOND_BANK: usize = 0x4C / 4;
/// First page and last page in a range's register. One whose first is after its last is none.
const START: u32 = 0xFF;
const END: u32 = 0xFF << 16;
/// RDP at its two ends; everything between is level 1.
const LEVEL_0: u32 = 0xAA;
const LEVEL_2: u32 = 0xCC;

/// Bank (0 or 1), first page and last page of the record, pages as the bank counts them.
pub(crate) fn pages() -> (usize, u32, u32) {
    let record = provisioning::region().as_ptr_range();
    let page = |address: usize| (address - FLASH_BASE) / PAGE;
    let (first, last) = (page(record.start.addr()), page(record.end.addr() - 1));
    let within = |page: usize| (page % BANK_PAGES) as u32;
    (first / BANK_PAGES % 2, within(first), within(last))
}

/// The register of one of the two ranges (0 or 1) of a bank.
pub(crate) fn range(bank: usize, nth: usize) -> *mut u32 {
    let first = FLASH::ptr().cast_mut().cast::<u32>();
    let bank = if bank == 0 { FIRST_BANK } else { SECOND_BANK };
    first.wrapping_add(bank + (nth & 1))
}

/// First and last page of a range; `None` when it is none.
pub(crate) fn in_use(range: u32) -> Option<(u32, u32)> {
    let (start, end) = (range & START, (range & END) >> 16);
    (start <= end).then_some((start, end))
}

/// A range's register with these pages; its other bits stay.
#[cfg(feature = "console")]
pub(crate) fn with(range: u32, first: u32, last: u32) -> u32 {
    range & !(START | END) | first | last << 16
}

/// As the chip has it in force: option bytes are loaded at power-on, and when a program asks for it.
pub(crate) fn read() -> Protection {
    let (bank, first, last) = pages();
    let ranges = [0, 1].map(|nth| {
        // SAFETY: a register of the controller, which reads do not change.
        unsafe { range(bank, nth).read_volatile() }
    });
    let is_protected = |page: u32| {
        let mut used = ranges.into_iter().filter_map(in_use);
        used.any(|(start, end)| (start..=end).contains(&page))
    };
    let write = if (first..=last).all(is_protected) {
        WriteProtection::Protected
    } else {
        WriteProtection::Open
    };
    // SAFETY: as above.
    let options = unsafe { (*FLASH::ptr()).optr().read().bits() };
    let read_out = match options & 0xFF {
        LEVEL_0 => ReadOut::Level0,
        LEVEL_2 => ReadOut::Level2,
        _ => ReadOut::Level1,
    };
    Protection { write, read_out }
}
