//! Recorded bytes, and the two checks that every parser gets.

use std::fmt::Debug;
use std::path::Path;

/// Bytes of `data/<name>.hex`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tpm/data")
        .join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    hex(&text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<String>())
}

/// Content of a fixture that begins with a 16-bit length, which must be right.
pub(crate) fn sized_fixture(name: &str) -> Vec<u8> {
    let bytes = fixture(name);
    let (len, content) = bytes.split_first_chunk::<2>().unwrap();
    assert_eq!(
        usize::from(u16::from_be_bytes(*len)),
        content.len(),
        "{name}"
    );
    content.to_vec()
}

/// Bytes of hexadecimal text; spaces are of no account.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "odd number of digits");
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

/// Every strict prefix of `good` is refused, and so is `good` with any one byte behind it.
pub(crate) fn assert_exact<T: Debug, E: Debug>(
    what: &str,
    good: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, E>,
) {
    parse(good).unwrap_or_else(|e| panic!("{what} itself: {e:?}"));
    for cut in 0..good.len() {
        assert!(
            parse(&good[..cut]).is_err(),
            "{what} cut to {cut} bytes is accepted"
        );
    }
    for extra in [0x00, 0x01, 0x7f, 0xff] {
        let long = [good, &[extra]].concat();
        assert!(
            parse(&long).is_err(),
            "{what} with a byte {extra:#04x} behind is accepted"
        );
    }
}

/// Any single byte replaced by a few others: the parser may accept or refuse, but returns.
pub(crate) fn assert_returns_on_mutations<T>(good: &[u8], parse: impl Fn(&[u8]) -> T) {
    let mut bytes = good.to_vec();
    for at in 0..bytes.len() {
        let old = bytes[at];
        for new in [0x00, 0x01, 0x7f, 0x80, 0xff, old ^ 1, old.wrapping_add(1)] {
            bytes[at] = new;
            parse(&bytes);
        }
        bytes[at] = old;
    }
}
