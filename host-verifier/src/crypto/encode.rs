//! The little DER that keys, signatures and certificates are written in.

use core::ops::Range;

pub(crate) fn trim_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// `SubjectPublicKeyInfo` up to the key, which is `key_len` bytes of a BIT STRING.
pub(crate) fn spki_head(algorithm: &[u8], key_len: usize) -> Vec<u8> {
    let len = algorithm.len() + tlv_len(1 + key_len);
    let mut out = Vec::with_capacity(tlv_len(len));
    put_head(&mut out, 0x30, len);
    out.extend_from_slice(algorithm);
    put_head(&mut out, 0x03, 1 + key_len);
    out.push(0);
    out
}

/// An element whose contents `write` appends; its head is put before them once their length is known.
pub(crate) fn put_nested(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    put_about(out, tag, 0, write);
}

/// As [`put_nested`], for contents that are likely `about` so long: they need not be moved then.
pub(crate) fn put_about(
    out: &mut Vec<u8>,
    tag: u8,
    about: usize,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let before = out.len();
    put_head(out, tag, about);
    let start = out.len();
    write(out);
    put_anew(out, tag, before..start);
}

/// Puts another head in the place of the one that stands at `head`, for an element that ends with `out`.
pub(crate) fn put_anew(out: &mut Vec<u8>, tag: u8, head: Range<usize>) {
    let len = out.len() - head.end;
    let mut new = [0; 2 + size_of::<usize>()];
    let written = encode_head(&mut new, tag, len);
    let new = new.get(..written).unwrap_or_default();
    match out.get_mut(head.clone()) {
        Some(place) if place.len() == written => place.copy_from_slice(new),
        _ => drop(out.splice(head, new.iter().copied())),
    }
}

/// An element with these contents.
pub(crate) fn put_element(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    put_head(out, tag, contents.len());
    out.extend_from_slice(contents);
}

/// Length of a DER element with `len` bytes of contents.
pub(crate) fn tlv_len(len: usize) -> usize {
    let mut head = [0; 2 + size_of::<usize>()];
    encode_head(&mut head, 0, len) + len
}

/// Tag and minimal length.
pub(crate) fn put_head(out: &mut Vec<u8>, tag: u8, len: usize) {
    let mut head = [0; 2 + size_of::<usize>()];
    let written = encode_head(&mut head, tag, len);
    out.extend_from_slice(head.get(..written).unwrap_or_default());
}

fn encode_head(head: &mut [u8; 2 + size_of::<usize>()], tag: u8, len: usize) -> usize {
    let [tag_slot, len_slot, long @ ..] = head;
    *tag_slot = tag;
    if len < 0x80 {
        *len_slot = len as u8;
        return 2;
    }
    let bytes = len.to_be_bytes();
    let bytes = trim_leading_zeros(&bytes);
    *len_slot = 0x80 | bytes.len() as u8;
    for (slot, byte) in long.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    2 + bytes.len()
}

/// Whether a DER INTEGER of an unsigned number needs a zero in front.
fn needs_sign(magnitude: &[u8]) -> bool {
    magnitude.first().is_none_or(|b| b & 0x80 != 0)
}

/// Length of [`put_integer`]'s element.
pub(crate) fn integer_len(magnitude: &[u8]) -> usize {
    tlv_len(magnitude.len() + usize::from(needs_sign(magnitude)))
}

/// DER INTEGER of an unsigned big-endian number without leading zeros.
pub(crate) fn put_integer(out: &mut Vec<u8>, magnitude: &[u8]) {
    let sign = needs_sign(magnitude);
    put_head(out, 0x02, magnitude.len() + usize::from(sign));
    if sign {
        out.push(0);
    }
    out.extend_from_slice(magnitude);
}
