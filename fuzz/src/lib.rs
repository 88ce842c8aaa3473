//! What several fuzz targets need. See README.md for how to run and add one.

use assay_common::tpm::codec::Writer;

/// Bytes that `write` makes of what was parsed from `len` bytes.
///
/// There is some room beyond `len`, for encodings that are not as short as they could be.
///
/// # Panics
/// When the writer fails: a view that was parsed can always be written.
#[must_use]
pub fn written(len: usize, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = vec![0xEE; len + 64];
    let mut w = Writer::new(&mut buf);
    write(&mut w);
    w.finish().expect("what was parsed can be written").to_vec()
}

/// True when `part` lies within `whole`: a view borrows and does not invent.
#[must_use]
pub fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.start == part.end || (whole.start <= part.start && part.end <= whole.end)
}
