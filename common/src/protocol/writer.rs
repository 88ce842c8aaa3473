//! Writing a message whose long fields are produced one after the other, in the buffer it is sent from.
//!
//! A node has one send buffer and no heap, while a proof's pieces come out of the TPM one by one. Field by field, this
//! writes exactly the bytes that postcard's serializer would: length prefixes are varints, closed when
//! the length is known. The tests compare the two.

use serde::Serialize;

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

    /// Appends a value in postcard form.
    pub fn value<T: Serialize>(&mut self, value: &T) {
        let free = self.buffer.get_mut(self.used..).unwrap_or(&mut []);
        match postcard::to_slice(value, free) {
            Ok(written) => self.used += written.len(),
            Err(_) => self.failed = true,
        }
    }

    /// Appends bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        match self
            .buffer
            .get_mut(self.used..)
            .and_then(|free| free.get_mut(..bytes.len()))
        {
            Some(slot) => {
                slot.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            None => self.failed = true,
        }
    }

    /// Appends a byte string with its length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let field = self.begin();
        self.raw(bytes);
        self.end(field);
    }

    /// Appends what `fill` puts into the next `room` bytes; it returns how many it used.
    ///
    /// # Errors
    ///
    /// Those of `fill`. Without `room` bytes left `fill` is not called, and the writer has overflowed.
    pub fn fill<E>(
        &mut self,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        match self
            .buffer
            .get_mut(self.used..)
            .and_then(|free| free.get_mut(..room))
        {
            Some(slot) => self.used += fill(slot)?.min(room),
            None => self.failed = true,
        }
        Ok(())
    }

    /// Opens a byte string whose content is appended next.
    pub fn begin(&mut self) -> Field {
        let prefix_at = self.used;
        self.raw(&[0; PREFIX]);
        Field { prefix_at }
    }

    /// Closes a byte string: everything appended since `begin` is its content.
    pub fn end(&mut self, field: Field) {
        let start = field.prefix_at + PREFIX;
        let len = self.used.saturating_sub(start);
        if self.failed || len > MAX_FIELD {
            self.failed = true;
            return;
        }
        let low = (len & 0x7F) as u8;
        let Some(prefix) = self.buffer.get_mut(field.prefix_at..start) else {
            self.failed = true;
            return;
        };
        if len > 0x7F {
            prefix.copy_from_slice(&[low | 0x80, (len >> 7) as u8]);
        } else {
            // One byte is enough: move the content up, so that the length has postcard's only canonical form.
            prefix.copy_from_slice(&[low, 0]);
            self.buffer.copy_within(start..self.used, start - 1);
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
