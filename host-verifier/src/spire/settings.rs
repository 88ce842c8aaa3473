//! A block whose settings are taken out one by one.

use super::files::Part;
use super::hcl::{Entry, Value};
use super::out::Node;
use super::reasons;
use super::{Carried, Import, Left};

/// What is left of a block.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The block, e.g. `NodeAttestor "aws_iid"`; empty at the top.
    pub(super) path: String,
    part: String,
    before: usize,
    entries: Vec<Entry>,
}

impl Settings {
    pub(super) fn new(path: &str, part: &Part, entries: Vec<Entry>) -> Self {
        Self {
            path: path.to_owned(),
            part: part.name.clone(),
            before: part.before,
            entries,
        }
    }

    fn within(&self, path: String, entries: Vec<Entry>) -> Self {
        Self {
            path,
            part: self.part.clone(),
            before: self.before,
            entries,
        }
    }

    fn at(&self, line: usize) -> String {
        match self.part.is_empty() {
            true => format!("line {line}"),
            false => format!("{} line {}", self.part, line + self.before),
        }
    }

    fn named(&self, names: &[String]) -> String {
        let [first, labels @ ..] = names else {
            return self.path.clone();
        };
        let labels = labels.iter().map(|label| format!(" {label:?}"));
        let name = format!("{first}{}", labels.collect::<String>());
        match self.path.is_empty() {
            true => name,
            false => format!("{}.{name}", self.path),
        }
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let is = |entry: &Entry| entry.names == [key];
        let at = self.entries.iter().position(is)?;
        Some(self.entries.remove(at))
    }

    /// Takes a block of one name out.
    pub(super) fn block(&mut self, key: &str) -> Option<Self> {
        let is = |entry: &Entry| entry.names == [key] && matches!(entry.value, Value::Object(_));
        let at = self.entries.iter().position(is)?;
        let entry = self.entries.remove(at);
        let path = self.named(&entry.names);
        match entry.value {
            Value::Object(entries) => Some(self.within(path, entries)),
            _ => None,
        }
    }

    /// Takes a map of blocks out, each with its key: `tenants = { "ID" = { … } }`, or `tenants "ID" { … }`. Whatever else the
    /// map has is listed.
    pub(super) fn keyed(&mut self, key: &str, import: &mut Import) -> Vec<Member> {
        let mut members = Vec::new();
        let mut rest = Vec::new();
        for entry in core::mem::take(&mut self.entries) {
            let Entry { names, value, line } = entry;
            match (names.as_slice(), value) {
                // An empty one has nothing to take: it stays, and is listed.
                ([name], Value::Object(inner)) if name == key && !inner.is_empty() => {
                    let map = self.within(self.named(&names), inner);
                    members.extend(map.members(import));
                }
                ([name, label], Value::Object(inner)) if name == key => {
                    let path = self.named(core::slice::from_ref(name));
                    members.push(self.member(&path, label, line, inner));
                }
                (_, value) => rest.push(Entry { names, value, line }),
            }
        }
        self.entries = rest;
        members
    }

    fn members(mut self, import: &mut Import) -> Vec<Member> {
        let mut members = Vec::new();
        for entry in core::mem::take(&mut self.entries) {
            match (entry.names.as_slice(), entry.value) {
                ([key], Value::Object(inner)) => {
                    members.push(self.member(&self.path, key, entry.line, inner));
                }
                (_, value) => {
                    let Entry { names, line, .. } = entry;
                    self.entries.push(Entry { names, value, line });
                }
            }
        }
        self.finish(import);
        members
    }

    fn member(&self, map: &str, key: &str, line: usize, inner: Vec<Entry>) -> Member {
        let path = format!("{map}.{key}");
        Member {
            key: key.to_owned(),
            at: self.at(line),
            settings: self.within(path, inner),
        }
    }

    /// Takes the plugins out, each by its kind and name, with what is in its `plugin_data`.
    pub(super) fn plugins(&mut self) -> Vec<(String, String, Self)> {
        let mut plugins = Vec::new();
        let mut rest = Vec::new();
        for entry in core::mem::take(&mut self.entries) {
            let Entry { names, value, line } = entry;
            match (names.as_slice(), value) {
                ([kind, name], Value::Object(inner)) => {
                    let (kind, name) = (kind.clone(), name.clone());
                    let path = format!("{kind} {name:?}");
                    let mut plugin = self.within(path.clone(), inner);
                    let data = plugin.block("plugin_data");
                    let mut data = data.unwrap_or_else(|| plugin.within(path.clone(), Vec::new()));
                    data.path = path;
                    data.entries.append(&mut plugin.entries);
                    plugins.push((kind, name, data));
                }
                (_, value) => rest.push(Entry { names, value, line }),
            }
        }
        self.entries = rest;
        plugins
    }

