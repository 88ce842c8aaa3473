//! The answers of STS, which are XML of one fixed form: a few elements with a text, of which each is there once.

/// The text of the one element of this name; `None` when there is none, or another, or it holds anything but a text.
///
/// No entity is resolved: of what is read here (tokens, keys, codes) none has a letter that XML writes as one.
pub(super) fn text<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = document.split_once(&open)?;
    let (text, after) = rest.split_once(&close)?;
    let alone = !text.contains(['<', '&']) && !after.contains(&open);
    alone.then(|| text.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn an_element_is_there_once_and_holds_a_text() {
        let document =
            "<A xmlns=\"u\"><B>\n one </B><C><D>x</D></C><E>1</E><E>2</E><F>a&amp;b</F><G/></A>";
        assert_eq!(text(document, "B"), Some("one"));
        assert_eq!(text(document, "D"), Some("x"));
        for name in ["A", "C", "E", "F", "G", "H"] {
            assert_eq!(text(document, name), None, "{name}");
        }
        assert_eq!(text("<B>cut", "B"), None);
    }
}
