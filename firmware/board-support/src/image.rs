//! The image that runs, where it lies in flash: from the vector table to the last initial value of a variable.
//!
//! `assay image register` finds the same range by the same two symbols in the ELF file.

#![expect(unsafe_code, reason = "the image's extent is known to the linker only")]

use core::ptr::{addr_of, slice_from_raw_parts};

unsafe extern "C" {
    /// First byte of the image, from the board's linker script.
    static _image_start: u8;
    /// One past its last byte.
    static _image_end: u8;
}

/// All of the image that runs, as it lies in flash.
#[must_use]
pub fn region() -> &'static [u8] {
    let start = addr_of!(_image_start);
    let length = addr_of!(_image_end).addr() - start.addr();
    // SAFETY: the linker script gives both symbols around what it puts into flash: readable as bytes, without padding, and
    // never written while the firmware runs.
    unsafe { &*slice_from_raw_parts(start, length) }
}
