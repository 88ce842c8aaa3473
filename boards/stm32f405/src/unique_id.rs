//! The 96 bits by which the maker tells one chip from another. `[RM0090] 39.1`
//!
//! No secret: whoever has the chip reads it.

#![expect(unsafe_code, reason = "the factory's area is read by its address")]

use core::ptr::with_exposed_provenance;

const UNIQUE_ID: usize = 0x1FFF_7A10;

/// The bytes as they lie in memory.
pub(crate) fn read() -> [u8; 12] {
    // SAFETY: twelve bytes of the chip's own read-only memory.
    unsafe { with_exposed_provenance::<[u8; 12]>(UNIQUE_ID).read_volatile() }
}
