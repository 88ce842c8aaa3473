//! A stand-in of the boot ROM: what starts the image, and the functions that it looks up. `[RP2350] 5.1, 5.4`
//!
//! Its functions are a few instructions each, which tell [`super::Xip`] by registers just above the ROM what was called; no
//! chip has such. The real ROM's code, its partition tables, signatures and USB loader are not here.

use super::xip::FLASH_BASE;

/// Where the ROM is.
pub const BASE: u64 = 0;
/// Bytes of the ROM.
pub const LEN: u64 = 32 * 1024;
/// The registers of the calls.
pub const CALLS_BASE: u64 = BASE + LEN;
/// Their bytes.
pub const CALLS_LEN: u64 = 0x400;
/// Where the boot RAM is.
pub const BOOT_RAM_BASE: u64 = 0x400E_0000;
/// Bytes of the boot RAM.
pub const BOOT_RAM_LEN: u64 = 0x400;
/// Where the RAM is.
pub const SRAM_BASE: u64 = 0x2000_0000;
/// Bytes of the RAM.
pub const SRAM_LEN: u64 = 520 * 1024;

/// Read: the address of the image's vector table, or 0 where there is none that the ROM would start.
pub const START: u32 = 0x00;
/// The pads are connected.
pub const CONNECT: u32 = 0x04;
/// The flash takes commands from here on.
pub const EXIT: u32 = 0x08;
/// The cache is emptied, the chip select released.
pub const FLUSH: u32 = 0x0C;
/// The flash is memory again.
pub const ENTER: u32 = 0x10;
/// Where in the flash is erased.
pub const ERASE_FROM: u32 = 0x14;
/// How many bytes of it, at once.
pub const ERASE_LEN: u32 = 0x18;
/// Where in the flash is programmed.
pub const PROGRAM_FROM: u32 = 0x1C;
/// The next four bytes for it.
pub const PROGRAM_WORD: u32 = 0x20;
/// They are all there, and are programmed.
pub const PROGRAM_END: u32 = 0x24;

/// How far into the image the ROM looks for a block, its first and last word, and the item of an image's type. `[RP2350] 5.9`
const SEARCHED: usize = 4 * 1024;
const FIRST: u32 = 0xFFFF_DED3;
const LAST: u32 = 0xAB12_3579;
/// Executable, Secure, for the Arm cores of an RP2350.
const ARM_IMAGE: u32 = 0x1021_0142;

/// What [`START`] reads as with `image` in the flash.
#[must_use]
pub fn start(image: &[u8]) -> u32 {
    let words: Vec<u32> = image
        .chunks_exact(4)
        .take(SEARCHED / 4)
        .filter_map(|word| word.try_into().ok().map(u32::from_le_bytes))
        .collect();
    let blocks = words.iter().enumerate().filter(|(_, word)| **word == FIRST);
    let found = blocks.into_iter().any(|(at, _)| {
        let block = words.get(at..).unwrap_or_default();
        // One item, the last one with the number of words before it, and the way to the next block: itself.
        matches!(block, [_, ARM_IMAGE, 0x0000_01FF, 0, LAST, ..])
    });
    if found {
        u32::try_from(FLASH_BASE).unwrap_or(0)
    } else {
        0
    }
}

