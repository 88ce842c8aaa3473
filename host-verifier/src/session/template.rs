//! Path templates: `/node/{{tpm_ek.public_hash}}`.
//!
//! Strict: an attribute that is missing, has several values, or has a value that is no legal part of a path segment
//! is an error. Nothing is escaped, cut or replaced, so no value can reach into another segment.

use assay_common::identity::{SpiffeIdError, check_segment};

use crate::attestor::Attribute;

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Attribute(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Does not begin with a slash.
    #[error("a path template begins with `/`")]
    NoSlash,
    /// `{{` without `}}`, or the reverse.
    #[error("`{{{{` and `}}}}` do not pair up")]
    Braces,
    /// `{{}}`, or a name with other characters than letters, digits, `_`, `-`, `.`.
    #[error("`{0}` is no attribute name")]
    Name(String),
    /// Fixed text that is not legal in a SPIFFE path.
    #[error("`{text}`: {error}")]
    Text {
        /// The text.
        text: String,
        /// The rule.
        error: SpiffeIdError,
    },
}

/// Why a path cannot be made for a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No attestor of the winning policy gives the attribute.
    #[error("the path template needs `{0}`, which no attestor of the policy gives")]
    Missing(String),
    /// It has several values, and no rule says which is meant.
    #[error("the path template needs one value of `{name}`, which has {count}")]
    Several {
        /// The attribute.
        name: String,
        /// How many.
        count: usize,
    },
    /// The value is not legal in a SPIFFE path.
    #[error("`{name}` is {value:?}: {error}")]
    Value {
        /// The attribute.
        name: String,
        /// Its value.
        value: String,
        /// The rule.
        error: SpiffeIdError,
    },
    /// The parts are legal, the segment that they make is not.
    #[error("segment {segment:?}: {error}")]
    Segment {
        /// The segment.
        segment: String,
        /// The rule.
        error: SpiffeIdError,
    },
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let path = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
        let segments = path
            .split('/')
            .map(parse_segment)
            .collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// The names of the attributes that it needs.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.segments
            .iter()
            .flatten()
            .filter_map(|part| match part {
                Part::Attribute(name) => Some(name.as_str()),
                Part::Text(_) => None,
            })
    }

    /// The path for a node with these attributes, with its first slash.
    ///
    /// # Errors
    ///
    /// [`RenderError`].
    pub fn render(&self, attributes: &[Attribute]) -> Result<String, RenderError> {
        let mut path = String::new();
        for parts in &self.segments {
            let segment = render_segment(parts, attributes)?;
            path.push('/');
            path.push_str(&segment);
        }
        Ok(path)
    }
}

/// Whether a text can be an attribute's name: letters, digits, `_`, `-`, `.`, at least one.
#[must_use]
pub fn is_attribute_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(legal)
}

fn parse_segment(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(TemplateError::Braces)?;
        push_text(&mut parts, before)?;
        let name = name.trim();
        if !is_attribute_name(name) {
            return Err(TemplateError::Name(name.to_owned()));
        }
        parts.push(Part::Attribute(name.to_owned()));
        rest = after;
    }
    push_text(&mut parts, rest)?;
    match parts.as_slice() {
        // A segment that is all text must be legal by itself; `.` and `..` are legal beside other text.
        [] => Err(TemplateError::Text {
            text: text.to_owned(),
            error: SpiffeIdError::EmptySegment,
        }),
        [Part::Text(text)] => check_segment(text)
            .map(|()| parts.clone())
            .map_err(|error| TemplateError::Text {
                text: text.clone(),
                error,
            }),
        _ => Ok(parts),
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), TemplateError> {
    if text.is_empty() {
        return Ok(());
    }
    if text.contains(['{', '}']) {
        return Err(TemplateError::Braces);
    }
    match check_segment(text) {
        Ok(()) | Err(SpiffeIdError::DotSegment) => {
            parts.push(Part::Text(text.to_owned()));
            Ok(())
        }
        Err(error) => Err(TemplateError::Text {
            text: text.to_owned(),
            error,
        }),
    }
}

