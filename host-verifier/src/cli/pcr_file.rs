//! Files of PCR values.

use std::{collections::BTreeMap, path::Path};

use assay_common::tpm::pcr::PcrIndex;

use super::report::{Unreadable, read_file};
use crate::tpm::pcr_text::parse;

/// Longest file read, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// Reads a file of PCR values, in the form of [`pcr_text`](crate::tpm::pcr_text).
///
/// # Errors
/// [`Unreadable`] with the line number.
pub(super) fn read(path: &Path) -> Result<BTreeMap<PcrIndex, Vec<u8>>, Unreadable> {
    let name = path.display().to_string();
    let bytes = read_file(path, MAX_LEN)?;
    let text = core::str::from_utf8(&bytes).map_err(|_| {
        Unreadable::new(&name, "not text").with_hint(
            "a line is a PCR index and its value in hex (pcrs.txt; pcrs.bin is tpm2_checkquote's)",
        )
    })?;
    parse(text).map_err(|(line, why)| {
        Unreadable::new(&format!("{name}:{line}"), why)
            .with_hint("a line is a PCR index and its value in hex: 7 65caf8dd…")
    })
}
