//! An image with every public function of `assay-common` and `assay-firmware`, which links only if none can panic.
//!
//! It is never run. The functions' addresses go where the compiler cannot follow, so it must take each of them to be called,
//! with anything. What panics calls a function that is nowhere.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "names the entry, and the function that does not exist"
)]

use core::hint::black_box;
use core::panic::PanicInfo;

use assay_no_panic::Prover;

struct Kept;

impl Prover for Kept {
    fn function<F>(&mut self, _: &F, address: *const ()) {
        black_box(address);
    }

    fn debug<F>(&mut self, _: &F, address: *const ()) {
        if cfg!(feature = "left-out") {
            black_box(address);
        }
    }

    fn walked<F>(&mut self, _: &F, address: *const ()) {
        black_box(address);
    }

    fn dropped<T>(&mut self, address: *const ()) {
        black_box(address);
    }
}

/// Where the linker begins.
// SAFETY: no other function has this name; it is not called.
#[unsafe(no_mangle)]
extern "C" fn _start() {
    assay_no_panic::all(&mut Kept);
    #[cfg(feature = "left-out")]
    assay_no_panic::left_out::all(&mut Kept);
}

#[cfg(not(feature = "explain"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn assay_a_panic_is_reachable() -> !;
    }
    // SAFETY: never called, since it is nowhere: an image that would call it does not link.
    unsafe { assay_a_panic_is_reachable() }
}

#[cfg(feature = "explain")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    black_box(info);
    loop {
        core::hint::spin_loop();
    }
}
