//! Frames over a serial line: [`embedded_io`] in, [`assay_common::protocol`] packets out, and back.
//!
//! The receiver is in step again after any garbage; what it drops, it counts ([`LinkCounters`]).

mod panic;

use assay_common::protocol::{
    Chunk, FrameDecoder, FrameKind, MAX_VERIFIER_PACKET, write_frame_parts,
};
use embedded_io::{Read, ReadReady, Write};

pub use panic::{MAX_PANIC_TEXT, panic_frame};

/// The serial port failed. What kind of failure it was only the board can say, and it has said so by its own
/// counters; the agent begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkError;

impl core::fmt::Display for LinkError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the serial port failed")
    }
}

impl core::error::Error for LinkError {}

/// What became of frames that came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkCounters {
    /// Whole packets.
    pub packets: u32,
    /// Frames dropped: noise, lost bytes, too long.
    pub dropped: u32,
    /// Packets of a kind this agent does not know.
    pub unknown: u32,
}

/// Both directions of the line.
pub struct Link<S> {
    serial: S,
    decoder: FrameDecoder<MAX_VERIFIER_PACKET>,
    counters: LinkCounters,
}

impl<S: Read + ReadReady + Write> Link<S> {
    /// A link over a serial port.
    pub const fn new(serial: S) -> Self {
        Self {
            serial,
            decoder: FrameDecoder::new(),
            counters: LinkCounters {
                packets: 0,
                dropped: 0,
                unknown: 0,
            },
        }
    }

    /// What came in so far.
    pub const fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// Takes what has arrived, at most up to the end of one message; true when a message is at
    /// [`parts`](Self::parts). Never waits.
    ///
    /// # Errors
    ///
    /// [`LinkError`] when the port fails.
    pub fn poll(&mut self) -> Result<bool, LinkError> {
        while self.serial.read_ready().map_err(|_| LinkError)? {
            let mut byte = [0];
            if self.serial.read(&mut byte).map_err(|_| LinkError)? == 0 {
                // The end of the stream: only a host-side stand-in has one.
                return Err(LinkError);
            }
            let [byte] = byte;
            match self.decoder.push(byte) {
                None => {}
                Some(Ok(FrameKind::MESSAGE)) => {
                    self.counters.packets = self.counters.packets.wrapping_add(1);
                    return Ok(true);
                }
                Some(Ok(_)) => self.counters.unknown = self.counters.unknown.wrapping_add(1),
                Some(Err(_)) => self.counters.dropped = self.counters.dropped.wrapping_add(1),
            }
        }
        Ok(false)
    }

    /// The message that [`poll`](Self::poll) found, and the way to answer it.
    pub fn parts(&mut self) -> (&[u8], Sender<'_, S>) {
        (
            self.decoder.body(),
            Sender {
                serial: &mut self.serial,
            },
        )
    }

    /// The way out alone.
    pub const fn sender(&mut self) -> Sender<'_, S> {
        Sender {
            serial: &mut self.serial,
        }
    }
}

/// The sending half.
pub struct Sender<'s, S> {
    serial: &'s mut S,
}

impl<S: Write> Sender<'_, S> {
    /// Sends one frame and waits until it is out of the agent's hands.
    ///
    /// # Errors
    ///
    /// [`LinkError`] when the port fails.
    pub fn send(&mut self, kind: FrameKind, body: &[u8]) -> Result<(), LinkError> {
        self.send_parts(kind, &[body])
    }

    fn send_parts(&mut self, kind: FrameKind, body: &[&[u8]]) -> Result<(), LinkError> {
        write_frame_parts(kind, body, &mut |bytes| write_all(self.serial, bytes))?;
        self.serial.flush().map_err(|_| LinkError)
    }
}

/// As `embedded_io::Write::write_all`, but a port that takes nothing, or says that it took more than there was, has failed:
/// there it is a panic.
pub(crate) fn write_all<S: Write>(serial: &mut S, mut bytes: &[u8]) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let taken = serial.write(bytes).map_err(|_| LinkError)?;
        bytes = match bytes.get(taken..) {
            Some(rest) if taken > 0 => rest,
            _ => return Err(LinkError),
        };
    }
    Ok(())
}

/// Where an evidence source puts the pieces of a long field. One implementor writes them to the line; the tests
/// have another that keeps them.
pub trait BlobSink {
    /// Sends one piece. Pieces of a blob come in order; offset 0 begins it.
    ///
    /// # Errors
    ///
    /// [`LinkError`] when the line fails, or the piece is longer than [`MAX_CHUNK`](assay_common::protocol::MAX_CHUNK).
    fn chunk(&mut self, blob: u8, offset: u32, bytes: &[u8]) -> Result<(), LinkError>;
}

impl<S: Write> BlobSink for Sender<'_, S> {
    fn chunk(&mut self, blob: u8, offset: u32, bytes: &[u8]) -> Result<(), LinkError> {
        let chunk = Chunk {
            blob,
            offset,
            bytes,
        };
        let mut head = [0; Chunk::MAX_HEAD];
        let head = chunk.write_head(&mut head).map_err(|_| LinkError)?;
        self.send_parts(FrameKind::CHUNK, &[head, bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that says it took so many bytes, whatever it was given.
    struct Port {
        takes: usize,
        calls: u32,
    }

    impl embedded_io::ErrorType for Port {
        type Error = embedded_io::ErrorKind;
    }

    impl Write for Port {
        fn write(&mut self, _: &[u8]) -> Result<usize, Self::Error> {
            self.calls += 1;
            Ok(self.takes)
        }
        fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    fn send(takes: usize) -> (Result<(), LinkError>, u32) {
        let mut serial = Port { takes, calls: 0 };
        let mut sender = Sender {
            serial: &mut serial,
        };
        let result = sender.send(FrameKind::MESSAGE, b"hello");
        (result, serial.calls)
    }

    #[test]
    fn a_port_that_takes_nothing_has_failed() {
        assert_eq!(send(0), (Err(LinkError), 1));
    }

    #[test]
    fn a_port_that_takes_more_than_there_was_has_failed() {
        assert_eq!(send(1_000), (Err(LinkError), 1));
    }

    #[test]
    fn a_port_that_takes_a_byte_at_a_time_gets_all() {
        // A zero at either end; the body, its kind and its checksum with one byte of COBS before them.
        assert_eq!(send(1), (Ok(()), 2 + 1 + 1 + 5 + 4));
    }
}
