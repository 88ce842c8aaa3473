//! The boot ROM's functions for the flash (data sheet 5.4).
//!
//! While the flash is erased or written nothing can be read from it, and so no code can run from it: the steps between are
//! made from RAM ([`in_ram`]), with interrupts off.

#![expect(
    unsafe_code,
    reason = "the ROM's tables are found by address, and its functions called by pointer"
)]

#[cfg(target_arch = "arm")]
#[path = "cortex_m33.rs"]
mod in_ram;
#[cfg(target_arch = "riscv32")]
#[path = "hazard3.rs"]
mod in_ram;

use core::ptr::with_exposed_provenance;

use assay_board_support::paged_flash::{PAGE, SECTOR};

/// Where the flash is in memory.
pub(crate) const FLASH_BASE: usize = 0x1000_0000;

/// The ROM's version (data sheet 5.4.1). The first one had its tables elsewhere and was never sold.
const VERSION: usize = 0x13;
const OLDEST: u8 = 2;

/// The first 256 bytes of the boot RAM: the code by which the ROM set up the quad SPI when it started this image (data sheet
/// 5.4.8), to be called at its start.
const XIP_SETUP: usize = 0x400E_0000;
const XIP_SETUP_WORDS: usize = 64;

/// The command and the size of what is erased faster than sector by sector; nothing here is as long.
const ERASE_BLOCK: [u32; 2] = [1 << 16, 0xD8];

/// What is called while the flash cannot be read, in this order; each is the address of a function.
#[repr(C)]
struct Steps {
    /// Connects the pads.
    connect: usize,
    /// Ends the mode in which the flash is memory.
    exit_xip: usize,
    /// Does it, with `arguments`.
    work: usize,
    arguments: [u32; 4],
    /// Empties the cache, and lets go of the chip select.
    flush_cache: usize,
    /// Makes memory of the flash again.
    enter_xip: usize,
}

/// The functions, each by its address.
pub(crate) struct FlashRom {
    connect: usize,
    exit_xip: usize,
    erase: usize,
    program: usize,
    flush_cache: usize,
    /// What to add to an offset in the flash as memory for one in the chip.
    translation: u32,
}

impl FlashRom {
    /// The functions, for the part of the flash from `first` to `last`, in bytes from where the flash is in memory. `None` when the
    /// ROM has not all of them, or that part of memory is not one part of the flash: an image in a partition of a partition table sees
    /// another piece of the flash there than a bare one (data sheet 5.1.19), and maybe none.
    pub(crate) fn find(first: u32, last: u32) -> Option<Self> {
        // SAFETY: a byte of the ROM.
        let version = unsafe { with_exposed_provenance::<u8>(VERSION).read_volatile() };
        if version < OLDEST {
            return None;
        }
        let to_storage = lookup(*b"FA")?;
        // SAFETY: the function that the ROM has under this name takes an address and returns one.
        let to_storage = unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(usize) -> isize>(to_storage)
        };
        let stored = |offset: u32| {
            // SAFETY: any address may be asked for; negative is an error.
            let address = unsafe { to_storage(FLASH_BASE + offset as usize) };
            let address = usize::try_from(address).ok()?;
            u32::try_from(address.checked_sub(FLASH_BASE)?).ok()
        };
        let (start, end) = (stored(first)?, stored(last)?);
        if end.checked_sub(start) != last.checked_sub(first) {
            return None;
        }
        Some(Self {
            connect: lookup(*b"IF")?,
            exit_xip: lookup(*b"EX")?,
            erase: lookup(*b"RE")?,
            program: lookup(*b"RP")?,
            flush_cache: lookup(*b"FC")?,
            translation: start.wrapping_sub(first),
        })
    }

    /// Erases the sector at `offset`.
    pub(crate) fn erase(&self, offset: u32) {
        let [block, command] = ERASE_BLOCK;
        let offset = offset.wrapping_add(self.translation);
        self.run(self.erase, [offset, SECTOR as u32, block, command]);
    }

    /// Writes the page at `offset`.
    pub(crate) fn program(&self, offset: u32, page: &[u8; PAGE]) {
        let offset = offset.wrapping_add(self.translation);
        let from = page.as_ptr().expose_provenance() as u32;
        self.run(self.program, [offset, from, PAGE as u32, 0]);
    }

    fn run(&self, work: usize, arguments: [u32; 4]) {
        let mut setup = [0_u32; XIP_SETUP_WORDS];
        let kept = with_exposed_provenance::<[u32; XIP_SETUP_WORDS]>(XIP_SETUP);
        // SAFETY: the boot RAM is memory, and nobody writes it.
        setup.copy_from_slice(unsafe { &*kept });
        let steps = Steps {
            connect: self.connect,
            exit_xip: self.exit_xip,
            work,
            arguments,
            flush_cache: self.flush_cache,
            enter_xip: in_ram::code(setup.as_ptr().expose_provenance()),
        };
        // SAFETY: the functions are the ROM's and its copied code, with the arguments that they take. Where a page is written from
        // is in RAM: a caller's stack.
        unsafe { in_ram::take(&steps) };
    }
}

/// The address of one of the ROM's functions (data sheet 5.4.1).
fn lookup(code: [u8; 2]) -> Option<usize> {
    // SAFETY: the ROM has the lookup's address, 16 bits, here.
    let lookup = unsafe { with_exposed_provenance::<u16>(in_ram::LOOKUP).read_volatile() };
    // SAFETY: it is a function that takes a name and a kind.
    let lookup = unsafe {
        core::mem::transmute::<usize, unsafe extern "C" fn(u32, u32) -> usize>(lookup.into())
    };
    // SAFETY: any name and kind may be asked for.
    let found = unsafe { lookup(u16::from_le_bytes(code).into(), in_ram::FUNCTION) };
    (found != 0).then_some(found)
}
