//! BER to DER, for what clouds send and no further.
//!
//! Indefinite lengths become definite, an OCTET STRING in pieces becomes one. All else is copied, so that what a signature
//! covers (the content's octets, the signed attributes, a certificate) stays as it was signed. For the same reason a length
//! that is not minimal is refused rather than written anew.

use std::borrow::Cow;

use crate::crypto::encode;
use crate::x509::der::tag;

/// Longest message read, bytes. What clouds send is below 6 KiB, chain included.
pub const MAX_LEN: usize = 16 * 1024;
/// Elements inside one another, the outermost counted. A certificate's name inside a message takes 10.
pub const MAX_DEPTH: usize = 16;

/// An OCTET STRING in pieces.
const CONSTRUCTED_OCTET_STRING: u8 = 0x24;
/// The class bits of a tag.
const CLASS: u8 = 0xc0;
/// The bit of a tag that says that elements are inside.
const CONSTRUCTED: u8 = 0x20;

/// Why a message cannot be turned into DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// Longer than [`MAX_LEN`].
    #[error("{0} bytes, at most {MAX_LEN} are read")]
    TooLong(usize),
    /// An element runs past the end of what it is in.
    #[error("an element runs past the end of what it is in")]
    Truncated,
    /// More than [`MAX_DEPTH`] levels.
    #[error("more than {MAX_DEPTH} elements inside one another")]
    TooDeep,
    /// A tag of several bytes.
    #[error("a tag of several bytes")]
    LongTag,
    /// A tag that has no business there: an end without a beginning, a string in pieces that is not an OCTET STRING.
    #[error("tag {0:#04x} where none of its kind belongs")]
    Tag(u8),
    /// Not minimal, of more than four bytes, or indefinite where it cannot be.
    #[error("a length that is not minimal, or indefinite in a primitive element")]
    Length,
    /// Bytes after the outermost element.
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
}

/// The DER of one BER element, which is all that `ber` holds: `ber` itself where nothing is to be changed. Never longer than `ber`.
///
/// # Errors
/// [`BerError`]. Never panics; time and memory are bounded by [`MAX_LEN`] times [`MAX_DEPTH`].
pub fn to_der(ber: &[u8]) -> Result<Cow<'_, [u8]>, BerError> {
    if ber.len() > MAX_LEN {
        return Err(BerError::TooLong(ber.len()));
    }
    let mut input = Input { rest: ber };
    if input.stays(MAX_DEPTH).is_some() && input.rest.is_empty() {
        return Ok(Cow::Borrowed(ber));
    }
    written(ber).map(Cow::Owned)
}

/// The same, written anew from its beginning to its end.
fn written(ber: &[u8]) -> Result<Vec<u8>, BerError> {
    let mut input = Input { rest: ber };
    let mut out = Vec::with_capacity(ber.len());
    let head = input.head()?;
    input.element(head, MAX_DEPTH, &mut out)?;
    match input.rest.len() {
        0 => Ok(out),
        n => Err(BerError::Trailing(n)),
    }
}

#[derive(Clone, Copy)]
struct Head<'a> {
    tag: u8,
    /// `None`: up to the end-of-contents octets.
    len: Option<usize>,
    /// As it stands in the message.
    raw: &'a [u8],
}

