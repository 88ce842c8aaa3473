//! Type, length, value: one byte, four bytes big-endian, that many bytes (CEL 5.1).

use super::log::Reason;
use crate::tpm::codec::{Reader, Writer};

/// Bytes before a value.
pub(super) const HEAD: usize = 1 + 4;

/// Takes one TLV: its type and its value.
pub(super) fn any<'a>(r: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Reason> {
    let kind = r.u8().map_err(|_| Reason::Truncated)?;
    let len = r.u32().map_err(|_| Reason::Truncated)?;
    let len = usize::try_from(len).map_err(|_| Reason::Truncated)?;
    let value = r.bytes(len).map_err(|_| Reason::Truncated)?;
    Ok((kind, value))
}

/// Takes the TLV of this type, which must be the next.
pub(super) fn field<'a>(r: &mut Reader<'a>, kind: u8) -> Result<&'a [u8], Reason> {
    match any(r)? {
        (found, value) if found == kind => Ok(value),
        _ => Err(Reason::Field),
    }
}

/// As [`field`], with a value of exactly `N` bytes.
pub(super) fn exact<const N: usize>(r: &mut Reader<'_>, kind: u8) -> Result<[u8; N], Reason> {
    let value = field(r, kind)?;
    value.try_into().map_err(|_| Reason::Length)
}

/// Takes a text of `1..=max` of the bytes that `allowed` lets pass.
pub(super) fn text<'a>(
    r: &mut Reader<'a>,
    kind: u8,
    check: impl Fn(&str) -> bool,
) -> Result<&'a str, Reason> {
    let value = field(r, kind)?;
    let text = core::str::from_utf8(value).map_err(|_| Reason::Text)?;
    if check(text) {
        Ok(text)
    } else {
        Err(Reason::Text)
    }
}

/// All of `bytes` was read.
pub(super) const fn finish(r: Reader<'_>) -> Result<(), Reason> {
    match r.finish() {
        Ok(()) => Ok(()),
        Err(_) => Err(Reason::Trailing),
    }
}

/// Writes a TLV.
pub(super) fn put(w: &mut Writer<'_>, kind: u8, value: &[u8]) {
    // No value here is longer than a log.
    head(w, kind, value.len() as u32);
    w.put(value);
}

/// Writes what is before a value of `len` bytes.
pub(super) fn head(w: &mut Writer<'_>, kind: u8, len: u32) {
    w.u8(kind);
    w.u32(len);
}
