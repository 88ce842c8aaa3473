//! `--set key=value`: values of the command line over those of `assayd.yaml`.
//!
//! A key is the way to a field, its names joined by dots: `listeners.api.address`. A value is one scalar as it is, typed by
//! the field, or a list in brackets, `[a, b]`; it takes the place of what the file has, or stands where the file has
//! nothing. What is merged is read as one document by the same code as the file alone. An error in what was set names the
//! option instead of a line, and one of the file its place in the file.
//!
//! # Why the file is not read into a tree first
//!
//! A tree of values has forgotten where each stood, and what it looked like: a hash that consists of digits only would
//! have become a number.

mod merge;

use std::path::Path;

use super::Config;
use super::model::Root;
use crate::document::{self, DocumentError};

/// Most values that are set at once.
const MAX_SETS: usize = 64;
/// Most names of a key.
const MAX_PARTS: usize = 8;
/// Longest value, bytes.
const MAX_VALUE: usize = 4096;

/// Reads a configuration with `sets`, each `key=value`, over it; see [`Config::load_with`].
///
/// # Errors
///
/// [`DocumentError`].
pub fn load(path: &Path, sets: &[String]) -> Result<Config, DocumentError> {
    let pairs = sets.iter().map(|set| {
        set.split_once('=').ok_or_else(|| {
            DocumentError::new(format!("--set {set}"), "no `=`")
                .hint("for instance --set listeners.api.address=127.0.0.1:8443")
        })
    });
    let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
    Config::load_with(path, &pairs)
}

impl Config {
    /// As [`Config::load`], with values over those of the file: each a key, its names joined by dots, and a value.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; for what was set its `file` is `--set KEY`, without a place.
    pub fn load_with(path: &Path, sets: &[(&str, &str)]) -> Result<Self, DocumentError> {
        let text = document::read(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse_with(&path.display().to_string(), &text, base, sets)
    }

    /// As [`Config::parse`], with values over those of the text.
    ///
    /// # Errors
    ///
    /// See [`Config::load_with`].
    pub fn parse_with(
        file: &str,
        text: &str,
        base: &Path,
        sets: &[(&str, &str)],
    ) -> Result<Self, DocumentError> {
        if sets.is_empty() {
            return Self::parse(file, text, base);
        }
        let lines = text.lines().count();
        let overlay = Overlay::new(lines, sets)?;
        let read = document::parse_with(file, text, |deserializer| {
            merge::merged::<Root, _>(deserializer, &overlay.root, &overlay.found)
        });
        let checked = match overlay.found.failed() {
            Some(error) => Err(error),
            None => read.and_then(|raw| {
                overlay.all_applied()?;
                raw.check(file, base)
            }),
        };
        checked.map_err(|error| overlay.named(error))
    }
}

/// Everything that is set.
struct Overlay {
    /// Lines of the file. The value with number `n` is read as if it stood in line `lines + 1 + n`, so that its place
    /// says which it is.
    lines: usize,
    /// In the order of the tree.
    keys: Vec<String>,
    root: Node,
    found: merge::Found,
}

/// A field on the way to a value, or one that has it.
#[derive(Debug, Default)]
struct Node {
    children: Vec<(String, Node)>,
    value: Option<String>,
    /// Numbers of the values in it.
    numbers: core::ops::Range<usize>,
    /// All of it as a document of its own.
    text: String,
    /// The line in it where the first value stands.
    line: usize,
}

impl Overlay {
    fn new(lines: usize, sets: &[(&str, &str)]) -> Result<Self, DocumentError> {
        let mut root = Node::default();
        if sets.len() > MAX_SETS {
            let message = format!("more than {MAX_SETS} values");
            return Err(DocumentError::new("--set", message).hint("write them into the file"));
        }
        for (key, value) in sets {
            let wrong = |message: &str, hint: &str| {
                Err(DocumentError::new(format!("--set {key}"), message).hint(hint))
            };
            let parts: Vec<&str> = key.split('.').collect();
            if parts.len() > MAX_PARTS || parts.iter().any(|part| part.is_empty()) {
                return wrong(
                    "not the way to a field",
                    "names joined by dots, as in listeners.api.address",
                );
            }
            let Some(value) = written(value) else {
                return wrong(
                    "neither one value nor a list",
                    "one line of at most 4096 bytes; a list as in [a, b]",
                );
            };
            if !root.put(&parts, value) {
                return wrong(
                    "set twice, or beside something within it",
                    "set each field once",
                );
            }
        }
        let mut keys = Vec::new();
        root.number("", &mut keys);
        root.write(lines + 1);
        Ok(Self {
            lines,
            keys,
            root,
            found: merge::Found::default(),
        })
    }

