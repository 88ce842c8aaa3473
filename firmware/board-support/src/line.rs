//! The link of a board with a UART: received by interrupt into a ring, sent by polling.
//!
//! At 921,600 baud a byte arrives every 11 µs, and the driver may be busy with the TPM for seconds, so reception
//! cannot wait for the run loop. Sending can: the frame to send is complete in the agent's buffer and nothing else is to be
//! done meanwhile.
//!
//! A board brings the registers: [`Uart`] for sending, and an interrupt handler that gives each byte to a [`Receiver`].

use core::convert::Infallible;
use core::sync::atomic::{AtomicU32, Ordering};

use assay_common::protocol::{MAX_AGENT_PACKET, MAX_VERIFIER_PACKET};
use assay_firmware::platform::Platform;
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::ring::Ring;

/// Room for the longest frame a verifier sends (its COBS code bytes and delimiters are fewer than the 16 added) and then
/// some: the protocol is lock-step, so no second one is on its way.
pub const RX_BYTES: usize = 2_176;
const _: () = assert!(RX_BYTES > MAX_VERIFIER_PACKET + 16);

/// Milliseconds to send the longest frame, its code bytes and delimiters below 16, at ten bits per byte. Nobody kicks
/// the watchdog meanwhile: a board checks that its watchdog waits longer.
#[must_use]
pub const fn longest_send_ms(baud: u32) -> u32 {
    (MAX_AGENT_PACKET as u32 + 16) * 10 * 1_000 / baud
}

/// What a UART reports beside a byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineError {
    /// A byte before this one was lost in the UART.
    pub overrun: bool,
    /// A framing, parity or noise error, or a break.
    pub garbled: bool,
}

/// The ring, and what went wrong on the line since start-up. Frames that suffered fail their CRC; the counters tell a
/// developer with a debugger why.
pub struct Receiver {
    ring: Ring<RX_BYTES>,
    /// Bytes lost in the UART: the interrupt came too late.
    pub overrun: AtomicU32,
    /// Bytes lost because the ring was full: the run loop came too late.
    pub dropped: AtomicU32,
    /// Bytes with a framing or noise error: wrong baud rate, long or loose wires.
    pub garbled: AtomicU32,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// Empty, all zero, so that it lies in `.bss` and costs no flash.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring: Ring::new(),
            overrun: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            garbled: AtomicU32::new(0),
        }
    }

    /// Takes a byte from the UART. For the interrupt handler alone.
    pub fn take(&self, byte: u8) {
        if !self.ring.push(byte) {
            count(&self.dropped);
        }
    }

    /// Counts what the UART reports. For the interrupt handler alone.
    pub fn note(&self, error: LineError) {
        if error.overrun {
            count(&self.overrun);
        }
        if error.garbled {
            count(&self.garbled);
        }
    }
}

/// Not a read-modify-write, which ARMv6-M and RISC-V without atomics lack; there is one writer.
fn count(counter: &AtomicU32) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// The sending half of a UART, which cannot fail.
pub trait Uart {
    /// Sends everything; returns when the last byte is in the UART. Must not wait for an interrupt.
    fn send(&mut self, bytes: &[u8]);

    /// Waits until the last stop bit has left.
    fn drain(&mut self);
}

/// The owner of the link.
pub struct Line<U, P> {
    uart: U,
    platform: P,
    receiver: &'static Receiver,
}

impl<U: Uart, P: Platform> Line<U, P> {
    /// A link over a UART that is on and whose interrupt feeds `receiver`.
    pub const fn new(uart: U, platform: P, receiver: &'static Receiver) -> Self {
        Self {
            uart,
            platform,
            receiver,
        }
    }
}

impl<U, P> ErrorType for Line<U, P> {
    // Line errors are counted, and found by the frame's CRC; they do not end a read.
    type Error = Infallible;
}

