//! `agent.auth.attestors`: what is offered. A method's `config` is read by the method itself while the document is read, so its
//! errors carry a line and a column too.

use core::fmt;

use assay_common::policy::AttestorKind;
use assay_host::document::{HINT, nearest};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use crate::method::{MethodConfig, registry};

/// Methods of the TPM, which have no settings of their own.
const TPM: [AttestorKind; 2] = [AttestorKind::TPM_EK, AttestorKind::TPM_QUOTE];

/// Whether a method is the TPM's.
pub(super) fn of_tpm(kind: AttestorKind) -> bool {
    TPM.contains(&kind)
}

/// Every method of this agent.
pub(super) fn known() -> impl Iterator<Item = AttestorKind> + Clone {
    TPM.into_iter().chain(registry::BUILT.iter().copied())
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// The method, at its place.
    pub(super) kind: Spanned<Kind>,
    /// Its settings.
    pub(super) config: Option<Box<dyn MethodConfig>>,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

const FIELDS: &[&str] = &["type", "config"];

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry with `type` and, where the method has settings, `config`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut kind: Option<Spanned<Kind>> = None;
        let mut config = None;
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
            let seed = ConfigSeed(method);
            config = seed.visit_some(value).map_err(de::Error::custom)?;
        }
        if config.is_none() && !of_tpm(method) {
            let default = registry::default_config(method);
            let needed = || {
                de::Error::custom(format_args!(
                    "{method} needs a `config`{HINT}its documentation, docs/methods/{method}.md, says what belongs there"
                ))
            };
            config = Some(default.ok_or_else(needed)?);
        }
        Ok(Entry { kind, config })
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
        if of_tpm(self.0) {
            return deserializer.deserialize_map(Nothing).map(|()| None);
        }
        registry::deserialize_config(self.0, deserializer).map(Some)
    }
}

/// The settings of a method that has none.
struct Nothing;

impl<'de> Visitor<'de> for Nothing {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no settings: which TPM it is stands in `agent.tpm`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match map.next_key::<String>()? {
            None => Ok(()),
            Some(name) => {
                let _: IgnoredAny = map.next_value()?;
                Err(de::Error::custom(format_args!(
                    "unknown field `{name}`: this method has no settings{HINT}which TPM it is stands in `agent.tpm`"
                )))
            }
        }
    }
}

/// A method of this agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind(pub(super) AttestorKind);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let mut names: Vec<_> = known().filter_map(AttestorKind::name).collect();
        names.sort_unstable();
        match AttestorKind::from_name(&name) {
            Some(kind) if known().any(|one| one == kind) => Ok(Self(kind)),
            Some(kind) => Err(de::Error::custom(format_args!(
                "this agent cannot prove {kind}{HINT}known here: {}",
                names.join(", ")
            ))),
            None => {
                let hint = nearest(&name, names.iter().copied()).map_or_else(
                    || format!("known here: {}", names.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                Err(de::Error::custom(format_args!(
                    "unknown attestor type `{name}`{HINT}{hint}"
                )))
            }
        }
    }
}
