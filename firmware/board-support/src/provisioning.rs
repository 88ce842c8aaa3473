//! The memory with the provisioning record: who this node is and whom it trusts.
//!
//! Written by a programmer beside the image, loaded by QEMU, or written by a bring-up image (`record`); never by an agent's.

#![expect(unsafe_code, reason = "the region is known to the linker script only")]

use core::ops::Range;
use core::ptr::{addr_of, slice_from_raw_parts};

unsafe extern "C" {
    /// First byte of the region, from the board's linker script.
    static _provisioning_start: u8;
    /// One past its last byte.
    static _provisioning_end: u8;
}

/// The whole region: the record followed by erased flash (0xFF; 0x00 in QEMU).
/// What is in it is for the agent to check.
#[must_use]
pub fn region() -> &'static [u8] {
    let start = addr_of!(_provisioning_start);
    let length = addr_of!(_provisioning_end).addr() - start.addr();
    // SAFETY: the linker script gives both symbols from one memory region that it keeps free of the image, the stack
    // and the variables: readable as bytes, without padding, and not written while the firmware runs.
    unsafe { &*slice_from_raw_parts(start, length) }
}

/// The same in bytes from the start of the flash, which is at `base` in memory.
#[must_use]
pub fn place(base: usize) -> Range<u32> {
    let offset = |address: usize| (address - base) as u32;
    offset(addr_of!(_provisioning_start).addr())..offset(addr_of!(_provisioning_end).addr())
}
