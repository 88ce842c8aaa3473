//! The empty image: start-up, a panic handler, and the compiler's functions that copy and clear memory (1.3 KB), which no
//! image of any use is without. What it takes is not the TPM part's.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "names the compiler's functions, and calls none of them"
)]

use cortex_m as _;

// SAFETY: these symbols exist in every image for this architecture (Run-time ABI for the Arm Architecture, 4.3.4).
unsafe extern "C" {
    fn __aeabi_memcpy();
    fn __aeabi_memcpy4();
    fn __aeabi_memclr();
    fn __aeabi_memclr4();
}

#[used]
static MEMORY_FUNCTIONS: [unsafe extern "C" fn(); 4] = [
    __aeabi_memcpy,
    __aeabi_memcpy4,
    __aeabi_memclr,
    __aeabi_memclr4,
];

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
