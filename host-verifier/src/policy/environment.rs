//! Which kind of installation a cluster is: set by the operator, never by an agent.

use core::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::document::HINT;

/// `environment` of a document, and of a policy that is for some environments only.
///
/// A closed list: a name that is free to choose would turn a slip of the pen into a policy that silently never applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Environment {
    /// `development`.
    Development,
    /// `staging`.
    Staging,
    /// `production`.
    Production,
}

impl Environment {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Development, Self::Staging, Self::Production];

    /// As documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// The environment of a name, matched whole and case-sensitively.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|e| e.name() == name)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One name.
#[derive(Debug, Clone, Copy)]
pub(super) struct EnvironmentName(pub(super) Environment);

impl<'de> Deserialize<'de> for EnvironmentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NAMES: &[&str] = &["development", "staging", "production"];
        let name = String::deserialize(deserializer)?;
        Environment::from_name(&name)
            .map(Self)
            .ok_or_else(|| de::Error::unknown_variant(&name, NAMES))
    }
}

/// One name or a list of them.
#[derive(Debug)]
pub(super) struct Environments(pub(super) Vec<Environment>);

impl<'de> Deserialize<'de> for Environments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> de::Visitor<'de> for OneOrMany {
            type Value = Environments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an environment or a list of them")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Environments, E> {
                let name = de::value::StrDeserializer::new(name);
                EnvironmentName::deserialize(name).map(|name| Environments(vec![name.0]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Environments, A::Error> {
                let mut names = Vec::new();
                while let Some(EnvironmentName(name)) = seq.next_element()? {
                    if names.contains(&name) {
                        return Err(de::Error::custom(format_args!(
                            "environment `{name}` stands there twice{HINT}remove one of them"
                        )));
                    }
                    names.push(name);
                }
                if names.is_empty() {
                    return Err(de::Error::custom(format_args!(
                        "a policy for no environment{HINT}list the environments that it is for, or remove the field"
                    )));
                }
                Ok(Environments(names))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}
