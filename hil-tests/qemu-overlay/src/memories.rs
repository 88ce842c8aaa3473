//! Memory that an RP2350 has and the machine has not. Handled with QEMU's lock held.
#![expect(unsafe_code, reason = "QEMU's interface is C")]

use std::ffi::c_void;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::blocks::rp::{rom, xip};
use crate::chip::Memory;
use crate::qemu;

/// Larger than QEMU's `MemoryRegion` in any version seen (272 bytes in 7.2).
type RegionStorage = [u64; 512];

/// The flash's region; 0 where the machine's own serves.
static FLASH: AtomicUsize = AtomicUsize::new(0);

/// Room for a region that is never freed, zeroed.
#[must_use]
pub fn storage() -> *mut c_void {
    let storage: &'static mut RegionStorage = Box::leak(Box::new([0; 512]));
    ptr::from_mut(storage).cast()
}

/// Lays them over the machine while it is made.
pub fn add(memories: &[Memory]) {
    for memory in memories {
        let region = storage();
        // SAFETY: the storage is zeroed, larger than a MemoryRegion, 8-aligned and never freed; the name is static; QEMU is
        // making the machine, holds its lock, and ends with a message where there is no memory left. The content is no longer
        // than the region.
        unsafe {
            let init = if memory.is_flash {
                qemu::memory_region_init_rom
            } else {
                qemu::memory_region_init_ram
            };
            let (name, error) = (memory.name.as_ptr(), &raw mut qemu::error_fatal);
            init(region, ptr::null_mut(), name, memory.len, error);
            let bytes = qemu::memory_region_get_ram_ptr(region).cast::<u8>();
            ptr::copy_nonoverlapping(memory.content.as_ptr(), bytes, memory.content.len());
            qemu::memory_region_add_subregion_overlap(
                qemu::get_system_memory(),
                memory.base,
                region,
                // Below the parts that the board writes.
                qemu::MEMORY,
            );
        }
        if memory.is_flash {
            FLASH.store(region.expose_provenance(), Ordering::Relaxed);
        }
    }
}

/// Makes memory of the flash, or takes it away, with the code in it.
pub fn show_flash(is_memory: bool) {
    static SHOWN: AtomicBool = AtomicBool::new(true);
    let region = FLASH.load(Ordering::Relaxed);
    if region != 0 && SHOWN.swap(is_memory, Ordering::Relaxed) != is_memory {
        // SAFETY: the region was made above; QEMU's lock is held.
        unsafe {
            qemu::memory_region_set_enabled(ptr::with_exposed_provenance_mut(region), is_memory);
        };
    }
}

/// The address of the vector table of what is in the flash, or 0 where that is no image.
#[must_use]
pub fn flash_start() -> u64 {
    let region = FLASH.load(Ordering::Relaxed);
    if region == 0 {
        return 0;
    }
    let len = usize::try_from(xip::FLASH_LEN).unwrap_or(0);
    // SAFETY: the region was made above with this length, and nobody writes it while the core waits for this answer.
    let image = unsafe {
        let bytes = qemu::memory_region_get_ram_ptr(ptr::with_exposed_provenance_mut(region));
        slice::from_raw_parts(bytes.cast::<u8>(), len)
    };
    rom::start(image).into()
}
