//! The link: the first of the machine's CMSDK UARTs, received by interrupt into a ring, sent by polling.
//!
//! QEMU hands over one byte at a time, the next when this one was read, so none is lost in the UART.
//! The interrupt is there to fetch them without waiting for the run loop, which sleeps up to a
//! millisecond and would make that the time of each byte.

#![expect(
    unsafe_code,
    reason = "memory-mapped registers are reached by volatile access only"
)]

use core::convert::Infallible;
use core::ptr::with_exposed_provenance_mut;

use assay_board_support::ring::Ring;
use assay_common::protocol::MAX_VERIFIER_PACKET;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::Timer;

/// UART0 ([DAI 0386] table 3-5).
const BASE: usize = 0x4000_4000;
/// Registers ([DDI 0479] 4.3).
const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CTRL: usize = 0x08;
const INTCLEAR: usize = 0x0C;
const BAUDDIV: usize = 0x10;

const STATE_TX_FULL: u32 = 1 << 0;
const STATE_RX_FULL: u32 = 1 << 1;
/// Transmitter, receiver, and the receiver's interrupt.
const CTRL_ON: u32 = 1 << 0 | 1 << 1 | 1 << 3;
const INT_RX: u32 = 1 << 1;
/// Clock / baud; 16 is the least that the UART takes. QEMU moves bytes as fast as they come.
const DIVIDER: u32 = 16;

/// Number of the receiver's interrupt.
pub(crate) const INTERRUPT: u16 = 0;

/// Room for the longest frame a verifier sends (its COBS code bytes and delimiters are fewer than
/// the 16 added) and then some: the protocol is lock-step, so no second one is on its way.
const RX_BYTES: usize = 2_176;
const _: () = assert!(RX_BYTES > MAX_VERIFIER_PACKET + 16);

static RX: Ring<RX_BYTES> = Ring::new();

fn read_register(offset: usize) -> u32 {
    // SAFETY: an aligned word of the UART's register page; reads have no effect on memory.
    unsafe { with_exposed_provenance_mut::<u32>(BASE + offset).read_volatile() }
}

fn write_register(offset: usize, value: u32) {
    // SAFETY: an aligned word of the UART's register page; the UART does no DMA.
    unsafe { with_exposed_provenance_mut::<u32>(BASE + offset).write_volatile(value) }
}

#[derive(Clone, Copy)]
struct Line;

// SAFETY: the number is that of an interrupt of this machine, below the 32 it has.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        INTERRUPT
    }
}

/// Moves what has arrived into the ring. Called by the interrupt handler only.
pub(crate) fn receive() {
    // Cleared first: a byte that comes after the last look then interrupts again.
    write_register(INTCLEAR, INT_RX);
    while read_register(STATE) & STATE_RX_FULL != 0 {
        // The ring has room for whatever the protocol allows; what is beyond is lost, and the frame's CRC tells.
        RX.push(read_register(DATA) as u8);
    }
}

/// The owner of the link.
pub(crate) struct Link {
    timer: Timer,
}

impl Link {
    /// Switches the UART on; bytes are received from here on.
    pub(crate) fn new(timer: Timer) -> Self {
        write_register(BAUDDIV, DIVIDER);
        write_register(CTRL, CTRL_ON);
        // While the receiver was off QEMU's event loop stopped looking for bytes, and switching it on does not
        // tell the loop: what has come would lie there for a second or much more. A read of DATA, here of nothing, tells it.
        read_register(DATA);
        // SAFETY: unmasking breaks no critical section: none is held here, and the handler's
        // state is static and ready.
        unsafe { NVIC::unmask(Line) };
        Self { timer }
    }
}

fn send(bytes: &[u8]) {
    for &byte in bytes {
        while read_register(STATE) & STATE_TX_FULL != 0 {}
        write_register(DATA, byte.into());
    }
}

fn drain() {
    while read_register(STATE) & STATE_TX_FULL != 0 {}
}

/// Sends from a panic or fault handler. Does nothing before [`Link::new`].
///
/// Interrupts must be disabled for good: what the owner was sending is cut off.
pub(crate) fn send_last_words(bytes: &[u8]) {
    if read_register(CTRL) & CTRL_ON == CTRL_ON {
        send(bytes);
        drain();
    }
}

impl ErrorType for Link {
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
    /// Sends everything; returns when the last byte is in the UART.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        send(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        drain();
        Ok(())
    }
}
