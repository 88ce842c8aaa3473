//! PCR values as text: one `index hex` per line.

use std::collections::BTreeMap;

use assay_common::tpm::pcr::PcrIndex;

/// Longest value, in bytes (SHA-512).
const MAX_VALUE: usize = 64;

/// Reads PCR values.
///
/// A line is an index (decimal, 0 to 23), blanks or a colon, and the value in hex, with or without
/// `0x`. Empty lines are skipped; `#` begins a comment.
///
/// # Errors
/// The line number, from 1, and what is wrong: not of that form, an index out of range, an index that
/// stands twice, no line at all.
pub fn parse(text: &str) -> Result<BTreeMap<PcrIndex, Vec<u8>>, (usize, String)> {
    let mut values = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let fail = |why: &str| (number, why.to_owned());
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let (index, value) = content
            .split_once(|c: char| c.is_whitespace() || c == ':')
            .ok_or_else(|| fail("an index and a value are wanted"))?;
        let decimal = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
        let index = index
            .parse()
            .ok()
            .filter(|_| decimal)
            .and_then(PcrIndex::new)
            .ok_or_else(|| fail("the index is not a number from 0 to 23"))?;
        let digits = value.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
        let digits = digits
            .strip_prefix("0x")
            .or_else(|| digits.strip_prefix("0X"))
            .unwrap_or(digits);
        let value = hex::decode(digits).map_err(|_| fail("the value is not hexadecimal"))?;
        if value.is_empty() || value.len() > MAX_VALUE {
            return Err(fail("the value is empty or longer than any digest"));
        }
        if values.insert(index, value).is_some() {
            return Err(fail("this PCR stands twice"));
        }
    }
    if values.is_empty() {
        return Err((1, "no PCR value in it".to_owned()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    #[test]
    fn takes_comments_blank_lines_colons_and_prefixes() {
        let values = parse("# a comment\n\n 0  00ff\n7: 0xABCD # why\r\n23\t01\n").unwrap();
        let shown: Vec<_> = values.iter().map(|(i, v)| (i.get(), v.clone())).collect();
        assert_eq!(
            shown,
            [(0, vec![0, 0xff]), (7, vec![0xab, 0xcd]), (23, vec![1])]
        );
    }

    #[test]
    fn names_the_line_that_cannot_be_read() {
        for (text, line) in [
            ("0 00\n24 00", 2),
            ("0 00\n0 00", 2),
            ("0", 1),
            ("-1 00", 1),
            ("+1 00", 1),
            ("1 0", 1),
            ("1 xyz", 1),
            ("a 00", 1),
            ("300 00", 1),
            ("1 ", 1),
            ("", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().0, line, "{text:?}");
        }
    }
}
