//! A provisioning record that is typed or pasted, line by line.
//!
//! It says its own length, so nobody has to say where it ends; and it begins with known bytes, so nobody has to say whether
//! it is hexadecimal or base64.

use assay_common::identity::provisioning::MAX_RECORD;
use heapless::Vec;

/// `ASSA` of the record's magic, as four characters of either text look.
const HEX: [u8; 4] = *b"4153";
const BASE64: [u8; 4] = *b"QVNT";
/// Bytes in front of the body: the magic and the body's length.
const HEAD: usize = 10;
/// Bytes behind it.
const CRC: usize = 4;

/// Why text is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasteError {
    /// It begins as neither text of a record does.
    NotARecord,
    /// A character that neither text has, with its place in the line, from 1.
    Character(usize),
    /// The record says that it is longer than any.
    TooLong,
    /// There is more after its end.
    Trailing,
}

/// A record in the making.
pub(super) struct Paste {
    /// Whether it may take the place of another.
    pub(super) force: bool,
    /// The first four characters, which say what the text is.
    head: Vec<u8, 4>,
    /// Bits that wait to become a byte.
    bits: u32,
    count: u32,
    bytes: Vec<u8, MAX_RECORD>,
}

impl Paste {
    pub(super) const fn new(force: bool) -> Self {
        Self {
            force,
            head: Vec::new(),
            bits: 0,
            count: 0,
            bytes: Vec::new(),
        }
    }

    /// Takes one line. True when the record is whole.
    pub(super) fn line(&mut self, line: &str) -> Result<bool, PasteError> {
        for (at, character) in line.bytes().enumerate() {
            match character {
                b' ' | b'\t' => {}
                b'=' if self.head == BASE64 && self.is_whole() => {}
                _ if self.is_whole() => return Err(PasteError::Trailing),
                _ => self.character(character, at + 1)?,
            }
        }
        Ok(self.is_whole())
    }

    /// The record, as far as it came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes are there, and how many there will be, once that is known.
    pub(super) fn progress(&self) -> (usize, Option<usize>) {
        (self.bytes.len(), self.expected())
    }

    fn character(&mut self, character: u8, place: usize) -> Result<(), PasteError> {
        if self.head.push(character).is_ok() {
            if !self.head.is_full() {
                return Ok(());
            }
            let head = self.head.clone();
            return head
                .iter()
                .try_for_each(|character| self.digit(*character, place));
        }
        self.digit(character, place)
    }

    fn digit(&mut self, character: u8, place: usize) -> Result<(), PasteError> {
        let (value, width) = if self.head == HEX {
            let value = char::from(character).to_digit(16);
            (value, 4)
        } else if self.head == BASE64 {
            (base64(character), 6)
        } else {
            return Err(PasteError::NotARecord);
        };
        let value = value.ok_or(PasteError::Character(place))?;
        self.bits = self.bits << width | value;
        self.count += width;
        if self.count >= 8 {
            self.count -= 8;
            let byte = (self.bits >> self.count) as u8;
            self.bytes.push(byte).map_err(|_| PasteError::TooLong)?;
            if self.expected().is_some_and(|whole| whole > MAX_RECORD) {
                return Err(PasteError::TooLong);
            }
        }
        Ok(())
    }

    fn expected(&self) -> Option<usize> {
        let length = self.bytes.get(HEAD - 2..HEAD)?;
        let length = u16::from_be_bytes(length.try_into().ok()?);
        Some(HEAD + usize::from(length) + CRC)
    }

    fn is_whole(&self) -> bool {
        self.expected() == Some(self.bytes.len())
    }
}

/// The value of a character of base64, of either alphabet.
fn base64(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    // "ASSAYP01", length 3, "xyz", four bytes of checksum: 17 bytes, as `xxd -p` and `base64` write them.
    const IN_HEX: &str = "4153534159503031000378797a01020304";
    const IN_BASE64: &str = "QVNTQVlQMDEAA3h5egECAwQ=";
    const BYTES: &[u8] = b"ASSAYP01\x00\x03xyz\x01\x02\x03\x04";

    fn pasted(lines: &[&str]) -> Result<Vec<u8, MAX_RECORD>, PasteError> {
        let mut paste = Paste::new(false);
        let mut whole = false;
        for line in lines {
            assert!(!whole, "whole before its end");
            whole = paste.line(line)?;
        }
        assert!(whole, "{:?}", paste.progress());
        Ok(paste.bytes)
    }

    #[test]
    fn both_texts_of_a_record_are_read_in_pieces_of_any_length() {
        for text in [
            IN_HEX,
            IN_BASE64,
            "4153 5341 5950 3031 0003 7879 7A01 0203 04",
        ] {
            assert_eq!(pasted(&[text]).as_deref(), Ok(BYTES), "{text}");
            for cut in 1..text.len() - 2 {
                let (left, right) = text.split_at(cut);
                assert_eq!(pasted(&[left, right]).as_deref(), Ok(BYTES), "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_record_is_refused_where_it_begins_to_be_none() {
        assert_eq!(pasted(&["4142"]), Err(PasteError::NotARecord));
        assert_eq!(pasted(&["-----BEGIN"]), Err(PasteError::NotARecord));
        assert_eq!(pasted(&["415353g1"]), Err(PasteError::Character(7)));
        assert_eq!(pasted(&["QVNTQ!"]), Err(PasteError::Character(6)));
        let long = "4153534159503031ffff";
        assert_eq!(pasted(&[long]), Err(PasteError::TooLong));
        let more = [IN_HEX, "00"].concat();
        assert_eq!(pasted(&[&more]), Err(PasteError::Trailing));
    }

    #[test]
    fn half_a_record_is_not_whole() {
        let mut paste = Paste::new(false);
        let (half, _) = IN_HEX.split_at(24);
        assert_eq!(paste.line(half), Ok(false));
        assert_eq!(paste.progress(), (12, Some(17)));
    }
}
