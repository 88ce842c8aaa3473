//! Reading a message field by field, where no serde runs: on nodes.
//!
//! The counterpart of [`MessageWriter`](super::MessageWriter). Postcard's deserializer checks after every field; written
//! out for the messages that a node reads, that takes 4 KB of flash. Here the first failure sticks: whatever is
//! read after it is zero or empty and is thrown away by [`finish`](MessageReader::finish). What counts as a
//! failure is the same, byte for byte; the tests hold the two together.

use super::message::DecodeError;

/// Takes postcard fields from the front of a byte slice. Never panics.
#[derive(Debug)]
pub struct MessageReader<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> MessageReader<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            failed: false,
        }
    }

    /// Makes the outcome [`DecodeError::Invalid`].
    pub const fn fail(&mut self) {
        self.rest = &[];
        self.failed = true;
    }

    /// Takes `len` bytes as they are.
    pub const fn raw(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                head
            }
            None => {
                self.fail();
                &[]
            }
        }
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> u8 {
        self.raw(1).first().copied().unwrap_or(0)
    }

    /// Takes `N` bytes as they are.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.raw(N).try_into().unwrap_or([0; N])
    }

    /// Takes a `u16`.
    pub fn u16(&mut self) -> u16 {
        self.varint(u16::BITS) as u16
    }

    /// Takes a `u32`.
    pub fn u32(&mut self) -> u32 {
        self.varint(u32::BITS) as u32
    }

    /// Takes a `u64`.
    pub fn u64(&mut self) -> u64 {
        self.varint(u64::BITS)
    }

    /// Takes the length of a list or byte string; more than `max` is a failure.
    pub fn len(&mut self, max: usize) -> usize {
        let len = self.varint(usize::BITS) as usize;
        if len > max {
            self.fail();
            return 0;
        }
        len
    }

    /// Takes a byte string.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = self.len(usize::MAX);
        self.raw(len)
    }

    /// Takes a text.
    pub fn text(&mut self) -> &'a str {
        core::str::from_utf8(self.bytes()).unwrap_or_else(|_| {
            self.fail();
            ""
        })
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow. As postcard reads it: not
    /// necessarily the shortest form, but never a bit above `bits`.
    fn varint(&mut self, bits: u32) -> u64 {
        let mut value = 0;
        let mut shift = 0;
        while shift < bits {
            let byte = self.byte();
            let low = u64::from(byte & 0x7F);
            value |= low << shift;
            if byte < 0x80 {
                if low >> (bits - shift).min(7) != 0 {
                    break;
                }
                return value;
            }
            shift += 7;
        }
        self.fail();
        0
    }

    /// Ends reading; what was read counts from here on.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] when anything failed, [`DecodeError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.failed {
            Err(DecodeError::Invalid)
        } else if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }
}
