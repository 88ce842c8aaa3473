//! Writing a message whose long fields are produced one after the other, in the buffer it is sent from.
//!
//! A node has one send buffer and no heap, while a proof's pieces come out of the TPM one by one. Field by field, this
//! writes exactly the bytes that postcard's serializer would: length prefixes are varints, closed when
//! the length is known. The tests compare the two.

use super::message::EncodeError;

/// Bytes kept for a length prefix while its field is open: enough for 16,383 bytes.
const PREFIX: usize = 2;
const MAX_FIELD: usize = 0x3FFF;

/// An open length-prefixed field. Fields nest; they are closed in the reverse order.
#[derive(Debug)]
#[must_use = "an open field has no length yet"]
pub struct Field {
    prefix_at: usize,
}

/// Writes postcard piece by piece into a buffer. After an overflow every further call fails as well.
pub struct MessageWriter<'a> {
    buffer: &'a mut [u8],
    used: usize,
    failed: bool,
}

impl<'a> MessageWriter<'a> {
    /// A writer at the front of `buffer`.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            used: 0,
            failed: false,
        }
    }

    /// Appends one byte.
    pub fn byte(&mut self, byte: u8) {
        self.raw(&[byte]);
    }

    /// Appends a number other than a `u8`: the shortest varint, seven bits a byte, the lowest first.
    pub fn number(&mut self, number: u32) {
        let mut rest = number;
        while rest > 0x7F {
            self.byte(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.byte(rest as u8);
    }

    /// Appends bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        match self
            .buffer
            .get_mut(self.used..)
            .and_then(|free| free.get_mut(..bytes.len()))
        {
            // As long as each other, which the compiler does not follow: `copy_from_slice` would keep a panic.
            Some(slot) => {
                for (to, from) in slot.iter_mut().zip(bytes) {
                    *to = *from;
                }
                self.used += bytes.len();
            }
            None => self.failed = true,
        }
    }

    /// Appends a byte string with its length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        // Saturated, it would be longer than any buffer.
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.raw(bytes);
    }

    /// The next `room` bytes, for a producer that needs a buffer; how many of them count is said by
    /// [`advance`](Self::advance). `None` when there are fewer: the writer has overflowed then.
    pub fn spare(&mut self, room: usize) -> Option<&mut [u8]> {
        let spare = self.buffer.get_mut(self.used..);
        let spare = spare.and_then(|free| free.get_mut(..room));
        self.failed |= spare.is_none();
        spare
    }

    /// Appends the first `len` bytes of what [`spare`](Self::spare) gave.
    pub const fn advance(&mut self, len: usize) {
        self.used += len;
    }

    /// Opens a byte string whose content is appended next.
    pub fn begin(&mut self) -> Field {
        let prefix_at = self.used;
        self.raw(&[0; PREFIX]);
        Field { prefix_at }
    }

    /// Closes a byte string: everything appended since `begin` is its content.
    pub fn end(&mut self, field: Field) {
        let whole = self.buffer.get_mut(field.prefix_at..self.used);
        let (Some([first, second, content @ ..]), false) = (whole, self.failed) else {
            self.failed = true;
            return;
        };
        let len = content.len();
        *first = len as u8 & 0x7F;
        if len > MAX_FIELD {
            self.failed = true;
        } else if len > 0x7F {
            *first |= 0x80;
            *second = (len >> 7) as u8;
        } else {
            // One byte is enough: move the content up, so that the length has postcard's only canonical form.
            // Byte by byte, at most 127 of them: `copy_within` would bring in `memmove`, which takes 1.6 KB and
            // has no other caller on a node.
            let mut to = second;
            for byte in content {
                core::mem::swap(to, byte);
                to = byte;
            }
            self.used -= 1;
        }
    }

    /// The message.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when anything did not fit.
    pub fn finish(self) -> Result<&'a [u8], EncodeError> {
        if self.failed {
            return Err(EncodeError);
        }
        self.buffer.get(..self.used).ok_or(EncodeError)
    }
}