/// The ROM's code, in halfwords.
pub const CODE: [u16; 106] = [
    0x2000, 0x2008, // the stack's end
    0x0041, 0, 0x0059, 0, 0x0059, 0, // start; the faults
    0x754D, 0x0202, 0, 0x005D, // "Mu", 2 and the version; 0x16: lookup
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
    // 0x40 start
    0xF44F, 0x4300, // mov.w r3, #0x8000
    0x6818, // ldr r0, [r3, START]
    0x2800, // cmp r0, #0
    0xD0FE, // beq .
    0x491A, // ldr r1, =VTOR
    0x6008, // str r0, [r1]
    0x6802, // ldr r2, [r0]
    0xF382, 0x8808, // msr msp, r2
    0x6840, // ldr r0, [r0, #4]
    0x4700, // bx r0
    // 0x58 stop
    0xE7FE, 0xBF00, // b .
    // 0x5C lookup: r0 the name, r1 the kind
    0x2904, 0xD109, // cmp r1, #4; bne none
    0xA215, // adr r2, table
    0x8813, // next: ldrh r3, [r2]
    0x2B00, 0xD005, // cmp r3, #0; beq none
    0x4283, 0xD001, // cmp r3, r0; beq found
    0x3204, 0xE7F8, // adds r2, #4; b next
    0x8850, 0x4770, // found: ldrh r0, [r2, #2]; bx lr
    0x2000, // none: movs r0, #0
    // 0x76 an address of the flash as memory is that in the flash: there is no partition
    0x4770, // bx lr
    // 0x78 connect, 0x80 exit, 0x88 flush
    0xF44F, 0x4300, 0x605B, 0x4770, // str r3, [r3, CONNECT]
    0xF44F, 0x4300, 0x609B, 0x4770, // str r3, [r3, EXIT]
    0xF44F, 0x4300, 0x60DB, 0x4770, // str r3, [r3, FLUSH]
    // 0x90 erase: r0 the offset, r1 the bytes
    0xF44F, 0x4300, 0x6158, 0x6199, 0x4770, //
    // 0x9A program: r0 the offset, r1 the bytes' address, r2 how many
    0xF44F, 0x4300, 0x61D8, // str r0, [r3, PROGRAM_FROM]
    0x2A00, 0xD004, // more: cmp r2, #0; beq done
    0x6808, 0x6218, // ldr r0, [r1]; str r0, [r3, PROGRAM_WORD]
    0x3104, 0x3A04, 0xE7F8, // adds r1, #4; subs r2, #4; b more
    0x625A, 0x4770, // done: str r2, [r3, PROGRAM_END]
    0x0000, 0xED08, 0xE000, // VTOR
    // 0xB8 table: name and address of each function
    0x4649, 0x0079, // IF
    0x5845, 0x0081, // EX
    0x4552, 0x0091, // RE
    0x5052, 0x009B, // RP
    0x4346, 0x0089, // FC
    0x4146, 0x0077, // FA
    0, 0,
];

/// What the ROM leaves in the boot RAM: code that sets up the quad SPI, to be run from wherever it was copied to.
pub const XIP_SETUP: [u16; 6] = [
    0xF44F, 0x4300, // mov.w r3, #0x8000
    0x611B, // str r3, [r3, ENTER]
    0x4770, // bx lr
    0, 0,
];

/// `code` in bytes.
#[must_use]
pub fn bytes(code: &[u16]) -> Vec<u8> {
    code.iter().flat_map(|half| half.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a panic is the test's failure")]

    use super::*;

    fn image(block: [u32; 5], at: usize) -> Vec<u8> {
        let mut image = vec![0; at];
        image.extend(block.into_iter().flat_map(u32::to_le_bytes));
        image
    }

    #[test]
    fn an_image_is_started_with_its_definition_in_its_first_part_and_not_for_another_core() {
        let block = [FIRST, ARM_IMAGE, 0x1FF, 0, LAST];
        assert_eq!(start(&image(block, 0x110)), 0x1000_0000);
        assert_eq!(start(&image(block, SEARCHED - 16)), 0);
        for nth in 0..block.len() {
            let mut wrong = block;
            wrong[nth] ^= 0x0100_0000;
            assert_eq!(start(&image(wrong, 0x110)), 0, "{nth}");
        }
    }

    #[test]
    fn each_function_is_where_the_table_has_it() {
        let code = bytes(&CODE);
        let half = |at: usize| u16::from_le_bytes([code[at], code[at + 1]]);
        assert_eq!((code[0x13], half(0x16)), (2, 0x5D));
        for at in (0xB8..0xD0).step_by(4) {
            let function = usize::from(half(at + 2) & !1);
            // Each but the last one begins with the calls' address.
            let begins = [half(function), half(function + 2)];
            assert!(begins == [0xF44F, 0x4300] || half(function) == 0x4770);
        }
    }
}
