//! Where an image can panic: each place leaves a `core::panic::Location` in it, and only those that are reachable stay.

use std::collections::BTreeSet;
use std::path::Path;

use object::{Object, ObjectSection, SectionKind};

/// Longest name of a file that is looked for.
const MAX_NAME: u32 = 400;

/// `FILE:LINE:COLUMN` of every place. Files of dependencies begin with the dependency's name and version.
pub(super) fn read(image: &Path) -> BTreeSet<String> {
    let bytes = std::fs::read(image).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let data: Vec<(u64, &[u8])> = file
        .sections()
        .filter(|section| {
            matches!(
                section.kind(),
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data
            )
        })
        .map(|section| (section.address(), section.data().unwrap()))
        .collect();
    let mut places = BTreeSet::new();
    for (_, section) in &data {
        // A location: address and length of the file's name, line, column.
        for at in (0..section.len().saturating_sub(15)).step_by(4) {
            let [address, len, line, column] = [0, 4, 8, 12].map(|field| {
                let word = section[at + field..].first_chunk().unwrap();
                u32::from_le_bytes(*word)
            });
            let plausible = (4..MAX_NAME).contains(&len)
                && (1..100_000).contains(&line)
                && (1..1_000).contains(&column);
            if let Some(name) = plausible.then(|| text(&data, address, len)).flatten() {
                places.insert(format!("{}:{line}:{column}", short(name)));
            }
        }
    }
    places
}

/// A name of a source file in the image.
fn text<'i>(data: &[(u64, &'i [u8])], address: u32, len: u32) -> Option<&'i str> {
    let bytes = data.iter().find_map(|(start, section)| {
        let from = usize::try_from(u64::from(address).checked_sub(*start)?).ok()?;
        section.get(from..from + len as usize)
    })?;
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    text.ends_with(".rs").then_some(text)
}

/// The part of a file's name that does not depend on the machine.
fn short(name: &str) -> &str {
    if let Some((_, core)) = name.split_once("/library/") {
        return core;
    }
    match name.split_once("/registry/src/") {
        Some((_, rest)) => rest.split_once('/').map_or(rest, |(_, rest)| rest),
        None => name,
    }
}
