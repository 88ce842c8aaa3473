//! Which kind of document a text is, before it is read in earnest.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use crate::document::{self, DocumentError, nearest};

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `section: AgentAttestation`.
    AgentAttestation,
    /// `section: SVIDIssuancePolicy`.
    SvidIssuancePolicy,
    /// An agent's settings: begins with `agent`.
    Agent,
    /// `assayd.yaml`: has a `trustDomain`.
    Service,
}

const SECTIONS: &[(&str, Section)] = &[
    ("AgentAttestation", Section::AgentAttestation),
    ("SVIDIssuancePolicy", Section::SvidIssuancePolicy),
];

impl Section {
    /// Those that are set per cluster, by name.
    pub fn of_clusters() -> impl Iterator<Item = Self> {
        SECTIONS.iter().map(|(_, section)| *section)
    }

    /// The section of a name that is set per cluster.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut sections = SECTIONS.iter();
        sections.find(|(known, _)| *known == name).map(|(_, s)| *s)
    }

    /// Its name as a section, or what else the document is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentAttestation => "AgentAttestation",
            Self::SvidIssuancePolicy => "SVIDIssuancePolicy",
            Self::Agent => "agent",
            Self::Service => "assayd",
        }
    }

    /// The kind of a text.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] when it is none that is known, or no mapping at all.
    pub fn of(file: &str, text: &str) -> Result<Self, DocumentError> {
        let head: Head = document::parse(file, text).map_err(|error| match &error.message {
            message if message == document::NOTHING => error.hint(BEGIN),
            _ => error,
        })?;
        let has = |name: &str| head.keys.iter().any(|key| key.value == name);
        let Some(section) = head.section else {
            return match () {
                () if has("agent") => Ok(Self::Agent),
                () if has("trustDomain") => Ok(Self::Service),
                () => Err(unknown_head(file, &head.keys)),
            };
        };
        let found = SECTIONS.iter().find(|(name, _)| *name == section.value);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = SECTIONS.iter().map(|(name, _)| *name);
            let hint = nearest(&section.value, names.clone()).map_or_else(
                || format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            DocumentError::new(file, format!("unknown section `{}`", section.value))
                .at(section.referenced.into())
                .hint(hint)
        })
    }
}

/// How a document of a cluster begins.
const BEGIN: &str = "begin with `section: AgentAttestation` or `section: SVIDIssuancePolicy`";

/// A mapping that is no known document: a misspelt key, or none at all.
fn unknown_head(file: &str, keys: &[Spanned<String>]) -> DocumentError {
    for key in keys {
        let near = nearest(&key.value, ["section", "agent", "trustDomain"]);
        if let Some(near) = near {
            return DocumentError::new(file, format!("unknown field `{}`", key.value))
                .at(key.referenced.into())
                .hint(format!("did you mean `{near}`?"));
        }
    }
    let at = keys.first().map(|key| key.referenced.into());
    DocumentError::new(file, "missing field `section`")
        .at(at.unwrap_or(document::Place { line: 1, column: 1 }))
        .hint("begin with `section: AgentAttestation` or `section: SVIDIssuancePolicy`, and `schema: v1`")
}

/// The keys of the outermost mapping, and the section that it names.
struct Head {
    section: Option<Spanned<String>>,
    keys: Vec<Spanned<String>>,
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Head;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document with `section`, `schema` and `spec`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
                let mut head = Head {
                    section: None,
                    keys: Vec::new(),
                };
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    if key.value == "section" {
                        head.section = Some(map.next_value()?);
                    } else {
                        let _: IgnoredAny = map.next_value()?;
                    }
                    head.keys.push(key);
                }
                Ok(head)
            }
        }
        deserializer.deserialize_any(Keys)
    }
}
