//! The link: one USART, received by interrupt into a ring, sent by polling.
//!
//! At 921,600 baud a byte arrives every 11 µs, and the driver may be busy with the TPM for
//! seconds, so reception cannot wait for the run loop. Sending can: the frame to send is complete in
//! the agent's buffer and nothing else is to be done meanwhile.
//!
//! The traits are those of embedded-io 0.7; stm32f4xx-hal 0.23 has the ones of 0.6.

#![expect(
    unsafe_code,
    reason = "the interrupt handler shares the USART with its owner"
)]

use core::convert::Infallible;
use core::sync::atomic::{AtomicU32, Ordering};

use assay_board_support::ring::Ring;
use assay_common::protocol::{MAX_AGENT_PACKET, MAX_VERIFIER_PACKET};
use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorType, Read, ReadReady, Write};
use stm32f4xx_hal::pac::interrupt;
use stm32f4xx_hal::rcc::{Enable, Rcc, Reset};

use crate::Timer;
use crate::clock::APB1_HZ;
use crate::pins::LinkUsart;

/// Bits per second, both ways; 8 data bits, no parity, one stop bit, no flow control.
const BAUD: u32 = if cfg!(feature = "serial-115200") {
    115_200
} else {
    921_600
};

/// 16 times oversampling: the register holds clock / baud. 42 MHz / 921,600 = 45.57, which is 0.9 %
/// off when rounded; a receiver stands 3.3 % (RM0090 30.3.5). USART2 and USART3 are on APB1.
const DIVIDER: u16 = ((APB1_HZ + BAUD / 2) / BAUD) as u16;
const _: () = assert!(DIVIDER >= 16);

/// Milliseconds to send the longest frame, its code bytes and delimiters below 16, at ten bits per byte. Nobody kicks
/// the watchdog meanwhile, which waits 5.4 s at least.
const LONGEST_SEND_MS: u32 = (MAX_AGENT_PACKET as u32 + 16) * 10 * 1_000 / BAUD;
const _: () = assert!(LONGEST_SEND_MS < 1_000);

/// Room for the longest frame a verifier sends (its COBS code bytes and delimiters are fewer than
/// the 16 added) and then some: the protocol is lock-step, so no second one is on its way.
const RX_BYTES: usize = 2_176;
const _: () = assert!(RX_BYTES > MAX_VERIFIER_PACKET + 16);

static RX: Ring<RX_BYTES> = Ring::new();

/// Who waits for a byte in an asynchronous image.
#[cfg(feature = "embassy")]
pub(crate) static ARRIVAL: embassy_sync::waitqueue::AtomicWaker =
    embassy_sync::waitqueue::AtomicWaker::new();

/// What went wrong on the line since start-up. Frames that suffered fail their CRC; these counters
/// tell a developer with a debugger why.
pub(crate) struct LineCounters {
    /// Bytes lost in the USART: the interrupt came too late.
    pub(crate) overrun: AtomicU32,
    /// Bytes lost because the ring was full: the run loop came too late.
    pub(crate) dropped: AtomicU32,
    /// Bytes with a framing or noise error: wrong baud rate, long or loose wires.
    pub(crate) garbled: AtomicU32,
}

/// The counters of the one link.
pub(crate) static COUNTERS: LineCounters = LineCounters {
    overrun: AtomicU32::new(0),
    dropped: AtomicU32::new(0),
    garbled: AtomicU32::new(0),
};

fn count(counter: &AtomicU32) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// Moves what has arrived into the ring.
fn receive() {
    // SAFETY: the handler reads SR and DR only. The owner ([`Link`]) writes DR, which is another
    // register behind the same address, and reads SR, so neither disturbs the other.
    let usart = unsafe { &*LinkUsart::ptr() };
    let status = usart.sr().read();
    if status.rxne().bit_is_clear() && status.ore().bit_is_clear() {
        return;
    }
    // Reading SR, then DR, clears the receive flags and the errors (RM0090 30.6.1).
    let byte = usart.dr().read().dr().bits() as u8;
    if status.ore().bit_is_set() {
        count(&COUNTERS.overrun);
    }
    if status.fe().bit_is_set() || status.nf().bit_is_set() {
        count(&COUNTERS.garbled);
    }
    if status.rxne().bit_is_set() && !RX.push(byte) {
        count(&COUNTERS.dropped);
    }
    #[cfg(feature = "embassy")]
    ARRIVAL.wake();
}

#[cfg(not(feature = "feather"))]
#[interrupt]
fn USART2() {
    receive();
}

#[cfg(feature = "feather")]
#[interrupt]
fn USART3() {
    receive();
}

/// The owner of the link.
pub(crate) struct Link {
    usart: LinkUsart,
    timer: Timer,
}

impl Link {
    /// Switches the USART on; bytes are received from here on.
    pub(crate) fn new(usart: LinkUsart, timer: Timer, rcc: &mut Rcc) -> Self {
        LinkUsart::enable(rcc);
        LinkUsart::reset(rcc);
        // SAFETY: any value of at least 16 is a valid divider.
        usart.brr().write(|w| unsafe { w.bits(DIVIDER) });
        usart.cr1().write(|w| {
            w.ue()
                .set_bit()
                .te()
                .set_bit()
                .re()
                .set_bit()
                .rxneie()
                .set_bit()
        });
        #[cfg(not(feature = "feather"))]
        let line = interrupt::USART2;
        #[cfg(feature = "feather")]
        let line = interrupt::USART3;
        // SAFETY: unmasking breaks no critical section: none is held here, and the handler's
        // state is static and ready.
        unsafe { NVIC::unmask(line) };
        Self { usart, timer }
    }
}

impl ErrorType for Link {
    // Line errors are counted, and found by the frame's CRC; they do not end a read.
    type Error = Infallible;
}

impl Read for Link {
    /// Waits, asleep, until at least one byte is there.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let taken = RX.pop(buffer);
            if taken > 0 {
                return Ok(taken);
            }
            self.timer.sleep();
        }
    }
}

impl ReadReady for Link {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!RX.is_empty())
    }
}

impl Write for Link {
    /// Sends everything; returns when the last byte is in the USART.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        send(&self.usart, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        drain(&self.usart);
        Ok(())
    }
}

fn send(usart: &LinkUsart, bytes: &[u8]) {
    for &byte in bytes {
        while usart.sr().read().txe().bit_is_clear() {}
        // SAFETY: the data register takes any byte.
        usart.dr().write(|w| unsafe { w.dr().bits(byte.into()) });
    }
}

fn drain(usart: &LinkUsart) {
    while usart.sr().read().tc().bit_is_clear() {}
}

/// Sends from a panic or fault handler, whoever owns the USART. Does nothing before [`Link::new`].
///
/// Interrupts must be disabled for good: what the owner was sending is cut off.
pub(crate) fn send_last_words(bytes: &[u8]) {
    // SAFETY: the caller never returns to the owner of the USART, so nobody else uses it.
    let usart = unsafe { LinkUsart::steal() };
    if usart.cr1().read().ue().bit_is_set() {
        send(&usart, bytes);
        drain(&usart);
    }
}