impl Head<'_> {
    const fn is_end(self) -> bool {
        self.tag == 0
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], BerError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(BerError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, BerError> {
        let (first, rest) = self.rest.split_first().ok_or(BerError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Tag and length.
    fn head(&mut self) -> Result<Head<'a>, BerError> {
        let before = self.rest;
        let tag = self.byte()?;
        if tag & 0x1f == 0x1f {
            return Err(BerError::LongTag);
        }
        let len = match self.byte()? {
            short @ 0..=0x7f => Some(usize::from(short)),
            0x80 => None,
            long @ 0x81..=0x84 => {
                let bytes = self.take(usize::from(long & 0x7f))?;
                let len = bytes
                    .iter()
                    .fold(0_usize, |len, b| len << 8 | usize::from(*b));
                if bytes.first() == Some(&0) || len < 0x80 {
                    return Err(BerError::Length);
                }
                Some(len)
            }
            _ => return Err(BerError::Length),
        };
        let read = before.len() - self.rest.len();
        let raw = before.get(..read).unwrap_or_default();
        let head = Head { tag, len, raw };
        let end_is_whole = !head.is_end() || len == Some(0);
        let indefinite_is_constructed = len.is_some() || tag & CONSTRUCTED != 0;
        if end_is_whole && indefinite_is_constructed {
            Ok(head)
        } else {
            Err(BerError::Length)
        }
    }

    /// Goes over the next element, if it is written as it stands: by the rules of [`Self::element`]. `None` says nothing but
    /// that this is not known.
    fn stays(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let head = self.head().ok()?;
        let contents = self.take(head.len?).ok()?;
        if head.tag & CONSTRUCTED == 0 {
            let hidden = matches!(head.tag | CONSTRUCTED, tag::SEQUENCE | tag::SET);
            return (!hidden && !head.is_end()).then_some(());
        }
        let universal = head.tag & CLASS == 0;
        if universal && !matches!(head.tag, tag::SEQUENCE | tag::SET) {
            return None;
        }
        let mut inside = Input { rest: contents };
        while !inside.rest.is_empty() {
            inside.stays(depth)?;
        }
        Some(())
    }

    /// The element that begins with `head`, whose contents are next. `depth`: how many levels may still begin.
    fn element(&mut self, head: Head<'a>, depth: usize, out: &mut Vec<u8>) -> Result<(), BerError> {
        let depth = depth.checked_sub(1).ok_or(BerError::TooDeep)?;
        if head.is_end() {
            return Err(BerError::Tag(head.tag));
        }
        if head.tag & CONSTRUCTED == 0 {
            // A sequence or set has elements inside; as a primitive it would be copied without a look at them.
            if matches!(head.tag | CONSTRUCTED, tag::SEQUENCE | tag::SET) {
                return Err(BerError::Tag(head.tag));
            }
            let contents = self.take(head.len.ok_or(BerError::Length)?)?;
            // Its length is minimal, so this is its DER.
            out.extend_from_slice(head.raw);
            out.extend_from_slice(contents);
            return Ok(());
        }
        let joined = head.tag == CONSTRUCTED_OCTET_STRING;
        let universal = head.tag & CLASS == 0;
        if universal && !joined && !matches!(head.tag, tag::SEQUENCE | tag::SET) {
            return Err(BerError::Tag(head.tag));
        }
        let written = if joined { tag::OCTET_STRING } else { head.tag };
        let Some(len) = head.len else {
            let mut result = Ok(());
            encode::put_about(out, written, self.rest.len(), |out| {
                result = self.inside(None, joined, depth, out);
            });
            return result;
        };
        let before = out.len();
        out.extend_from_slice(head.raw);
        let start = out.len();
        self.inside(Some(len), joined, depth, out)?;
        // What was inside in pieces or without a length is shorter now.
        if joined || out.len() - start != len {
            encode::put_anew(out, written, before..start);
        }
        Ok(())
    }

    /// Goes over the elements that come next and stay as they are, as many as there are.
    fn unchanged(&mut self, depth: usize) -> &'a [u8] {
        let before = self.rest;
        loop {
            let mut ahead = Input { rest: self.rest };
            if ahead.stays(depth).is_none() {
                let len = before.len() - self.rest.len();
                return before.get(..len).unwrap_or_default();
            }
            self.rest = ahead.rest;
        }
    }

    /// All elements up to the end of a constructed one; of a string in pieces only their contents.
    fn inside(
        &mut self,
        len: Option<usize>,
        joined: bool,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), BerError> {
        let Some(len) = len else {
            loop {
                // Most of a message is written as it stands, and in one piece then.
                if !joined {
                    out.extend_from_slice(self.unchanged(depth));
                }
                let head = self.head()?;
                if head.is_end() {
                    return Ok(());
                }
                self.one(head, joined, depth, out)?;
            }
        };
        let mut inner = Input {
            rest: self.take(len)?,
        };
        while !inner.rest.is_empty() {
            let head = inner.head()?;
            inner.one(head, joined, depth, out)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        head: Head<'a>,
        joined: bool,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), BerError> {
        if !joined {
            return self.element(head, depth, out);
        }
        // X.690 section 8.7.3.2: pieces are octet strings, which may be in pieces themselves.
        match (head.tag, head.len) {
            (tag::OCTET_STRING, Some(len)) => {
                out.extend_from_slice(self.take(len)?);
                Ok(())
            }
            (CONSTRUCTED_OCTET_STRING, len) => {
                let depth = depth.checked_sub(1).ok_or(BerError::TooDeep)?;
                self.inside(len, true, depth, out)
            }
            (other, _) => Err(BerError::Tag(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Heads and contents at random, many of them well-formed.
    fn any_element() -> impl Strategy<Value = Vec<u8>> {
        let tags = prop::sample::select(vec![
            0x02, 0x04, 0x05, 0x10, 0x24, 0x30, 0x31, 0x23, 0x80, 0xa0, 0x00, 0x1f,
        ]);
        let leaf = prop::collection::vec(any::<u8>(), 0..6);
        leaf.prop_recursive(6, 64, 4, move |inner| {
            let inside = prop::collection::vec(inner, 0..4);
            (tags.clone(), inside, 0..8_u8).prop_map(|(tag, inside, form)| {
                let contents = inside.concat();
                let len = contents.len() as u8;
                match form {
                    0 => [&[tag, 0x80][..], &contents, &[0, 0]].concat(),
                    1 => [&[tag, 0x81, len][..], &contents].concat(),
                    _ => [&[tag, len.min(0x7f)][..], &contents].concat(),
                }
            })
        })
    }

    proptest! {
        #[test]
        fn what_stays_is_what_would_be_written(ber in any_element()) {
            prop_assert_eq!(written(&ber), to_der(&ber).map(Cow::into_owned));
        }

        /// With a length what is inside is written element by element, without one in pieces as large as can be.
        #[test]
        fn what_is_inside_is_the_same_with_a_length_and_without(
            elements in prop::collection::vec(any_element(), 0..5),
        ) {
            let inside = elements.concat();
            let with = match inside.len() {
                len @ 0..=0x7f => vec![0x30, len as u8],
                len @ 0x80..=0xff => vec![0x30, 0x81, len as u8],
                len => vec![0x30, 0x82, (len >> 8) as u8, len as u8],
            };
            let with = written(&[with, inside.clone()].concat());
            let without = written(&[&[0x30, 0x80], &*inside, &[0, 0]].concat());
            // What is wrong may have another name.
            prop_assert_eq!(with.ok(), without.ok());
        }
    }

    #[test]
    fn indefinite_lengths_become_definite() {
        let ber = [
            0x30, 0x80, 0x02, 0x01, 0x05, 0xa0, 0x80, 0x05, 0, 0, 0, 0, 0,
        ];
        let der = [0x30, 0x07, 0x02, 0x01, 0x05, 0xa0, 0x02, 0x05, 0];
        assert_eq!(to_der(&ber).as_deref(), Ok(&der[..]));
    }

    #[test]
    fn pieces_of_an_octet_string_are_joined_at_any_level_and_with_any_length() {
        for ber in [
            &[0x24, 0x80, 0x04, 1, 7, 0x04, 2, 8, 9, 0, 0][..],
            &[0x24, 0x07, 0x04, 1, 7, 0x04, 2, 8, 9],
            &[
                0x24, 0x80, 0x24, 0x80, 0x04, 1, 7, 0, 0, 0x04, 2, 8, 9, 0, 0,
            ],
            &[0x24, 0x09, 0x24, 0x03, 0x04, 1, 7, 0x04, 2, 8, 9],
        ] {
            assert_eq!(
                to_der(ber).as_deref(),
                Ok(&[0x04, 3, 7, 8, 9][..]),
                "{ber:x?}"
            );
        }
        assert_eq!(to_der(&[0x24, 0x80, 0, 0]).as_deref(), Ok(&[0x04, 0][..]));
    }

    #[test]
    fn a_length_shrinks_with_what_is_inside() {
        let mut ber = vec![0x30, 0x81, 0x84, 0x24, 0x80, 0x04, 0x7c];
        ber.resize(ber.len() + 0x7c, 7);
        ber.extend([0x00, 0x00, 0x05, 0x00]);
        let len = ber.len();
        ber.splice(2..3, [(len - 3) as u8]);
        let mut der = vec![0x30, 0x81, 0x80, 0x04, 0x7c];
        der.resize(der.len() + 0x7c, 7);
        der.extend([0x05, 0x00]);
        assert_eq!(to_der(&ber).as_deref(), Ok(&der[..]));
    }

    #[test]
    fn der_stays_as_it_is() {
        for der in [
            &[0x30, 0x06, 0x02, 0x01, 0x05, 0x01, 0x01, 0xff][..],
            &[0x04, 0x00],
            &[0x30, 0x00],
            // Contents of a primitive are nobody's business here, whatever they look like.
            &[0x80, 0x02, 0x30, 0x80],
        ] {
            assert!(matches!(to_der(der), Ok(Cow::Borrowed(same)) if same == der));
            assert_eq!(written(der).as_deref(), Ok(der));
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        use BerError::{Length, LongTag, Tag, Trailing, Truncated};
        for (ber, why) in [
            (&[][..], Truncated),
            (&[0x30], Truncated),
            (&[0x30, 0x80], Truncated),
            (&[0x30, 0x80, 0x00], Truncated),
            (&[0x30, 0x80, 0x00, 0x01, 0x00], Length),
            (&[0x30, 0x03, 0x02, 0x02, 0x05], Truncated),
            (&[0x30, 0x02, 0x04, 0x05, 1, 2, 3, 4, 5], Truncated),
            (&[0x30, 0x82, 0x01], Truncated),
            (&[0x1f, 0x21, 0x00], LongTag),
            (&[0x30, 0x03, 0xbf, 0x21, 0x00], LongTag),
            (&[0x04, 0x80, 0x00, 0x00], Length),
            (&[0x80, 0x80, 0x00, 0x00], Length),
            (&[0x04, 0x81, 0x01, 0xff], Length),
            (&[0x04, 0x82, 0x00, 0x80], Length),
            (&[0x04, 0x85, 0, 0, 0, 0, 1, 0], Length),
            (&[0x04, 0xff], Length),
            (&[0x00, 0x00], Tag(0)),
            (&[0x30, 0x02, 0x00, 0x00], Tag(0)),
            (&[0x10, 0x00], Tag(0x10)),
            (&[0x11, 0x00], Tag(0x11)),
            (&[0x23, 0x80, 0x03, 0x01, 0x00, 0x00, 0x00], Tag(0x23)),
            (&[0x2c, 0x00], Tag(0x2c)),
            (&[0x24, 0x80, 0x02, 0x01, 0x00, 0x00, 0x00], Tag(0x02)),
            (&[0x24, 0x02, 0x00, 0x00], Tag(0)),
            (&[0x05, 0x00, 0x00, 0x00], Trailing(2)),
            (&[0x30, 0x80, 0x00, 0x00, 0x00, 0x00], Trailing(2)),
        ] {
            assert_eq!(to_der(ber), Err(why), "{ber:x?}");
            assert_eq!(written(ber), Err(why), "{ber:x?}");
        }
    }

    #[test]
    fn depth_and_length_have_an_end() {
        let nested = |tag: u8, levels: usize| {
            let mut ber = [tag, 0x80].repeat(levels);
            ber.extend([0, 0].repeat(levels));
            ber
        };
        for tag in [0x30, 0xa0, 0x24] {
            assert!(to_der(&nested(tag, MAX_DEPTH)).is_ok());
            assert_eq!(to_der(&nested(tag, MAX_DEPTH + 1)), Err(BerError::TooDeep));
            assert_eq!(to_der(&nested(tag, MAX_LEN / 4)), Err(BerError::TooDeep));
        }
        let definite = |levels: usize| {
            let heads = (0..levels).rev().map(|inside| [0x30, 2 * inside as u8]);
            heads.flatten().collect::<Vec<_>>()
        };
        for levels in [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1] {
            let der = definite(levels);
            let expected = match levels > MAX_DEPTH {
                true => Err(BerError::TooDeep),
                false => Ok(der.clone()),
            };
            assert_eq!(written(&der), expected);
            assert_eq!(to_der(&der).map(Cow::into_owned), expected);
            let beside = [&[0x30, 0x80, 0x05, 0x00], &*definite(levels - 1), &[0, 0]].concat();
            let refused = (levels > MAX_DEPTH).then_some(BerError::TooDeep);
            assert_eq!(to_der(&beside).err(), refused);
        }
        let zeros = |len: usize| {
            let mut ber = vec![0x04, 0x82];
            ber.extend_from_slice(&((len - 4) as u16).to_be_bytes());
            ber.resize(len, 0);
            ber
        };
        assert!(to_der(&zeros(MAX_LEN)).is_ok());
        assert_eq!(
            to_der(&zeros(MAX_LEN + 1)),
            Err(BerError::TooLong(MAX_LEN + 1))
        );
    }
}
