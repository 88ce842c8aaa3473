//! What the boot ROM reads: the image's definition (data sheet 5.9), in the first 4 KiB of the image.
//!
//! Not signed. A chip whose one-time memory asks for secure boot wants it sealed by `picotool seal`, which puts a signed
//! block beside this one (README.md, "In the field").

#![expect(unsafe_code, reason = "the block is found by its section")]

use crate::arch;

/// Items are a byte of kind, a byte with their length in words, and two bytes of their own.
const KIND_IMAGE_TYPE: u32 = 0x42;
const KIND_LAST: u32 = 0xFF;
const MARKERS: [u32; 2] = [0xFFFF_DED3, 0xAB12_3579];

const IMAGE_TYPE: u32 = (arch::IMAGE_TYPE as u32) << 16 | 1 << 8 | KIND_IMAGE_TYPE;

/// Where the image starts. The Arm core finds it in the vector table, at the image's first word.
#[cfg(target_arch = "arm")]
type Entry = [u32; 0];
#[cfg(target_arch = "arm")]
const ENTRY: Entry = [];
#[cfg(target_arch = "riscv32")]
type Entry = arch::EntryPoint;
#[cfg(target_arch = "riscv32")]
const ENTRY: Entry = arch::ENTRY_POINT;

#[repr(C)]
struct Block {
    start: u32,
    image_type: u32,
    entry: Entry,
    last: u32,
    /// Relative address of the next block of the loop: itself.
    next: u32,
    end: u32,
}

// SAFETY: nothing else is in this section, and the linker script keeps it.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEFINITION: Block = Block {
    start: MARKERS[0],
    image_type: IMAGE_TYPE,
    entry: ENTRY,
    last: (1 + size_of::<Entry>() as u32 / 4) << 8 | KIND_LAST,
    next: 0,
    end: MARKERS[1],
};