    /// A value that leads nowhere is not passed over in silence.
    fn all_applied(&self) -> Result<(), DocumentError> {
        let Some(key) = (0..self.keys.len())
            .find(|number| !self.found.applied(*number))
            .and_then(|number| self.keys.get(number))
        else {
            return Ok(());
        };
        Err(DocumentError::new(
            format!("--set {key}"),
            "leads through a value without fields",
        )
        .hint("set the whole value, a list as in [a, b]"))
    }

    /// With the name of the option for an error in what was set.
    fn named(&self, error: DocumentError) -> DocumentError {
        let line = usize::try_from(error.line).unwrap_or(usize::MAX);
        let number = line.checked_sub(self.lines + 1);
        let Some(key) = number.and_then(|number| self.keys.get(number)) else {
            return error;
        };
        DocumentError {
            file: format!("--set {key}"),
            line: 0,
            column: 0,
            ..error
        }
    }
}

impl Node {
    fn put(&mut self, parts: &[&str], value: String) -> bool {
        let Some((first, rest)) = parts.split_first() else {
            let free = self.value.is_none() && self.children.is_empty();
            self.value = Some(value);
            return free;
        };
        if self.value.is_some() {
            return false;
        }
        let known = self.children.iter().position(|(name, _)| name == first);
        let at = known.unwrap_or(self.children.len());
        if known.is_none() {
            self.children.push(((*first).to_owned(), Self::default()));
        }
        match self.children.get_mut(at) {
            Some((_, child)) => child.put(rest, value),
            None => false,
        }
    }

    /// Numbers the values from the left, and names them.
    fn number(&mut self, way: &str, keys: &mut Vec<String>) {
        let first = keys.len();
        if self.value.is_some() {
            keys.push(way.to_owned());
        }
        for (name, child) in &mut self.children {
            let way = match way {
                "" => name.clone(),
                way => format!("{way}.{name}"),
            };
            child.number(&way, keys);
        }
        self.numbers = first..keys.len();
    }

    /// Writes every node as a document, each value in the line that its number says.
    fn write(&mut self, first: usize) {
        let mut text = String::new();
        let mut line = 1;
        self.write_into(first, &mut text, &mut line);
        self.text = text;
        self.line = first + self.numbers.start;
        for (_, child) in &mut self.children {
            child.write(first);
        }
    }

    fn write_into(&self, first: usize, text: &mut String, line: &mut usize) {
        let own = first + self.numbers.start;
        while *line < own {
            text.push('\n');
            *line += 1;
        }
        match &self.value {
            Some(value) => text.push_str(value),
            None => {
                text.push('{');
                for (at, (name, child)) in self.children.iter().enumerate() {
                    if at > 0 {
                        text.push_str(", ");
                    }
                    let own = first + child.numbers.start;
                    while *line < own {
                        text.push('\n');
                        *line += 1;
                    }
                    text.push_str(&quoted(name));
                    text.push_str(": ");
                    child.write_into(first, text, line);
                }
                text.push('}');
            }
        }
    }
}

/// A value as it stands in a document; `None` for what is no single value.
fn written(value: &str) -> Option<String> {
    if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
        return None;
    }
    let listed = value.starts_with('[') && value.ends_with(']');
    if listed {
        // It must end where it ends: nothing may come behind it that belongs to what is around.
        let list = document::parse::<Vec<serde::de::IgnoredAny>>("--set", value);
        return list.is_ok().then(|| value.to_owned());
    }
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'+');
    let begins = value.bytes().next().is_some_and(plain);
    Some(
        match begins && value.bytes().all(|b| plain(b) || b == b'-') {
            // The field says whether it is a number.
            true => value.to_owned(),
            false => quoted(value),
        },
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
