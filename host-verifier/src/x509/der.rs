//! DER elements: tag, definite length, contents.
//!
//! A reader walks one level and never recurses, so the depth of a structure is the depth of the
//! code that reads it. Lengths are at most [`MAX_LEN`]; nothing here allocates or panics.
//! Deliberately lenient (see [`crate::x509`]): SET order, minimal integers and canonical booleans
//! are not enforced, since signatures cover the bytes as they are. Indefinite lengths and
//! multi-byte tags never occur in certificates and are refused.

/// Longest contents accepted, in bytes.
pub const MAX_LEN: usize = 0xff_ffff;

/// Universal and context tags used in certificates.
pub mod tag {
    #![expect(missing_docs, reason = "the names are those of X.690 section 8")]
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const VISIBLE_STRING: u8 = 0x1a;
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// `[n]`, primitive.
    #[must_use]
    pub const fn context(n: u8) -> u8 {
        0x80 | n
    }

    /// `[n]`, constructed.
    #[must_use]
    pub const fn constructed(n: u8) -> u8 {
        0xa0 | n
    }
}

/// Why bytes are not the element that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The element or its header runs past the end.
    #[error("element runs past the end of the input")]
    Truncated,
    /// Another element than the structure asks for.
    #[error("tag {got:#04x} where {expected:#04x} was expected")]
    Tag {
        /// What the structure asks for.
        expected: u8,
        /// What stands there.
        got: u8,
    },
    /// A tag of several bytes.
    #[error("tag of several bytes")]
    LongTag,
    /// Indefinite, not minimal, or above [`MAX_LEN`].
    #[error("length is indefinite, not minimal or too large")]
    Length,
    /// Bytes after the last element of a structure.
    #[error("{0} bytes after the end of a structure")]
    Trailing(usize),
    /// Contents that the type does not allow.
    #[error("invalid contents of {0}")]
    Value(&'static str),
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier byte.
    pub tag: u8,
    /// The contents.
    pub contents: &'a [u8],
    /// Header and contents.
    pub raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader over the contents of a constructed element.
    #[must_use]
    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.contents)
    }
}

/// Reads elements one after the other.
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

    /// The tag of the next element, if any.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    ///
    /// # Errors
    /// [`DerError::Truncated`], [`DerError::LongTag`], [`DerError::Length`].
    pub fn any(&mut self) -> Result<Element<'a>, DerError> {
        let [tag, first, after @ ..] = self.rest else {
            return Err(DerError::Truncated);
        };
        if tag & 0x1f == 0x1f {
            return Err(DerError::LongTag);
        }
        let (len, header) = match *first {
            short @ 0..=0x7f => (usize::from(short), 2),
            count @ 0x81..=0x83 => {
                let count = usize::from(count & 0x7f);
                let bytes = after.get(..count).ok_or(DerError::Truncated)?;
                let len = bytes.iter().fold(0, |len, b| len << 8 | usize::from(*b));
                if len < 0x80 || bytes.first() == Some(&0) {
                    return Err(DerError::Length);
                }
                (len, 2 + count)
            }
            _ => return Err(DerError::Length),
        };
        let (raw, rest) = self
            .rest
            .split_at_checked(header + len)
            .ok_or(DerError::Truncated)?;
        self.rest = rest;
        Ok(Element {
            tag: *tag,
            contents: raw.get(header..).unwrap_or_default(),
            raw,
        })
    }

    /// The next element, which must carry `tag`.
    ///
    /// # Errors
    /// As [`Reader::any`], and [`DerError::Tag`].
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        let element = self.any()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(DerError::Tag {
                expected: tag,
                got: element.tag,
            })
        }
    }

    /// The next element if it carries `tag`.
    ///
    /// # Errors
    /// As [`Reader::any`].
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.peek() == Some(tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// An unsigned INTEGER of at most 64 bits.
    ///
    /// # Errors
    /// As [`Reader::expect`], and [`DerError::Value`] for a negative or longer number.
    pub fn small_uint(&mut self) -> Result<u64, DerError> {
        let contents = self.expect(tag::INTEGER)?.contents;
        if contents.first().is_none_or(|b| b & 0x80 != 0) {
            return Err(DerError::Value("integer"));
        }
        let zeros = contents.iter().take_while(|b| **b == 0).count();
        let digits = contents.get(zeros..).unwrap_or_default();
        if digits.len() > 8 {
            return Err(DerError::Value("integer"));
        }
        Ok(digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// A BOOLEAN. Any value but zero is true: old encoders wrote 01.
    ///
    /// # Errors
    /// As [`Reader::expect`], and [`DerError::Value`] when it is not one byte.
    pub fn boolean(&mut self) -> Result<bool, DerError> {
        match self.expect(tag::BOOLEAN)?.contents {
            [value] => Ok(*value != 0),
            _ => Err(DerError::Value("boolean")),
        }
    }

    /// A BIT STRING of whole bytes, as those that hold keys and signatures.
    ///
    /// # Errors
    /// As [`Reader::expect`], and [`DerError::Value`] when bits are unused.
    pub fn bit_string_bytes(&mut self) -> Result<&'a [u8], DerError> {
        match self.expect(tag::BIT_STRING)?.contents {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(DerError::Value("bit string")),
        }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`DerError::Trailing`].
    pub fn finish(&self) -> Result<(), DerError> {
        match self.rest.len() {
            0 => Ok(()),
            n => Err(DerError::Trailing(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    #[test]
    fn reads_short_and_long_lengths() {
        let mut long = vec![0x04, 0x82, 0x01, 0x00];
        long.resize(4 + 256, 7);
        let mut reader = Reader::new(&long);
        let element = reader.expect(tag::OCTET_STRING).unwrap();
        assert_eq!(element.contents.len(), 256);
        assert_eq!(element.raw.len(), 260);
        reader.finish().unwrap();
    }

    #[test]
    fn refuses_indefinite_padded_and_oversized_lengths() {
        for bytes in [
            &[0x30, 0x80, 0, 0][..],
            &[0x04, 0x81, 0x01, 0xff],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x84, 0, 0, 0, 1, 0],
        ] {
            assert_eq!(
                Reader::new(bytes).any(),
                Err(DerError::Length),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn refuses_every_truncation() {
        let whole = [0x30, 0x06, 0x02, 0x01, 0x05, 0x01, 0x01, 0xff];
        for n in 0..whole.len() {
            assert!(Reader::new(whole.get(..n).unwrap()).any().is_err());
        }
        assert!(Reader::new(&whole).any().is_ok());
    }

    #[test]
    fn refuses_negative_and_long_small_integers() {
        assert_eq!(
            Reader::new(&[2, 1, 0x80]).small_uint(),
            Err(DerError::Value("integer"))
        );
        assert!(
            Reader::new(&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0])
                .small_uint()
                .is_err()
        );
        assert_eq!(Reader::new(&[2, 3, 0, 0, 9]).small_uint(), Ok(9));
        assert!(Reader::new(&[2, 0]).small_uint().is_err());
    }
}