    /// Whether a setting is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.names == [key])
    }

    /// Whether a setting has this value.
    pub(super) fn is(&self, key: &str, value: &Value) -> bool {
        let is = |entry: &Entry| entry.names == [key] && entry.value == *value;
        self.entries.iter().any(is)
    }

    /// A setting, which stays.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let entry = self.entries.iter().find(|entry| entry.names == [key])?;
        Some(&entry.value)
    }

    /// The text of a setting, which stays.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.names == [key])?;
        match &entry.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a setting out: it is `to` here.
    pub(super) fn take(&mut self, key: &str, to: &str, import: &mut Import) -> Option<Value> {
        let entry = self.remove(key)?;
        import.carried.push(Carried {
            at: self.at(entry.line),
            key: self.named(&entry.names),
            to: to.to_owned(),
        });
        Some(entry.value)
    }

    /// As [`Self::take`], and puts it where it belongs in a document.
    pub(super) fn carry(&mut self, key: &str, to: &[&str], node: &mut Node, import: &mut Import) {
        if let Some(value) = self.take(key, &to.join("."), import) {
            node.put(to, node_of(&value));
        }
    }

    /// Takes a setting out and lists it, for a reason of this one.
    pub(super) fn leave(&mut self, key: &str, reason: &str, instead: &str, import: &mut Import) {
        if let Some(entry) = self.remove(key) {
            import.left.push(Left {
                at: self.at(entry.line),
                key: self.named(&entry.names),
                reason: reason.to_owned(),
                instead: (!instead.is_empty()).then(|| instead.to_owned()),
            });
        }
    }

    /// Lists whatever is left, for one reason.
    pub(super) fn leave_all(&mut self, reason: &str, instead: &str, import: &mut Import) {
        let mut keys: Vec<String> = Vec::new();
        for entry in &self.entries {
            if let [key] = entry.names.as_slice() {
                keys.push(key.clone());
            }
        }
        for key in keys {
            self.leave(&key, reason, instead, import);
        }
    }

    /// Whether a plugin is in use. One that is switched off (`enabled = false`) is listed, and nothing of it counts.
    pub(super) fn is_enabled(&mut self, import: &mut Import) -> bool {
        const ENABLED: &str = "enabled";
        let off = self.is(ENABLED, &Value::Bool(false))
            || self.peek(ENABLED).is_some_and(|text| text == "false");
        if off {
            let reason = "the plugin is switched off there, so nothing of it is carried over";
            self.leave(ENABLED, reason, "", import);
            self.entries.clear();
            return false;
        }
        self.take(ENABLED, "a plugin that is carried over is in use", import);
        true
    }

    /// Lists whatever is left.
    pub(super) fn finish(self, import: &mut Import) {
        for entry in &self.entries {
            self.list(&self.path, entry, import);
        }
    }

    fn list(&self, path: &str, entry: &Entry, import: &mut Import) {
        let key = entry.names.join(" ");
        let known = reasons::of(path, &key);
        if let Value::Object(inner) = &entry.value
            && !inner.is_empty()
            && !reasons::is_named(path, &key)
        {
            let block = self.within(path.to_owned(), Vec::new()).named(&entry.names);
            for entry in inner {
                self.list(&block, entry, import);
            }
            return;
        }
        let (reason, instead) = known.unwrap_or(reasons::UNKNOWN);
        import.left.push(Left {
            at: self.at(entry.line),
            key: self.within(path.to_owned(), Vec::new()).named(&entry.names),
            reason: reason.to_owned(),
            instead: (!instead.is_empty()).then(|| instead.to_owned()),
        });
    }
}

/// A block of a map, by its key.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The key.
    pub(super) key: String,
    at: String,
    /// What is in the block.
    pub(super) settings: Settings,
}

impl Member {
    /// The key is `to` here.
    pub(super) fn carried(&self, to: &str, import: &mut Import) {
        import.carried.push(Carried {
            at: self.at.clone(),
            key: self.settings.path.clone(),
            to: to.to_owned(),
        });
    }

    /// Lists the key, and all that is in the block.
    pub(super) fn left(mut self, reason: &str, instead: &str, import: &mut Import) {
        import.left.push(Left {
            at: self.at,
            key: self.settings.path.clone(),
            reason: reason.to_owned(),
            instead: (!instead.is_empty()).then(|| instead.to_owned()),
        });
        self.settings.leave_all(reason, instead, import);
        self.settings.finish(import);
    }
}

/// A value as it is written in YAML.
pub(super) fn node_of(value: &Value) -> Node {
    match value {
        Value::Text(text) => Node::Text(text.clone()),
        Value::Number(number) => Node::Plain(number.clone()),
        Value::Bool(value) => Node::Plain(value.to_string()),
        Value::List(items) => Node::List(items.iter().map(node_of).collect()),
        Value::Object(entries) => {
            let members = entries.iter();
            let members = members.map(|entry| (entry.names.join("."), node_of(&entry.value)));
            Node::Map(members.collect())
        }
    }
}

/// The texts of a list, or of one text.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) | Value::Number(text) => vec![text.clone()],
        Value::List(items) => items.iter().flat_map(texts).collect(),
        Value::Bool(_) | Value::Object(_) => Vec::new(),
    }
}
