//! The empty image: start-up, a panic handler, nothing else. What it takes is not the TPM part's.
#![no_std]
#![no_main]

use cortex_m as _;

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
