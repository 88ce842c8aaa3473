//! Reads one entry of `requiredAttestors` or `anyOf`.
//!
//! A method's `config` is read by the method itself while the document is read, so its errors carry a line and a
//! column too.

use core::fmt;

use assay_common::policy::AttestorKind;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use crate::attestor::{MethodConfig, registry};
use crate::document::{HINT, nearest};

/// One entry.
#[derive(Debug)]
pub(super) struct Requirement {
    /// The method, at its place.
    pub(super) kind: Spanned<Kind>,
    /// Its settings.
    pub(super) config: Box<dyn MethodConfig>,
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequirementVisitor)
    }
}

struct RequirementVisitor;

const FIELDS: &[&str] = &["type", "config"];

impl<'de> Visitor<'de> for RequirementVisitor {
    type Value = Requirement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry with `type` and, where the method has settings, `config`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Requirement, A::Error> {
        let mut kind: Option<Spanned<Kind>> = None;
        let mut config: Option<Box<dyn MethodConfig>> = None;
        let mut early: Option<serde_json::Value> = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => kind = Some(map.next_value()?),
                "config" => match &kind {
                    Some(kind) => config = map.next_value_seed(ConfigSeed(kind.value.0))?,
                    // Tools that sort keys write `config` first. It is kept as it is until the type is known; its
                    // errors then carry the place of the entry.
                    None => early = Some(map.next_value()?),
                },
                other => {
                    let _: IgnoredAny = map.next_value()?;
                    return Err(de::Error::unknown_field(other, FIELDS));
                }
            }
        }
        let kind = kind.ok_or_else(|| de::Error::missing_field("type"))?;
        let method = kind.value.0;
        if let Some(value) = early.filter(|value| !value.is_null()) {
            config = ConfigSeed(method)
                .visit_some(value)
                .map_err(de::Error::custom)?;
        }
        let config = config.or_else(|| registry::default_config(method));
        let config =
            config.ok_or_else(|| de::Error::custom(format_args!("{method} needs a `config`")))?;
        Ok(Requirement { kind, config })
    }
}

/// A method's settings; `config:` with nothing after it is the same as none.
struct ConfigSeed(AttestorKind);

impl<'de> DeserializeSeed<'de> for ConfigSeed {
    type Value = Option<Box<dyn MethodConfig>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ConfigSeed {
    type Value = Option<Box<dyn MethodConfig>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings of {}", self.0)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        registry::deserialize_config(self.0, deserializer).map(Some)
    }
}

/// A method's type identifier: one that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind(pub(crate) AttestorKind);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        AttestorKind::from_name(&name).map(Self).ok_or_else(|| {
            let mut names: Vec<_> = AttestorKind::ALL.iter().filter_map(|k| k.name()).collect();
            names.sort_unstable();
            let hint = nearest(&name, names.iter().copied()).map_or_else(
                || format!("known here: {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            de::Error::custom(format_args!("unknown attestor type `{name}`{HINT}{hint}"))
        })
    }
}
