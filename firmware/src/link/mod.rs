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
        write_frame_parts(kind, body, &mut |bytes| {
            self.serial.write_all(bytes).map_err(|_| LinkError)
        })?;
        self.serial.flush().map_err(|_| LinkError)
    }
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
