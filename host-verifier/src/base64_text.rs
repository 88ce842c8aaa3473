//! Base64 of proofs, decoded quickly and as strictly as by the library.
//!
//! A proof is mostly base64: a token in three parts, a signed document, certificates. Four characters are three bytes whatever
//! stands around them, so all groups but the last are looked up here, a table for each place. The last group, which alone may
//! be short, padded, or hold bits that stand for nothing, is the library's to judge.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE_NO_PAD};

/// What stands in a table for a byte that is not of the alphabet. No three bytes have this bit.
const WRONG: u32 = 1 << 31;

type Table = [u32; 256];

static STANDARD_TABLES: [Table; 4] = tables(*b"+/");
static URL_SAFE_TABLES: [Table; 4] = tables(*b"-_");

/// Text in the alphabet of RFC 4648 section 4, padded, with no bits to spare.
pub(crate) fn standard(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    decode(text.as_ref(), &STANDARD_TABLES, &STANDARD)
}

/// Text in the alphabet of RFC 4648 section 5, not padded, with no bits to spare.
pub(crate) fn url_safe(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    decode(text.as_ref(), &URL_SAFE_TABLES, &URL_SAFE_NO_PAD)
}

fn decode(text: &[u8], tables: &[Table; 4], library: &GeneralPurpose) -> Option<Vec<u8>> {
    let last = match text.len() % 4 {
        0 => text.len().min(4),
        some => some,
    };
    let (whole, last) = text.split_at(text.len() - last);
    let (groups, _) = whole.as_chunks::<4>();
    let mut out = vec![0; groups.len() * 3];
    let (places, _) = out.as_chunks_mut::<3>();
    let [first, second, third, fourth] = tables;
    let mut seen = 0;
    for ([a, b, c, d], place) in groups.iter().zip(places) {
        let three = of(first, *a) | of(second, *b) | of(third, *c) | of(fourth, *d);
        seen |= three;
        let [_, x, y, z] = three.to_be_bytes();
        *place = [x, y, z];
    }
    if seen & WRONG != 0 {
        return None;
    }
    let mut rest = [0; 3];
    let len = library.decode_slice(last, &mut rest).ok()?;
    out.extend_from_slice(rest.get(..len)?);
    Some(out)
}

fn of(table: &Table, byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or(WRONG)
}

/// What a character is worth in each of the four places of a group. `last` are the two characters in which alphabets differ.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when it is compiled, where an index that is too large is an error"
)]
const fn tables(last: [u8; 2]) -> [Table; 4] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut tables = [[WRONG; 256]; 4];
    let mut value = 0;
    while value < 64 {
        let byte = match value {
            0..62 => alphabet[value],
            _ => last[value - 62],
        };
        let mut place = 0;
        while place < 4 {
            tables[place][byte as usize] = (value as u32) << (18 - 6 * place);
            place += 1;
        }
        value += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::{standard, url_safe};

    fn agree(text: &[u8]) {
        assert_eq!(standard(text), STANDARD.decode(text).ok(), "{text:?}");
        let other = URL_SAFE_NO_PAD.decode(text).ok();
        assert_eq!(url_safe(text), other, "{text:?}");
    }

    #[test]
    fn every_byte_in_every_place_is_what_the_library_says() {
        for text in [
            &b"AAAAAAAA"[..],
            b"AAAAAAA=",
            b"AAAAAA==",
            b"AAAAAAA",
            b"AAAAAA",
        ] {
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut text = text.to_vec();
                    if let Some(place) = text.get_mut(at) {
                        *place = byte;
                    }
                    agree(&text);
                }
            }
        }
        for text in ["", "A", "AA", "AAA", "A===", "====", "AA==AAAA", "AAAA="] {
            agree(text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(standard(STANDARD.encode(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(url_safe(URL_SAFE_NO_PAD.encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_what_the_library_says(text in "[A-Za-z0-9+/_=-]{0,24}") {
            agree(text.as_bytes());
        }
    }
}
