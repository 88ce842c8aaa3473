//! Frames: how packets are cut out of a byte stream that may start in the middle, lose bytes or make some up.
//!
//! ```text
//!   line   : 00 | COBS(packet) | 00 | COBS(packet) | 00 …
//!   packet : kind u8 | body … | crc u32, little-endian
//!   crc    : CRC-32/ISO-HDLC over kind and body
//!   kind   : 1 message   postcard AgentMessage or VerifierMessage
//!            2 chunk     postcard Chunk: a piece of a long field
//!            3 panic     UTF-8 text, agent to host: where the firmware stopped
//! ```
//!
//! COBS (Cheshire, Baker 1999) leaves no zero byte in a packet, so a zero always ends a frame: whatever was lost
//! or garbled, the receiver is in step again at the next zero. The writer also *begins* with a zero, which
//! ends whatever noise the receiver had collected before. Empty frames are therefore normal and skipped.
//!
//! The CRC finds line noise. It is no security: that is the transcript's work ([`crate::login`]).
//!
//! The kinds a decoder does not know are handed out as numbers, for the caller to skip and count.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// Longest message an agent sends, bytes. A quote with 24 SHA-384 PCRs and an RSA signature fits, and so do the keys of
/// a TPM that has RSA only, with the CSR. Version 1 had 2,048, and what it knows never needs more.
pub const MAX_AGENT_MESSAGE: usize = 2304;
/// Longest message a verifier sends, bytes: small, so that a node's receive buffer can be. An SVID with an intermediate
/// certificate fits.
pub const MAX_VERIFIER_MESSAGE: usize = 2048;
/// Longest message a verifier sends by protocol version 1: an agent of that version has no room for more.
pub const MAX_VERIFIER_MESSAGE_V1: usize = 1024;
/// Bytes that a packet has around its body: the kind and the CRC.
pub const PACKET_OVERHEAD: usize = 5;
/// Longest packet an agent sends.
pub const MAX_AGENT_PACKET: usize = MAX_AGENT_MESSAGE + PACKET_OVERHEAD;
/// Longest packet a verifier sends.
pub const MAX_VERIFIER_PACKET: usize = MAX_VERIFIER_MESSAGE + PACKET_OVERHEAD;

/// A COBS block: a length byte and up to 254 others.
const BLOCK: usize = 254;

// The largest proof (24 SHA-384 PCRs 1152, attest 512, RSA-2048 signature 262, keys and lengths) must fit.
const _: () = assert!(MAX_AGENT_MESSAGE >= 24 * 48 + 512 + 262 + 64);
// The first proofs of a TPM with RSA-2048 only must fit: EK (314) and AK (280) with seven certificates (38 each), and the
// SVID key with its CSR (585), public area (280), certification (173) and the signature over that (262).
const _: () = assert!(MAX_AGENT_MESSAGE >= 314 + 280 + 7 * 38 + 585 + 280 + 173 + 262 + 64);
// A credential for an RSA-4096 EK (blob 66 + secret 512), nonces, ids and the signature must fit in every version.
const _: () = assert!(MAX_VERIFIER_MESSAGE_V1 >= 66 + 512 + 32 + 16 + 64 + 64);
// A grant with a SPIFFE ID of 256 bytes, nonces, ids and times, and two certificates of 700 bytes. What is longer the
// verifier must not send: it is the one that chooses both.
const _: () = assert!(MAX_VERIFIER_MESSAGE >= 256 + 16 + 4 * 10 + 3 * 32 + 2 * 700);

/// What a packet carries. Unknown kinds stay numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameKind(pub u8);

impl FrameKind {
    /// A postcard message.
    pub const MESSAGE: Self = Self(1);
    /// A piece of a long field.
    pub const CHUNK: Self = Self(2);
    /// The agent's last words: text that says where the firmware panicked.
    pub const PANIC: Self = Self(3);
}

/// Why a frame was dropped. The decoder is in step again when it reports one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum FrameError {
    /// Longer than the buffer.
    TooLong = 1,
    /// A COBS length byte points past the end of the frame: bytes were lost.
    Cobs = 2,
    /// Shorter than a kind and a CRC.
    TooShort = 3,
    /// The CRC does not fit: bytes were changed.
    Crc = 4,
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "frame longer than the receive buffer",
            Self::Cobs => "frame with a broken COBS block (bytes were lost)",
            Self::TooShort => "frame too short for a kind and a CRC",
            Self::Crc => "frame with a wrong CRC (bytes were changed)",
        })
    }
}

impl core::error::Error for FrameError {}

/// Computed bit by bit: a frame is a few KiB at most, and a table would cost a firmware 1 KiB of flash.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Writes one frame, with a zero before and after it, to `out` in pieces of at most 255 bytes.
///
/// Needs no buffer of the frame's size: COBS looks at most 254 bytes ahead. Never panics.
///
/// # Errors
///
/// The first error of `out`, as it is.
pub fn write_frame<E>(
    kind: FrameKind,
    body: &[u8],
    out: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    write_frame_parts(kind, &[body], out)
}

