//! The memory with the provisioning record: who this node is and whom it trusts.
//!
//! QEMU loads it there (`-device loader`, README.md); the firmware never writes it.

#![expect(unsafe_code, reason = "the region is known to the linker script only")]

use core::ptr::{addr_of, slice_from_raw_parts};

unsafe extern "C" {
    /// First byte of the region, from memory.x.
    static _provisioning_start: u8;
    /// One past its last byte.
    static _provisioning_end: u8;
}

/// The whole region, 128 KiB: the record followed by zeros.
/// What is in it is for the agent to check.
pub(crate) fn region() -> &'static [u8] {
    let start = addr_of!(_provisioning_start);
    let length = addr_of!(_provisioning_end).addr() - start.addr();
    // SAFETY: link.ld gives both symbols from one memory region, which is RAM of this machine:
    // readable as bytes, outside the image and the stack, and never written by this program.
    unsafe { &*slice_from_raw_parts(start, length) }
}
