//! AWS's XML, as far as it is needed: elements and text.
//!
//! What else XML has (documents that define entities, processing instructions, CDATA, comments) is refused: no service answers
//! with it, and each has been somebody's way in. Depth and number of elements are bounded; the length is by whoever reads.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Deepest nesting. The deepest that is read has ten.
const DEPTH: usize = 24;
/// Most elements: ten Auto Scaling groups of a managed node group's largest size have some 50,000.
const ELEMENTS: usize = 200_000;

/// Why a text is not read; a constant, so that nothing of the text is told.
pub(super) type Wrong = &'static str;

/// An element with its children, or with text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    name: Box<str>,
    text: String,
    children: Vec<Self>,
}

/// Reads a document.
pub(super) fn parse(body: &[u8]) -> Result<Element, Wrong> {
    let text = core::str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let (mut begun, mut count) = (false, 0);
    loop {
        let event = reader
            .read_event()
            .map_err(|_| "it is not well-formed XML")?;
        match event {
            Event::Decl(_) if !begun => {}
            Event::Start(start) => {
                let element = opened(&start, &mut count)?;
                if root.is_some() || open.len() >= DEPTH {
                    return Err("its elements are nested too deeply, or stand beside each other");
                }
                open.push(element);
            }
            Event::Empty(start) => {
                let element = opened(&start, &mut count)?;
                close(element, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or("it is not well-formed XML")?;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(text) => match open.last_mut() {
                Some(element) => element.text.push_str(&text.xml10_content()),
                None if text.trim_ascii().is_empty() => {}
                None => return Err("there is text outside of it"),
            },
            Event::GeneralRef(reference) => {
                let element = open.last_mut().ok_or("there is text outside of it")?;
                resolve(&reference, &mut element.text)?;
            }
            Event::Eof => break,
            Event::Decl(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::PI(_)
            | Event::DocType(_) => {
                return Err("it has more than elements and text");
            }
        }
        begun = true;
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err("it breaks off"),
    }
}

fn opened(start: &BytesStart<'_>, count: &mut usize) -> Result<Element, Wrong> {
    *count += 1;
    if *count > ELEMENTS {
        return Err("it has too many elements");
    }
    if start.attributes().any(|attribute| attribute.is_err()) {
        return Err("it is not well-formed XML");
    }
    Ok(Element {
        name: start.name().as_ref().into(),
        text: String::new(),
        children: Vec::new(),
    })
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), Wrong> {
    let mut element = element;
    if !element.children.is_empty() {
        if !element.text.trim_ascii().is_empty() {
            return Err("it has text between elements");
        }
        element.text = String::new();
    }
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err("it has elements beside each other"),
    }
    Ok(())
}

/// The five entities that XML has by itself, and characters by their number.
fn resolve(reference: &BytesRef<'_>, into: &mut String) -> Result<(), Wrong> {
    let wrong = "it has an entity that XML does not have";
    if reference.is_char_ref() {
        let char = reference.resolve_char_ref().map_err(|_| wrong)?;
        // XML 1.0, 2.2: a number is no way round what may not stand there.
        let is_char = |c: &char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        into.push(char.filter(is_char).ok_or(wrong)?);
        return Ok(());
    }
    into.push_str(resolve_predefined_entity(reference).ok_or(wrong)?);
    Ok(())
}

impl Element {
    /// This element, if it has this name.
    pub(super) fn named(&self, name: &str) -> Result<&Self, Wrong> {
        match &*self.name == name {
            true => Ok(self),
            false => Err("it answers another question"),
        }
    }

    /// The child of this name, if there is one.
    pub(super) fn child(&self, name: &str) -> Result<Option<&Self>, Wrong> {
        let mut all = self.children.iter().filter(|child| &*child.name == name);
        match (all.next(), all.next()) {
            (one, None) => Ok(one),
            _ => Err("an element stands twice"),
        }
    }

    /// The child of this name.
    pub(super) fn need(&self, name: &str) -> Result<&Self, Wrong> {
        self.child(name)?.ok_or("an element is missing")
    }

    /// The text of the child of this name; `None`: there is no such child, or no text in it.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Wrong> {
        let Some(child) = self.child(name)? else {
            return Ok(None);
        };
        match child.children.is_empty() {
            true => Ok(Some(child.text.as_str()).filter(|text| !text.is_empty())),
            false => Err("there are elements where text should be"),
        }
    }

    /// The text of the child of this name.
    pub(super) fn need_text(&self, name: &str) -> Result<&str, Wrong> {
        self.text(name)?.ok_or("an element is missing, or empty")
    }

    /// What stands in the list of this name; a list that is not there is empty. EC2 calls what is in a list `item`, the others
    /// call it `member`.
    pub(super) fn list(&self, name: &str) -> Result<&[Self], Wrong> {
        let Some(list) = self.child(name)? else {
            return Ok(&[]);
        };
        let known = |child: &Self| matches!(&*child.name, "item" | "member");
        let blank = list.text.trim_ascii().is_empty();
        match blank && list.children.iter().all(known) {
            true => Ok(&list.children),
            false => Err("a list has something else in it"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{DEPTH, ELEMENTS, parse};

    #[test]
    fn elements_and_text_are_read_with_the_entities_of_xml() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A xmlns=\"urn:a\">\n <b>x &amp; &lt;y&gt; &quot;&apos;&#x20;&#228;</b><c/>\n <l><item><n>1</n></item><item><n>2</n></item></l></A>\n";
        let root = parse(text.as_bytes()).unwrap();
        assert!(root.named("A").is_ok() && root.named("B").is_err());
        assert_eq!(root.text("b"), Ok(Some("x & <y> \"' \u{e4}")));
        assert_eq!(root.text("c"), Ok(None));
        assert_eq!(root.text("d"), Ok(None));
        assert!(root.need("d").is_err() && root.need_text("c").is_err());
        let list: Vec<_> = root
            .list("l")
            .unwrap()
            .iter()
            .map(|item| item.need_text("n").unwrap())
            .collect();
        assert_eq!(list, ["1", "2"]);
        assert!(root.list("d").unwrap().is_empty() && root.list("c").unwrap().is_empty());
        assert!(root.list("b").is_err(), "text is no list");
        assert!(root.text("l").is_err(), "a list is no text");
    }

    #[test]
    fn nothing_else_is() {
        for wrong in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>b",
            "b<a/>",
            "<a>b<c/></a>",
            "<a b=1/>",
            "<a b=\"1\" b=\"2\"/>",
            "<a>&nbsp;</a>",
            "<a>&#0;</a>",
            "<a>&#x1f;</a>",
            "<a>&#xd800;</a>",
            "<a>&</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<!DOCTYPE a SYSTEM \"http://example.org/\"><a/>",
            "<a><![CDATA[b]]></a>",
            "<a><!-- b --></a>",
            "<?b c?><a/>",
            "<a/><?xml version=\"1.0\"?>",
            "{\"a\":1}",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse(b"<a>\xff</a>").is_err());
        let root = parse(b"<a><b>1</b><b>2</b><c><d/></c></a>").unwrap();
        assert!(root.child("b").is_err(), "twice");
        assert!(root.list("c").is_err(), "neither item nor member");
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(parse(nested(DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(DEPTH + 1).as_bytes()).is_err());
        let many = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n - 1));
        assert!(parse(many(ELEMENTS).as_bytes()).is_ok());
        assert!(parse(many(ELEMENTS + 1).as_bytes()).is_err());
    }
}
