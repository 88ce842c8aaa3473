//! `--set key=value`: single values of a configuration, put in place on the command line.

use std::path::Path;

use serde_json::{Map, Value};

use super::Config;
use crate::document::{self, DocumentError};

/// What errors call the command line.
const SET: &str = "--set";
/// Most parts of a key.
const MAX_DEPTH: usize = 8;

/// Reads a configuration with values of `sets` (`a.b.c=value`) in place of its own. The file must be sound without them too,
/// so that errors of its own have their line.
///
/// # Errors
///
/// [`DocumentError`]; of file `--set` when a value does not fit.
pub fn load(path: &Path, sets: &[String]) -> Result<Config, DocumentError> {
    let config = Config::load(path)?;
    if sets.is_empty() {
        return Ok(config);
    }
    let merged = overlay(&path.display().to_string(), &document::read(path)?, sets)?;
    let base = path.parent().unwrap_or(Path::new(""));
    Config::parse(SET, &merged, base).map_err(|error| DocumentError {
        line: 0,
        column: 0,
        ..error
    })
}

/// A document with `sets` applied, one after the other, as JSON, which is YAML. `file` is what errors call the document.
///
/// # Errors
///
/// [`DocumentError`] when the document or a value is no YAML, or a key leads through a value that has no keys.
pub fn overlay(file: &str, text: &str, sets: &[String]) -> Result<String, DocumentError> {
    let mut root: Value = document::parse(file, text)?;
    for set in sets {
        let wrong = |message: &str| {
            DocumentError::new(SET, format!("`{set}`: {message}"))
                .hint("for instance --set listeners.api.address=127.0.0.1:8443")
        };
        let (key, value) = set.split_once('=').ok_or_else(|| wrong("no `=`"))?;
        let parts: Vec<_> = key.split('.').collect();
        if parts.len() > MAX_DEPTH || parts.iter().any(|part| part.is_empty()) {
            return Err(wrong("no key"));
        }
        let value: Value = document::parse(SET, value)?;
        put(&mut root, &parts, value).ok_or_else(|| wrong("the key leads through a value"))?;
    }
    Ok(root.to_string())
}

/// Puts a value where `parts` lead, and makes what is missing on the way there.
fn put(place: &mut Value, parts: &[&str], value: Value) -> Option<()> {
    let Some((first, rest)) = parts.split_first() else {
        *place = value;
        return Some(());
    };
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    let entry = place.as_object_mut()?.entry(*first).or_insert(Value::Null);
    put(entry, rest, value)
}

#[cfg(test)]
mod tests {
    use super::overlay;

    fn set(text: &str, set: &str) -> Result<serde_json::Value, String> {
        let merged = overlay("f", text, &[set.to_owned()]);
        let merged = merged.map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&merged).unwrap())
    }

    #[test]
    fn a_value_replaces_one_that_is_there_and_is_added_where_there_is_none() {
        let text = "a:\n  b: 1\n  c: x\n";
        assert_eq!(
            set(text, "a.b=2").unwrap()["a"],
            serde_json::json!({"b": 2, "c": "x"})
        );
        assert_eq!(
            set(text, "d.e.f=127.0.0.1:0").unwrap()["d"]["e"]["f"],
            "127.0.0.1:0"
        );
        assert_eq!(set(text, "a.b=[p, q]").unwrap()["a"]["b"][1], "q");
        assert_eq!(set(text, "a.b=k=v").unwrap()["a"]["b"], "k=v");
    }

    #[test]
    fn what_is_no_key_or_leads_through_a_value_is_refused_by_name() {
        for wrong in ["a", "=1", "a..b=1", "a.c.d=1", "a.b.c.d.e.f.g.h.i=1"] {
            let error = set("a:\n  b: {}\n  c: x\n", wrong).unwrap_err();
            assert!(error.starts_with(&format!("--set: `{wrong}`: ")), "{error}");
        }
    }
}