impl<U: Uart, P: Platform> Read for Line<U, P> {
    /// Waits, asleep and with the watchdog kept quiet, until at least one byte is there.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let taken = self.receiver.ring.pop(buffer);
            if taken > 0 {
                return Ok(taken);
            }
            self.platform.kick_watchdog();
            self.platform.idle();
        }
    }
}

impl<U: Uart, P: Platform> ReadReady for Line<U, P> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.receiver.ring.is_empty())
    }
}

impl<U: Uart, P: Platform> Write for Line<U, P> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.uart.send(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.uart.drain();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Wire(Vec<u8>, usize);

    impl Uart for Wire {
        fn send(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }

        fn drain(&mut self) {
            self.1 = self.0.len();
        }
    }

    /// A byte arrives in the third sleep.
    struct Sleeper(&'static Receiver, u32, u32);

    impl Platform for Sleeper {
        fn now_us(&mut self) -> u64 {
            0
        }

        fn idle(&mut self) {
            self.1 += 1;
            if self.1 == 3 {
                self.0.take(42);
            }
        }

        fn kick_watchdog(&mut self) {
            self.2 += 1;
        }
    }

    fn line() -> (Line<Wire, Sleeper>, &'static Receiver) {
        let receiver: &'static Receiver = Box::leak(Box::new(Receiver::new()));
        let sleeper = Sleeper(receiver, 0, 0);
        (Line::new(Wire::default(), sleeper, receiver), receiver)
    }

    #[test]
    fn a_read_sleeps_until_a_byte_is_there_and_kicks_the_watchdog_each_time() {
        let (mut line, _) = line();
        assert_eq!(line.read_ready(), Ok(false));
        let mut buffer = [0; 4];
        assert_eq!(line.read(&mut buffer), Ok(1));
        assert_eq!(
            (buffer, line.platform.1, line.platform.2),
            ([42, 0, 0, 0], 3, 3)
        );
    }

    #[test]
    fn a_read_into_nothing_does_not_wait() {
        let (mut line, _) = line();
        assert_eq!((line.read(&mut []), line.platform.1), (Ok(0), 0));
    }

    #[test]
    fn what_the_ring_cannot_hold_is_counted_and_the_rest_is_kept() {
        let (mut line, receiver) = line();
        for byte in 0..RX_BYTES + 2 {
            receiver.take(byte as u8);
        }
        assert_eq!(receiver.dropped.load(Ordering::Relaxed), 3);
        let mut buffer = vec![0; RX_BYTES];
        assert_eq!(line.read(&mut buffer), Ok(RX_BYTES - 1));
        assert!(
            (0..RX_BYTES - 1)
                .zip(&buffer)
                .all(|(at, byte)| *byte == at as u8)
        );
        assert_eq!(line.read_ready(), Ok(false));
    }

    #[test]
    fn errors_of_the_line_are_told_apart() {
        let receiver = Receiver::new();
        let counts = || {
            let counters = [&receiver.overrun, &receiver.garbled, &receiver.dropped];
            counters.map(|counter| counter.load(Ordering::Relaxed))
        };
        receiver.note(LineError::default());
        assert_eq!(counts(), [0, 0, 0]);
        receiver.note(LineError {
            overrun: true,
            garbled: false,
        });
        receiver.note(LineError {
            overrun: true,
            garbled: true,
        });
        assert_eq!(counts(), [2, 1, 0]);
    }

    #[test]
    fn writing_sends_everything_and_a_flush_waits_for_it() {
        let (mut line, _) = line();
        assert_eq!((line.write(&[1, 2, 3]), line.uart.1), (Ok(3), 0));
        assert_eq!((line.flush(), line.uart.1), (Ok(()), 3));
        assert_eq!(line.uart.0, [1, 2, 3]);
    }

    #[test]
    fn the_longest_frame_takes_a_fifth_of_a_second_at_115200_baud() {
        assert!((150..250).contains(&longest_send_ms(115_200)));
    }
}
