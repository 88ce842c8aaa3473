//! The part of the flash in which a board keeps its settings, from linker symbols.

#![expect(unsafe_code, reason = "the region is known to the linker script only")]

use core::ops::Range;
use core::ptr::addr_of;

unsafe extern "C" {
    /// First byte of the region, from the board's linker script.
    static _settings_start: u8;
    /// One past its last byte.
    static _settings_end: u8;
}

/// The region, in bytes from the start of the flash, which is at `base` in memory.
#[must_use]
pub fn region(base: usize) -> Range<u32> {
    let offset = |address: usize| (address - base) as u32;
    offset(addr_of!(_settings_start).addr())..offset(addr_of!(_settings_end).addr())
}