/// As [`write_frame`], with a body whose parts lie apart.
///
/// # Errors
///
/// The first error of `out`, as it is.
pub fn write_frame_parts<E>(
    kind: FrameKind,
    body: &[&[u8]],
    out: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    out(&[0])?;
    let mut digest = CRC.digest();
    let mut block = Block::new();
    let kind = [kind.0];
    for part in core::iter::once(&kind.as_slice()).chain(body) {
        digest.update(part);
        block.extend(part, out)?;
    }
    block.extend(&digest.finalize().to_le_bytes(), out)?;
    block.flush(out)?;
    out(&[0])
}

/// One COBS block under construction: `bytes[0]` becomes the length byte.
struct Block {
    bytes: [u8; BLOCK + 1],
    used: usize,
}

impl Block {
    const fn new() -> Self {
        Self {
            bytes: [0; BLOCK + 1],
            used: 1,
        }
    }

    fn extend<E>(
        &mut self,
        data: &[u8],
        out: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for &byte in data {
            // A full block (length byte 255) says "no zero follows", so it must be sent before the next byte
            // is looked at.
            if self.used == BLOCK + 1 {
                self.flush(out)?;
            }
            if byte == 0 {
                self.flush(out)?;
            } else if let Some(slot) = self.bytes.get_mut(self.used) {
                *slot = byte;
                self.used += 1;
            }
        }
        Ok(())
    }

    fn flush<E>(&mut self, out: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let (used, full) = (self.used, self.bytes.len());
        if let Some(head) = self.bytes.first_mut() {
            *head = u8::try_from(used.min(full)).unwrap_or(u8::MAX);
        }
        self.used = 1;
        out(self.bytes.get(..used).unwrap_or(&[]))
    }
}

/// Cuts packets out of a byte stream. `N` is the longest packet accepted, kind and CRC included.
///
/// Takes one byte at a time and never panics, whatever comes.
pub struct FrameDecoder<const N: usize> {
    packet: [u8; N],
    len: usize,
    /// Bytes left in the present COBS block.
    left: u8,
    /// Whether the present block stands for a zero after it.
    owes_zero: bool,
    fault: Option<FrameError>,
    /// Whether any byte came since the last zero.
    begun: bool,
    /// Length of the last whole packet, while it still stands in the buffer.
    whole: usize,
}

impl<const N: usize> FrameDecoder<N> {
    /// An empty decoder, in step at the next zero byte (or at once, if the stream starts with a frame).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            packet: [0; N],
            len: 0,
            left: 0,
            owes_zero: false,
            fault: None,
            begun: false,
            whole: 0,
        }
    }

    /// Takes one byte; returns a packet (or why it was dropped) when the byte ended a frame that was not
    /// empty. The packet's body stays at [`body`](Self::body) until the next call.
    pub fn push(&mut self, byte: u8) -> Option<Result<FrameKind, FrameError>> {
        self.whole = 0;
        if byte == 0 {
            return self.end();
        }
        self.begun = true;
        if self.left == 0 {
            // A length byte. The zero that the block before stood for comes first.
            if self.owes_zero {
                self.store(0);
            }
            self.owes_zero = byte != u8::MAX;
            self.left = byte - 1;
        } else {
            self.left -= 1;
            self.store(byte);
        }
        None
    }

    /// The body of the packet that the last [`push`](Self::push) completed; empty at any other time.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let end = self.whole.saturating_sub(4);
        self.packet.get(1..end).unwrap_or(&[])
    }

    fn store(&mut self, byte: u8) {
        match self.packet.get_mut(self.len) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
            }
            None => self.fault = Some(FrameError::TooLong),
        }
    }

    fn end(&mut self) -> Option<Result<FrameKind, FrameError>> {
        let (begun, len, left, fault) = (self.begun, self.len, self.left, self.fault.take());
        (self.begun, self.len, self.left, self.owes_zero) = (false, 0, 0, false);
        if !begun {
            return None;
        }
        if let Some(fault) = fault {
            return Some(Err(fault));
        }
        if left != 0 {
            return Some(Err(FrameError::Cobs));
        }
        let kind = check_packet(self.packet.get(..len).unwrap_or(&[]));
        if kind.is_ok() {
            self.whole = len;
        }
        Some(kind)
    }
}

impl<const N: usize> Default for FrameDecoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

fn check_packet(packet: &[u8]) -> Result<FrameKind, FrameError> {
    let checked = packet.len().checked_sub(4);
    let parts = checked.and_then(|checked| packet.split_at_checked(checked));
    let (checked, crc) = parts.ok_or(FrameError::TooShort)?;
    let kind = checked.first().ok_or(FrameError::TooShort)?;
    if CRC.checksum(checked).to_le_bytes() != crc {
        return Err(FrameError::Crc);
    }
    Ok(FrameKind(*kind))
}
