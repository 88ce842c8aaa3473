//! The Cortex-M33: start, interrupts, sleep, last words.

#![expect(
    unsafe_code,
    reason = "interrupts are unmasked; last words are found by their name, the handler by its attribute"
)]

use core::panic::PanicInfo;

use assay_board_support::cortex_m::{fault, sleep};
use cortex_m::peripheral::NVIC;
use cortex_m_rt::{entry, exception};
use rp235x_pac::{Interrupt, interrupt};

use crate::serial;

/// The folder's name.
pub(crate) const BOARD: &str = "rp2350";

/// What the image says about itself to the boot ROM (data sheet 5.9.3.1): executable, secure, Arm, RP2350.
pub(crate) const IMAGE_TYPE: u16 = 0x1021;

#[entry]
fn main() -> ! {
    crate::run()
}

/// Lets the UART interrupt, and the timer end a sleep.
pub(crate) fn unmask(interrupt: Interrupt) {
    // SAFETY: unmasking breaks no critical section: none is held when a peripheral is started, and the handlers' state is
    // static and ready.
    unsafe { NVIC::unmask(interrupt) };
}

/// Sleeps until an interrupt is pending, at most until the one that `before` arms and `after` withdraws; not at all where
/// `before` says that its time is over.
pub(crate) fn sleep(before: impl FnOnce() -> bool, after: impl FnOnce()) {
    sleep::until_pending(Interrupt::TIMER0_IRQ_0, before, after);
}

#[interrupt]
fn UART0_IRQ() {
    serial::receive();
}

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    fault::panicked(info)
}

/// What `fault` speaks with.
// SAFETY: the name and the signature are those that `fault` declares, and nothing else defines it.
#[unsafe(no_mangle)]
fn assay_last_words(bytes: &[u8]) {
    serial::send_last_words(bytes);
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    fault::unexpected_interrupt(number)
}
