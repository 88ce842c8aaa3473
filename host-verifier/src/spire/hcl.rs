//! HCL as SPIRE's configuration files have it: the first version of the language, of which no maintained crate reads more than
//! its successor, and the successor refuses what stands there (`"0" = "…"` in a block, objects without separators).
//!
//! ```text
//! server { trust_domain = "example.org", ca_subject = { country = ["US"] } }
//! plugins { NodeAttestor "aws_iid" { plugin_data { "0" = "a" } } } # a comment
//! ```
//!
//! Nothing is evaluated: `${NAME}` in a text stays as it is.

use core::iter::Peekable;
use core::str::CharIndices;

/// Longest text, bytes.
pub const MAX_TEXT: usize = 1024 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 16;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text in quotes.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `[a, b]`.
    List(Vec<Value>),
    /// `{ … }`.
    Object(Vec<Entry>),
}

/// A value under its names.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, and behind it the labels of a block: `NodeAttestor "tpm"` has two.
    pub names: Vec<String>,
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub line: usize,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct HclError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads a whole file.
///
/// # Errors
///
/// [`HclError`].
pub fn parse(text: &str) -> Result<Vec<Entry>, HclError> {
    let mut reader = Reader {
        text,
        chars: text.char_indices().peekable(),
        line: 1,
    };
    if text.len() > MAX_TEXT {
        return Err(reader.error("the file is longer than 1 MiB"));
    }
    let entries = reader.entries(MAX_DEPTH)?;
    match reader.peek()? {
        None => Ok(entries),
        Some(_) => Err(reader.error("a brace is closed that was not opened")),
    }
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn error(&self, what: &'static str) -> HclError {
        HclError {
            line: self.line,
            what,
        }
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// The next character that is neither blank nor in a comment.
    fn peek(&mut self) -> Result<Option<char>, HclError> {
        loop {
            let Some((at, c)) = self.chars.peek().copied() else {
                return Ok(None);
            };
            let rest = self.text.get(at..).unwrap_or_default();
            if c.is_whitespace() {
                self.next();
            } else if c == '#' || rest.starts_with("//") {
                while self.chars.peek().is_some_and(|(_, c)| *c != '\n') {
                    self.next();
                }
            } else if rest.starts_with("/*") {
                let Some(len) = rest.find("*/") else {
                    return Err(self.error("a comment does not end"));
                };
                while self
                    .chars
                    .peek()
                    .is_some_and(|(now, _)| *now < at + len + 2)
                {
                    self.next();
                }
            } else {
                return Ok(Some(c));
            }
        }
    }

    fn take(&mut self, wanted: char) -> Result<bool, HclError> {
        let found = self.peek()? == Some(wanted);
        if found {
            self.next();
        }
        Ok(found)
    }

    /// Entries up to a closing brace or the end.
    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, HclError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.error("nested deeper than 16 levels"));
        };
        let mut entries: Vec<Entry> = Vec::new();
        while !matches!(self.peek()?, None | Some('}')) {
            let line = self.line;
            let mut names = vec![self.name()?];
            let value = loop {
                match self.peek()? {
                    Some('=' | ':') => {
                        self.next();
                        break self.value(depth)?;
                    }
                    Some('{') => break self.value(depth)?,
                    Some('"') => names.push(self.text()?),
                    _ => return Err(self.error("`=` or `{` is missing behind a name")),
                }
            };
            self.take(',')?;
            // Blocks may come again, as plugins do; a setting that is there twice has two readings.
            let is_block = matches!(value, Value::Object(_));
            if !is_block && entries.iter().any(|earlier| earlier.names == names) {
                return Err(HclError {
                    line,
                    what: "the setting is there twice",
                });
            }
            entries.push(Entry { names, value, line });
        }
        Ok(entries)
    }

    fn name(&mut self) -> Result<String, HclError> {
        if self.peek()? == Some('"') {
            return self.text();
        }
        let name = self.word();
        match name.is_empty() {
            true => Err(self.error("a name is missing")),
            false => Ok(name),
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
        while let Some((_, c)) = self.chars.next_if(|(_, c)| legal(*c)) {
            word.push(c);
        }
        word
    }

    fn value(&mut self, depth: usize) -> Result<Value, HclError> {
        match self.peek()? {
            Some('"') => self.text().map(Value::Text),
            Some('{') => {
                self.next();
                let entries = self.entries(depth)?;
                match self.take('}')? {
                    true => Ok(Value::Object(entries)),
                    false => Err(self.error("a brace is not closed")),
                }
            }
            Some('[') => {
                self.next();
                let Some(depth) = depth.checked_sub(1) else {
                    return Err(self.error("nested deeper than 16 levels"));
                };
                let mut list = Vec::new();
                while !self.take(']')? {
                    list.push(self.value(depth)?);
                    if !self.take(',')? && self.peek()? != Some(']') {
                        return Err(self.error("`,` or `]` is missing in a list"));
                    }
                }
                Ok(Value::List(list))
            }
            Some('<') => Err(self.error("texts of several lines (`<<`) are not read")),
            _ => match self.word().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                word if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                    Ok(Value::Number(word.to_owned()))
                }
                _ => Err(self.error("a value is missing, or a text without quotes")),
            },
        }
    }

    /// A text in quotes; the caller has seen the first one.
    fn text(&mut self) -> Result<String, HclError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => return Err(self.error("an escape that is not read")),
                },
                Some('\n') | None => return Err(self.error("a text does not end on its line")),
                Some(c) => text.push(c),
            }
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
mod tests {
    use super::{Value, parse};

    #[test]
    fn blocks_settings_and_comments_are_read() {
        let text = r#"
# one
server { // two
  a = "x\"y" /* three
  */ b = [1, "2", [true],]
  ca = { country = ["US"], "o" = "e", }
}
plugins { NodeAttestor "tpm" { plugin_data = {} } NodeAttestor "aws_iid" { plugin_data { "0" = "z" } } }
"#;
        let read = parse(text).unwrap();
        assert_eq!(read.len(), 2);
        let Value::Object(server) = &read[0].value else {
            panic!("{read:?}");
        };
        assert_eq!(server[0].value, Value::Text("x\"y".to_owned()));
        assert_eq!(server[0].line, 4);
        let number = Value::Number("1".to_owned());
        let list = vec![
            number,
            Value::Text("2".to_owned()),
            Value::List(vec![Value::Bool(true)]),
        ];
        assert_eq!(server[1].value, Value::List(list));
        let Value::Object(plugins) = &read[1].value else {
            panic!("{read:?}");
        };
        assert_eq!(plugins[1].names, ["NodeAttestor", "aws_iid"]);
    }

    #[test]
    fn what_is_no_hcl_is_refused_with_its_line() {
        for (text, line) in [
            ("a", 1),
            ("a = ", 1),
            ("a = b", 1),
            ("\na = \"x", 2),
            ("a = \"x\ny\"", 2),
            ("a {", 1),
            ("a { } }", 1),
            ("a = [1 2]", 1),
            ("a = 1\na = 2", 2),
            ("/* a", 1),
            ("a = <<EOF\nx\nEOF\n", 1),
            ("= 1", 1),
            (&"a {".repeat(17), 1),
            (&format!("a = {}1", "[".repeat(17)), 1),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
