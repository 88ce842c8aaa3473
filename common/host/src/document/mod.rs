//! YAML documents with errors that say where: file, line, column, and what to do.
//!
//! Documents are read straight into typed structures, with small budgets, so that neither an alias bomb nor an
//! unknown field gets through.

mod list;
mod words;

use core::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use list::OneOrMany;
pub use words::HINT;

/// Longest document, bytes.
pub const MAX_DOCUMENT: usize = 256 * 1024;

/// What is wrong with a document that is empty, or all comment.
pub const NOTHING: &str = "nothing stands here";

/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// A document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// The file's name, or what stands for it.
    pub file: String,
    /// Counted from 1; 0 when the error has no place.
    pub line: u64,
    /// Counted from 1; 0 when the error has no place.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl core::error::Error for DocumentError {}

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Counted from 1.
    pub line: u64,
    /// Counted from 1.
    pub column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

impl DocumentError {
    /// An error without a place.
    #[must_use]
    pub fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: visible(&message.into()),
            hint: None,
        }
    }

    /// At a place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self {
            line: place.line,
            column: place.column,
            ..self
        }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(visible(&hint.into())),
            ..self
        }
    }
}

/// A text on one line, with control characters spelt out: messages quote documents, and end up in terminals and logs.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Reads a file.
///
/// # Errors
///
/// [`DocumentError`] when it cannot be read, is too long or is not UTF-8.
pub fn read(path: &Path) -> Result<String, DocumentError> {
    use std::io::Read;
    let file = path.display().to_string();
    let fail = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "write it, or correct the path",
            _ => "check the path, and who may read it",
        };
        DocumentError::new(file.clone(), error.to_string()).hint(hint)
    };
    let mut bytes = Vec::new();
    let limit = MAX_DOCUMENT as u64 + 1;
    std::fs::File::open(path)
        .and_then(|f| f.take(limit).read_to_end(&mut bytes))
        .map_err(fail)?;
    if bytes.len() > MAX_DOCUMENT {
        return Err(too_long(&file, &bytes));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = place_of(error.as_bytes(), error.utf8_error().valid_up_to());
        DocumentError::new(file, "not UTF-8")
            .at(at)
            .hint("save the file as UTF-8")
    })
}

/// As [`read`], for a file that a document names: only a regular file, since a pipe or a device could keep the
/// service from starting for ever.
///
/// # Errors
///
/// [`DocumentError`].
pub fn read_named(path: &Path) -> Result<String, DocumentError> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(DocumentError::new(
            path.display().to_string(),
            "not a regular file",
        )),
        _ => read(path),
    }
}

/// Reads a document into `T`. One document, every field known.
///
/// # Errors
///
/// [`DocumentError`], with a hint when a name looks like a misspelt one.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DocumentError> {
    if text.len() > MAX_DOCUMENT {
        return Err(too_long(file, text.as_bytes()));
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| translate(file, &error))
}

/// Reads a document by a function of the caller's own, under the same limits.
///
/// # Errors
///
/// [`DocumentError`].
pub fn parse_with<'de, T>(
    file: &str,
    text: &'de str,
    read: impl FnOnce(serde_saphyr::Deserializer<'de, '_>) -> Result<T, serde_saphyr::Error>,
) -> Result<T, DocumentError> {
    if text.len() > MAX_DOCUMENT {
        return Err(too_long(file, text.as_bytes()));
    }
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), read)
        .map_err(|error| translate(file, &error))
}

/// A deserializer's message as an error at a place, with a hint as [`parse`] gives it.
pub fn told(file: &str, message: &str, place: Place) -> DocumentError {
    let (message, hint) = words::told(words::without_place(message));
    DocumentError::new(file, message).at(place).hint(hint)
}

fn too_long(file: &str, bytes: &[u8]) -> DocumentError {
    DocumentError::new(file, format!("longer than {MAX_DOCUMENT} bytes"))
        .at(place_of(bytes, MAX_DOCUMENT))
        .hint("split the document; certificates can stand in files that it names")
}

/// The place of a byte. Columns count characters where the text before is UTF-8, bytes where it is not.
fn place_of(bytes: &[u8], offset: usize) -> Place {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.split(|byte| *byte == b'\n').next_back();
    let column = line.map_or(0, |line| String::from_utf8_lossy(line).chars().count());
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    Place {
        line: lines as u64 + 1,
        column: column as u64 + 1,
    }
}

/// Checks a field that can have one value only.
pub fn expect(
    file: &str,
    found: &serde_saphyr::Spanned<String>,
    field: &str,
    expected: &str,
) -> Result<(), DocumentError> {
    if found.value == expected {
        return Ok(());
    }
    let message = format!("{field} is {:?}", found.value);
    Err(DocumentError::new(file, message)
        .at(found.referenced.into())
        .hint(format!("this file needs `{field}: {expected}`")))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000,
            max_nodes: 10_000,
            max_depth: MAX_DEPTH,
            max_aliases: 16,
            max_anchors: 16,
            max_documents: 1,
            max_total_scalar_bytes: MAX_DOCUMENT,
            max_merge_keys: 0,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: true,
        no_schema: false,
        with_snippet: false,
    }
}

fn translate(file: &str, error: &serde_saphyr::Error) -> DocumentError {
    let error = error.without_snippet();
    let place = error.location().map(Place::from);
    let (message, hint) = words::of(error);
    DocumentError::new(file, message)
        .at(place.unwrap_or(Place { line: 1, column: 1 }))
        .hint(hint)
}

/// The known name that `name` is most likely meant to be; `None` when none is close.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let known: Vec<_> = known.into_iter().collect();
    let begun = known.iter().filter(|candidate| candidate.starts_with(name));
    let begun: Vec<_> = begun.copied().collect();
    let close = known
        .into_iter()
        .map(|candidate| {
            (
                distance(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate);
    // The beginning of one name only is that name, cut short.
    close.or(match begun.as_slice() {
        [only] if name.len() > 2 => Some(only),
        _ => None,
    })
}

/// Letters to insert, remove or replace, and neighbours to swap, to get from one to the other (optimal string
/// alignment). Names are short; what is not is cut.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, j) + usize::from(a != b))
                .min(at(&above, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = core::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant_and_a_strange_one_finds_none() {
        let known = ["tpm_ek", "tpm_quote", "x509pop"];
        assert_eq!(nearest("tmp_ek", known), Some("tpm_ek"));
        assert_eq!(nearest("tpm_quotes", known), Some("tpm_quote"));
        assert_eq!(nearest("TPM_EK", known), Some("tpm_ek"));
        assert_eq!(nearest("kubernetes", known), None);
        assert_eq!(nearest("x509", known), Some("x509pop"));
        assert_eq!(nearest("tpm", known), None, "one of two");
    }
}