fn render_segment(parts: &[Part], attributes: &[Attribute]) -> Result<String, RenderError> {
    let mut segment = String::new();
    for part in parts {
        match part {
            Part::Text(text) => segment.push_str(text),
            Part::Attribute(name) => segment.push_str(value(name, attributes)?),
        }
    }
    match check_segment(&segment) {
        Ok(()) => Ok(segment),
        Err(error) => Err(RenderError::Segment { segment, error }),
    }
}

fn value<'a>(name: &str, attributes: &'a [Attribute]) -> Result<&'a str, RenderError> {
    let values: Vec<_> = attributes.iter().filter(|a| a.name == name).collect();
    let [only] = values.as_slice() else {
        return Err(match values.len() {
            0 => RenderError::Missing(name.to_owned()),
            count => RenderError::Several {
                name: name.to_owned(),
                count,
            },
        });
    };
    check_segment(&only.value).map_err(|error| RenderError::Value {
        name: name.to_owned(),
        value: only.value.clone(),
        error,
    })?;
    Ok(&only.value)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{PathTemplate, RenderError, TemplateError};
    use crate::attestor::Attribute;
    use assay_common::identity::SpiffeIdError;
    use assay_common::policy::AttestorKind;

    fn attribute(name: &str, value: &str) -> Attribute {
        Attribute {
            origin: AttestorKind::TPM_EK,
            name: name.to_owned().into(),
            value: value.to_owned(),
        }
    }

    fn render(template: &str, attributes: &[Attribute]) -> Result<String, RenderError> {
        PathTemplate::parse(template).unwrap().render(attributes)
    }

    #[test]
    fn attributes_are_filled_in_as_they_are() {
        let attributes = [attribute("a.b", "x-1"), attribute("c", "Y_2")];
        assert_eq!(
            render("/node/{{a.b}}/n-{{ c }}.z", &attributes).unwrap(),
            "/node/x-1/n-Y_2.z"
        );
    }

    #[test]
    fn a_missing_attribute_is_an_error() {
        assert_eq!(
            render("/{{a}}", &[]),
            Err(RenderError::Missing("a".to_owned()))
        );
    }

    #[test]
    fn an_attribute_with_two_values_is_an_error() {
        let attributes = [attribute("a", "1"), attribute("a", "2")];
        assert_eq!(
            render("/{{a}}", &attributes),
            Err(RenderError::Several {
                name: "a".to_owned(),
                count: 2
            })
        );
    }

    #[test]
    fn a_value_that_is_not_one_legal_segment_is_an_error_and_never_an_escape() {
        for value in [
            "",
            ".",
            "..",
            "a/b",
            "a%2fb",
            "a b",
            "a?b",
            "é",
            "id:4E544300",
        ] {
            let result = render("/{{a}}", &[attribute("a", value)]);
            assert!(
                matches!(result, Err(RenderError::Value { .. })),
                "{value}: {result:?}"
            );
        }
    }

    #[test]
    fn dots_from_two_places_do_not_make_a_dot_segment() {
        let attributes = [attribute("a", "x")];
        assert_eq!(render("/.{{a}}", &attributes).unwrap(), "/.x");
        assert!(matches!(
            render("/.{{a}}", &[attribute("a", ".")]),
            Err(RenderError::Value { .. })
        ));
    }

    #[test]
    fn templates_that_cannot_make_a_legal_path_are_refused_at_once() {
        for (text, error) in [
            ("node/{{a}}", TemplateError::NoSlash),
            ("", TemplateError::NoSlash),
            ("/{{a", TemplateError::Braces),
            ("/a}}", TemplateError::Braces),
            ("/{a}", TemplateError::Braces),
            ("/{{}}", TemplateError::Name(String::new())),
            ("/{{a b}}", TemplateError::Name("a b".to_owned())),
        ] {
            assert_eq!(PathTemplate::parse(text), Err(error), "{text}");
        }
        for (text, rule) in [
            ("/", SpiffeIdError::EmptySegment),
            ("/a//b", SpiffeIdError::EmptySegment),
            ("/{{a}}/", SpiffeIdError::EmptySegment),
            ("/a/../b", SpiffeIdError::DotSegment),
            ("/a b", SpiffeIdError::PathCharacter),
        ] {
            let result = PathTemplate::parse(text);
            assert!(
                matches!(&result, Err(TemplateError::Text { error, .. }) if *error == rule),
                "{text}: {result:?}"
            );
        }
    }
}
