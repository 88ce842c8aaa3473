//! Log messages (feature `defmt`) on USART6: PC6, 921,600 baud, transmit only.
//!
//! PC6 is the one USART output that all boards of this folder have on a header. In QEMU it is the
//! sixth `-serial`. Decode with `defmt-print -e ELF`.
//!
//! # Why no critical section
//!
//! defmt's examples log with interrupts off. A line of 20 bytes takes 0.2 ms here, in which the
//! link would lose 20 bytes. Instead no interrupt handler of this image logs; if one did, it
//! would panic at once.

#![expect(
    unsafe_code,
    reason = "defmt's logger is a static that its trait lets be shared"
)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use defmt::Encoder;
use stm32f4xx_hal::pac::{GPIOC, USART6};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::{Enable, Rcc, Reset};

use crate::clock::APB2_HZ;

const BAUD: u32 = 921_600;
const DIVIDER: u16 = ((APB2_HZ + BAUD / 2) / BAUD) as u16;

static TAKEN: AtomicBool = AtomicBool::new(false);
static ENCODER: SharedEncoder = SharedEncoder(UnsafeCell::new(Encoder::new()));

struct SharedEncoder(UnsafeCell<Encoder>);

// SAFETY: only whoever holds `TAKEN` touches the encoder.
unsafe impl Sync for SharedEncoder {}

#[defmt::global_logger]
struct Logger;

defmt::timestamp!(
    "{=u32:ms}",
    assay_board_support::cortex_m::systick::milliseconds()
);

/// Switches the log's USART on. What is logged before is lost.
pub(crate) fn start(usart: USART6, gpioc: GPIOC, rcc: &mut Rcc) {
    let pins = gpioc.split(rcc);
    let _ = pins.pc6.into_alternate::<8>();
    USART6::enable(rcc);
    USART6::reset(rcc);
    // SAFETY: any value of at least 16 is a valid divider.
    usart.brr().write(|w| unsafe { w.bits(DIVIDER) });
    usart.cr1().write(|w| w.ue().set_bit().te().set_bit());
}

fn send(bytes: &[u8]) {
    // SAFETY: nothing else uses USART6 after `start`, and `TAKEN` admits one sender at a time.
    let usart = unsafe { &*USART6::ptr() };
    if usart.cr1().read().ue().bit_is_clear() {
        return;
    }
    for &byte in bytes {
        while usart.sr().read().txe().bit_is_clear() {}
        // SAFETY: the data register takes any byte.
        usart.dr().write(|w| unsafe { w.dr().bits(byte.into()) });
    }
}

// SAFETY: `acquire` lets one caller in at a time and panics for a second, so the calls that
// follow it, up to `release`, have the encoder for themselves.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        assert!(
            !TAKEN.swap(true, Ordering::Acquire),
            "an interrupt handler logs"
        );
        // SAFETY: `TAKEN` is ours now.
        unsafe { (*ENCODER.0.get()).start_frame(send) };
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: the caller holds `TAKEN`, by this trait's contract.
        unsafe { (*ENCODER.0.get()).end_frame(send) };
        TAKEN.store(false, Ordering::Release);
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: the caller holds `TAKEN`, by this trait's contract.
        unsafe { (*ENCODER.0.get()).write(bytes, send) };
    }
}
