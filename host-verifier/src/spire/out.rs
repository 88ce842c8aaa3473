//! YAML that is written, in the order in which it was put together.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A text, always in quotes unless it is a plain word.
    Text(String),
    /// Anything that is written as it is: numbers, `true`, `false`.
    Plain(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// An empty mapping.
    #[must_use]
    pub(super) const fn map() -> Self {
        Self::Map(Vec::new())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Map(members) => members.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Text(_) | Self::Plain(_) => false,
        }
    }

    /// Puts a value at a path of keys, over whatever is there.
    pub(super) fn put(&mut self, path: &[&str], value: Self) {
        let [first, rest @ ..] = path else {
            *self = value;
            return;
        };
        if !matches!(self, Self::Map(_)) {
            *self = Self::map();
        }
        let Self::Map(members) = self else {
            return;
        };
        let at = members.iter().position(|(key, _)| key == first);
        let at = at.unwrap_or_else(|| {
            members.push(((*first).to_owned(), Self::map()));
            members.len() - 1
        });
        if let Some((_, member)) = members.get_mut(at) {
            member.put(rest, value);
        }
    }

    /// What is at a path of keys.
    #[must_use]
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        let [first, rest @ ..] = path else {
            return Some(self);
        };
        let Self::Map(members) = self else {
            return None;
        };
        let (_, member) = members.iter().find(|(key, _)| key == first)?;
        member.at(rest)
    }

    /// Puts a value behind the others of the list at a path.
    pub(super) fn push(&mut self, path: &[&str], value: Self) {
        let mut items = match self.at(path) {
            Some(Self::List(items)) => items.clone(),
            _ => Vec::new(),
        };
        items.push(value);
        self.put(path, Self::List(items));
    }

    /// A list of texts.
    #[must_use]
    pub(super) fn texts<T: Into<String>>(all: impl IntoIterator<Item = T>) -> Self {
        let all = all.into_iter().map(|text| Self::Text(text.into()));
        Self::List(all.collect())
    }

    /// The text, and the texts of a list.
    #[must_use]
    pub(super) fn all_texts(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::List(items) => items.iter().flat_map(Self::all_texts).collect(),
            Self::Plain(_) | Self::Map(_) => Vec::new(),
        }
    }

    /// The document.
    #[must_use]
    pub(super) fn yaml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, out: &mut String, depth: usize) {
        let pad = "  ".repeat(depth);
        match self {
            Self::Map(members) => {
                for (key, value) in members {
                    let is_number = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
                    let key = if is_number { key.clone() } else { scalar(key) };
                    out.push_str(&format!("{pad}{key}:"));
                    value.behind(out, depth);
                }
            }
            Self::List(items) => {
                for item in items {
                    let mut inner = String::new();
                    match item {
                        Self::Map(members) if !members.is_empty() => {
                            item.write(&mut inner, depth + 1);
                            let first = format!("{pad}- {}", inner.trim_start());
                            out.push_str(&first);
                        }
                        _ => {
                            out.push_str(&format!("{pad}-"));
                            item.behind(out, depth);
                        }
                    }
                }
            }
            Self::Text(_) | Self::Plain(_) => self.behind(out, depth),
        }
    }

    fn behind(&self, out: &mut String, depth: usize) {
        match self {
            Self::Text(text) => out.push_str(&format!(" {}\n", scalar(text))),
            Self::Plain(text) => out.push_str(&format!(" {text}\n")),
            Self::Map(members) if members.is_empty() => out.push_str(" {}\n"),
            Self::List(items) if items.is_empty() => out.push_str(" []\n"),
            Self::List(items) if items.iter().all(|item| matches!(item, Self::Plain(_))) => {
                let items: Vec<_> = items.iter().map(Self::flat).collect();
                out.push_str(&format!(" [{}]\n", items.join(", ")));
            }
            _ => {
                out.push('\n');
                self.write(out, depth + 1);
            }
        }
    }

    fn flat(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => scalar(text),
            Self::List(_) | Self::Map(_) => String::new(),
        }
    }
}

/// A text as YAML reads it back: JSON's quotes, but for words that nothing else is read as.
fn scalar(text: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(legal)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    match is_word {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn what_is_written_is_read_back() {
        let text = |text: &str| Node::Text(text.to_owned());
        let mut node = Node::map();
        node.put(&["a", "b"], text("true"));
        node.put(&["a", "c"], Node::List(vec![text("0123"), text("x: y")]));
        let mut entry = Node::map();
        entry.put(&["type"], text("aws_iid"));
        entry.put(&["config", "n"], Node::Plain("5".to_owned()));
        entry.put(&["empty"], Node::map());
        node.put(&["list"], Node::List(vec![entry]));
        let written = node.yaml();
        let read: serde_json::Value = serde_saphyr::from_str(&written).unwrap_or_default();
        let wanted = serde_json::json!({
            "a": {"b": "true", "c": ["0123", "x: y"]},
            "list": [{"type": "aws_iid", "config": {"n": 5}, "empty": {}}],
        });
        assert_eq!(read, wanted, "{written}");
    }
}
