//! Big-endian reader and writer that every TPM structure, command and response goes through.
//!
//! [`Reader`] hands out slices of foreign bytes and checks every length first. [`Writer`] fills a
//! caller's buffer; its overflow is sticky, so a command is written without a `?` on every line
//! and judged once, in [`Writer::finish`]. Neither knows any TPM structure.
//!
//! The errors carry no offsets: they travel through the smallest firmware, where each extra word
//! in a `Result` costs flash in every caller.

use core::fmt;

/// Why foreign bytes are not the structure they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DecodeError {
    /// A field, or the content that a length field announces, goes beyond the input.
    Truncated = 1,
    /// The structure ended before its input did.
    Trailing = 2,
    /// A length field is above the limit of its structure.
    TooLong = 3,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "input ends inside a field",
            Self::Trailing => "bytes left over after the structure",
            Self::TooLong => "length field above its limit",
        })
    }
}

impl core::error::Error for DecodeError {}

/// Why a structure could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum EncodeError {
    /// The buffer is too small.
    Overflow = 1,
    /// A sized block is longer than its length field can say.
    TooLong = 2,
    /// A value that the structure does not allow, such as PCR 24 or a nonce where none belongs.
    Value = 3,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => "buffer too small",
            Self::TooLong => "block longer than its length field allows",
            Self::Value => "value not allowed in this structure",
        })
    }
}

impl core::error::Error for EncodeError {}

/// Takes big-endian fields from the front of a byte slice.
///
/// A failed read consumes nothing. Never panics.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub const fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(DecodeError::Truncated),
        }
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end of the input.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Takes a 16-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer than 2 bytes are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a 32-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer than 4 bytes are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a 64-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer than 8 bytes are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub const fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(DecodeError::Truncated),
        }
    }

    /// Takes a `TPM2B`: a 16-bit length and that many bytes, which are returned.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when the length or its content goes beyond the input.
    pub fn tpm2b(&mut self) -> Result<&'a [u8], DecodeError> {
        self.tpm2b_max(usize::from(u16::MAX))
    }

    /// Takes a `TPM2B` of at most `max` content bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] when the length field says more than `max`, even if the input is
    /// too short as well; otherwise as [`tpm2b`](Self::tpm2b).
    pub fn tpm2b_max(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let mut ahead = self.clone();
        let len = usize::from(ahead.u16()?);
        if len > max {
            return Err(DecodeError::TooLong);
        }
        let content = ahead.bytes(len)?;
        *self = ahead;
        Ok(content)
    }

    /// Takes everything that is left, which may be nothing.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// What is left, without taking it.
    #[must_use]
    pub const fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// Number of bytes left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// True when nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes taken between `start`, an earlier copy of this reader, and now.
    ///
    /// Empty if `start` is not an earlier state of the same reader.
    #[must_use]
    pub fn since(&self, start: &Reader<'a>) -> &'a [u8] {
        let taken = start.rest.len().saturating_sub(self.rest.len());
        start.rest.get(..taken).unwrap_or(&[])
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }
}

/// Place of a length field that is filled in later; see [`Writer::begin_u16`].
#[derive(Debug)]
#[must_use = "a block that is begun must be ended, or its length field stays 0"]
pub struct Mark(usize);

/// Puts big-endian fields into a caller's buffer.
///
/// The first failure sticks: later calls do nothing and [`finish`](Self::finish) reports it. What
/// is in the buffer after a failure has no meaning. Never panics.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
    error: Option<EncodeError>,
}

impl<'a> Writer<'a> {
    /// Starts at the first byte of `buf`, whose old content is of no account.
    #[must_use]
    pub const fn new(buf: &'a mut [u8]) -> Self {
        Self {
            buf,
            len: 0,
            error: None,
        }
    }

    /// Makes `error` the outcome, unless an earlier one is.
    pub fn fail(&mut self, error: EncodeError) {
        self.error = self.error.or(Some(error));
    }

    /// Puts `bytes` as they are.
    pub fn put(&mut self, bytes: &[u8]) {
        if let Some(space) = self.space(bytes.len()) {
            copy(space, bytes);
        }
    }

    /// Puts `n` zero bytes.
    pub fn zeros(&mut self, n: usize) {
        if let Some(space) = self.space(n) {
            space.fill(0);
        }
    }

    /// Puts one byte.
    pub fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Puts a 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Puts a 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Puts a 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// Puts a `TPM2B`: the length of `bytes` in 16 bits, then `bytes`.
    ///
    /// More than 65,535 bytes fail with [`EncodeError::TooLong`].
    pub fn tpm2b(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(len) => {
                self.u16(len);
                self.put(bytes);
            }
            Err(_) => self.fail(EncodeError::TooLong),
        }
    }

    /// Opens a block with a 16-bit length field in front, to be closed by
    /// [`end_u16`](Self::end_u16). Blocks may be nested.
    pub fn begin_u16(&mut self) -> Mark {
        let mark = Mark(self.len);
        self.u16(0);
        mark
    }

    /// Closes a block: its length field gets the number of bytes put since.
    pub fn end_u16(&mut self, mark: Mark) {
        let len = self.len.saturating_sub(mark.0.saturating_add(2));
        match u16::try_from(len) {
            Ok(len) => self.patch(mark.0, &len.to_be_bytes()),
            Err(_) => self.fail(EncodeError::TooLong),
        }
    }

    /// Opens a block with a 32-bit length field (the authorization area's), to be closed by
    /// [`end_u32`](Self::end_u32), or reserves the field for [`set_u32`](Self::set_u32).
    pub fn begin_u32(&mut self) -> Mark {
        let mark = Mark(self.len);
        self.u32(0);
        mark
    }

    /// Closes a block with a 32-bit length field.
    pub fn end_u32(&mut self, mark: Mark) {
        let len = self.len.saturating_sub(mark.0.saturating_add(4));
        match u32::try_from(len) {
            Ok(len) => self.patch(mark.0, &len.to_be_bytes()),
            Err(_) => self.fail(EncodeError::TooLong),
        }
    }

    /// Fills a field reserved by [`begin_u32`](Self::begin_u32) with `value`: the `commandSize` of
    /// a header, which counts the whole command and not only what follows.
    pub fn set_u32(&mut self, mark: Mark, value: u32) {
        self.patch(mark.0, &value.to_be_bytes());
    }

    /// Number of bytes put so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True when nothing was put yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends writing and returns what was put.
    ///
    /// # Errors
    /// The first failure of any call since [`new`](Self::new).
    pub fn finish(self) -> Result<&'a mut [u8], EncodeError> {
        match self.error {
            Some(error) => Err(error),
            None => self.buf.get_mut(..self.len).ok_or(EncodeError::Overflow),
        }
    }

    fn space(&mut self, n: usize) -> Option<&mut [u8]> {
        if self.error.is_some() {
            return None;
        }
        let end = self.len.saturating_add(n);
        if end > self.buf.len() {
            self.error = Some(EncodeError::Overflow);
            return None;
        }
        let start = core::mem::replace(&mut self.len, end);
        self.buf.get_mut(start..end)
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        match self.buf.get_mut(at..at.saturating_add(bytes.len())) {
            Some(field) => copy(field, bytes),
            None => self.error = Some(EncodeError::Overflow),
        }
    }
}

/// Copies between slices of the same length.
///
/// `copy_from_slice` would check that again and keep a panic path in the firmware, since the
/// compiler does not follow the length through [`Writer::space`].
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
