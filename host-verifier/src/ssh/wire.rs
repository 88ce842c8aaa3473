//! Strings, integers and lists of RFC 4251 section 5.

/// Why bytes are not the field that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The field runs past the end.
    #[error("a field runs past the end")]
    Truncated,
    /// Bytes after the last field.
    #[error("{0} bytes after the last field")]
    Trailing(usize),
    /// A number that is negative, zero where it must not be, or has leading zeros.
    #[error("a number is negative or not written as short as possible")]
    Number,
    /// Not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// Reads fields one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// True when nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// As many bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn byte(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// `uint32`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// `uint64`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// `string`: bytes with their length in front.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(self.u32()?).map_err(|_| WireError::Truncated)?;
        self.bytes(len)
    }

    /// A `string` of UTF-8.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Text`].
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        core::str::from_utf8(self.string()?).map_err(|_| WireError::Text)
    }

    /// `mpint` of a positive number: its magnitude, big-endian without leading zeros.
    ///
    /// # Errors
    /// [`WireError::Truncated`]; [`WireError::Number`] for zero, a negative number, or a zero byte that is not needed.
    pub fn positive(&mut self) -> Result<&'a [u8], WireError> {
        match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|high| high & 0x80 != 0) => Ok(rest),
            number @ [1..=0x7f, ..] => Ok(number),
            _ => Err(WireError::Number),
        }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`WireError::Trailing`].
    pub fn finish(&self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            n => Err(WireError::Trailing(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, WireError};

    #[test]
    fn a_number_has_one_encoding() {
        let read = |bytes: &[u8]| {
            let mut field = (bytes.len() as u32).to_be_bytes().to_vec();
            field.extend_from_slice(bytes);
            Reader::new(&field).positive().map(<[u8]>::to_vec)
        };
        assert_eq!(read(&[0x7f]), Ok(vec![0x7f]));
        assert_eq!(read(&[0, 0x80]), Ok(vec![0x80]));
        for wrong in [&[][..], &[0], &[0, 0x7f], &[0x80], &[0, 0, 0x80]] {
            assert_eq!(read(wrong), Err(WireError::Number), "{wrong:x?}");
        }
    }

    #[test]
    fn no_field_runs_past_the_end() {
        let mut reader = Reader::new(&[0, 0, 0, 2, 7]);
        assert_eq!(reader.string(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0xff; 8]).string(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0; 7]).u64(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[1]).finish(), Err(WireError::Trailing(1)));
    }
}
