//! Reads the fields of a response with one check at the end.
//!
//! The counterpart of the codec's writer: the first failure sticks, be it of the command or of a field,
//! later fields read as zero or empty, and [`finish`](Fields::finish) reports it. With a `?` after
//! every call and every field the command layer had half as much flash again. The price is a rule:
//! nothing that was read may be used before `finish`, except to bound a loop that asks
//! [`is_whole`](Fields::is_whole).

use assay_common::tpm::codec::{DecodeError, Reader};
use assay_common::tpm::handle::Handle;

use super::{Malformed, TpmError};

/// A response: the handle, if the command has one, and the parameters; or why there is none.
pub(super) struct Fields<'a> {
    /// 0 when the command returns none.
    pub(super) handle: Handle,
    rest: Reader<'a>,
    error: Option<TpmError>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            handle: Handle(0),
            rest: Reader::new(bytes),
            error: None,
        }
    }

    /// No response at all.
    pub(super) const fn failed(error: TpmError) -> Self {
        Self {
            handle: Handle(0),
            rest: Reader::new(&[]),
            error: Some(error),
        }
    }

    /// Makes `error` the outcome, unless an earlier one is.
    #[inline(never)]
    pub(super) fn fail(&mut self, error: Malformed) {
        if self.error.is_none() {
            *self = Self::failed(TpmError::Malformed(error));
        }
    }

    /// Fails with [`Malformed::Value`] unless `holds`.
    pub(super) fn demand(&mut self, holds: bool) {
        if !holds {
            self.fail(Malformed::Value);
        }
    }

    #[inline(never)]
    pub(super) fn bytes(&mut self, n: usize) -> &'a [u8] {
        match self.rest.bytes(n) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fail(error.into());
                &[]
            }
        }
    }

    /// An integer of `n` bytes, at most 4.
    #[inline(never)]
    fn number(&mut self, n: usize) -> u32 {
        self.bytes(n)
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.number(1) as u8
    }

    pub(super) fn u16(&mut self) -> u16 {
        self.number(2) as u16
    }

    pub(super) fn u32(&mut self) -> u32 {
        self.number(4)
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from(self.number(4)) << 32 | u64::from(self.number(4))
    }

    /// The content of a `TPM2B` of at most `max` bytes.
    #[inline(never)]
    pub(super) fn tpm2b(&mut self, max: usize) -> &'a [u8] {
        let len = self.number(2) as usize;
        if len > max {
            self.fail(Malformed::TooLong);
            return &[];
        }
        self.bytes(len)
    }

    /// All that is left.
    pub(super) const fn rest(&mut self) -> &'a [u8] {
        self.rest.rest()
    }

    /// True while nothing has failed.
    pub(super) const fn is_whole(&self) -> bool {
        self.error.is_none()
    }

    /// Lets go of what is left unread; only whether anything failed so far.
    pub(super) fn ok(self) -> Result<(), TpmError> {
        self.error.map_or(Ok(()), Err)
    }

    /// Ends reading: everything was there, and nothing is left over.
    #[inline(never)]
    pub(super) fn finish(self) -> Result<(), TpmError> {
        match self.error {
            Some(error) => Err(error),
            None if self.rest.is_empty() => Ok(()),
            None => Err(TpmError::Malformed(Malformed::Trailing)),
        }
    }
}

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Truncated => Self::Truncated,
            DecodeError::Trailing => Self::Trailing,
            DecodeError::TooLong => Self::TooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_sticks_and_later_fields_are_empty() {
        let mut fields = Fields::new(&[0, 9, 1, 2, 3, 4, 5, 6]);
        assert_eq!(fields.tpm2b(8), []);
        assert!(!fields.is_whole());
        assert_eq!((fields.u32(), fields.u64()), (0, 0));
        fields.demand(false);
        assert_eq!(
            fields.finish(),
            Err(TpmError::Malformed(Malformed::TooLong))
        );
    }

    #[test]
    fn fields_are_read_in_order_and_to_the_end() {
        let bytes = [1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 2, 8, 9, 7];
        let mut fields = Fields::new(&bytes);
        assert_eq!((fields.u8(), fields.u16(), fields.u32()), (1, 2, 3));
        assert_eq!(fields.u64(), 4 << 32 | 5);
        assert_eq!(fields.tpm2b(2), [8, 9]);
        assert!(fields.is_whole());
        assert_eq!(
            fields.finish(),
            Err(TpmError::Malformed(Malformed::Trailing))
        );
        let mut fields = Fields::new(&bytes);
        assert_eq!(fields.bytes(20), bytes);
        assert_eq!(fields.finish(), Ok(()));
        let mut fields = Fields::new(&bytes);
        assert_eq!(fields.bytes(21), []);
        assert_eq!(
            fields.finish(),
            Err(TpmError::Malformed(Malformed::Truncated))
        );
    }
}
