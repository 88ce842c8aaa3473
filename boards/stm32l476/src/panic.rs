//! Last words: a panic is reported on the link as a frame with its file and line, then the chip restarts.

#![expect(
    unsafe_code,
    reason = "last words are found by their name, the handler by its attribute"
)]

use core::panic::PanicInfo;

use assay_board_support::cortex_m::fault;
use cortex_m_rt::exception;

use crate::serial::send_last_words;

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    fault::panicked(info)
}

/// What `fault` speaks with.
// SAFETY: the name and the signature are those that `fault` declares, and nothing else defines it.
#[unsafe(no_mangle)]
fn assay_last_words(bytes: &[u8]) {
    send_last_words(bytes);
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    fault::unexpected_interrupt(number)
}
