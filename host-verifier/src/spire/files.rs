//! Where HCL stands: in a file of its own, or in the ConfigMaps of a manifest.

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What the ConfigMap calls it, e.g. `server.conf`; empty for a file of its own.
    pub name: String,
    /// The ConfigMap's namespace, where it says one.
    pub namespace: Option<String>,
    /// The text.
    pub text: String,
    /// The lines before it.
    pub before: usize,
}

/// Takes a file apart. A manifest is one that has a `kind: ConfigMap`; whatever else is in it is passed over. Texts of several
/// lines (`NAME: |`) are read however they are indented, and also when they lost their indentation on the way through a web page.
#[must_use]
pub fn parts(text: &str) -> Vec<Part> {
    let lines: Vec<&str> = text.lines().collect();
    if !lines.iter().any(|line| line.trim() == "kind: ConfigMap") {
        return vec![Part {
            name: String::new(),
            namespace: None,
            text: text.to_owned(),
            before: 0,
        }];
    }
    let mut parts = Vec::new();
    let mut namespace = None;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if line.trim_end() == "---" {
            namespace = None;
        }
        if let Some(name) = line.trim().strip_prefix("namespace:") {
            namespace = Some(name.trim().trim_matches('"').to_owned());
        }
        let Some(name) = key_of_text(line) else {
            continue;
        };
        let own = indent(line);
        let rest = lines.get(at..).unwrap_or_default();
        let first = rest.iter().find(|line| !line.trim().is_empty());
        let is_indented = first.is_some_and(|first| indent(first) > own);
        let ends = |line: &&str| match is_indented {
            true => !line.trim().is_empty() && indent(line) <= own,
            false => line.trim_end() == "---" || key_of_text(line).is_some(),
        };
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        let own: String = rest
            .iter()
            .take(len)
            .map(|line| format!("{line}\n"))
            .collect();
        parts.push(Part {
            name: name.to_owned(),
            namespace: namespace.clone(),
            text: own,
            before: at,
        });
        at += len;
    }
    parts
}

/// The key of `server.conf: |`.
fn key_of_text(line: &str) -> Option<&str> {
    let (name, style) = line.trim().split_once(": |")?;
    let name = name.trim_matches('"');
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = !name.is_empty() && name.chars().all(legal);
    (is_name && matches!(style, "" | "-" | "+")).then_some(name)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests {
    use super::parts;

    #[test]
    fn the_texts_of_a_manifest_are_taken_out() {
        let flat = "kind: ConfigMap\nmetadata:\nnamespace: a\ndata:\nserver.conf: |\nserver {\n}\n---\nkind: ConfigMap\ndata:\nagent.conf: |\nagent {\n}\n";
        let indented = "kind: ConfigMap\nmetadata:\n  namespace: a\ndata:\n  server.conf: |\n    server {\n    }\n\n  x: 1\n---\nkind: ConfigMap\ndata:\n  agent.conf: |-\n    agent {\n    }\n";
        for text in [flat, indented] {
            let parts = parts(text);
            let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
            assert_eq!(names, ["server.conf", "agent.conf"], "{text}");
            assert!(parts.iter().all(|part| part.text.trim().ends_with('}')));
            let namespaces: Vec<_> = parts.iter().map(|part| part.namespace.as_deref()).collect();
            assert_eq!(namespaces, [Some("a"), None]);
        }
        assert_eq!(parts(indented)[0].before, 5);
        let plain = parts("server {\n}\n");
        assert_eq!((plain.len(), plain[0].name.as_str()), (1, ""));
    }
}
