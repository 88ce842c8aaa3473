//! Reads `AgentAttestation` documents.
//!
//! ```yaml
//! section: AgentAttestation
//! schema: v1
//! spec:
//!   policies:
//!     - name: rack
//!       requiredAttestors:
//!         - type: tpm_ek
//!           config:
//!             allowedHashes: ["…"]
//!         - type: tpm_quote
//! ```
//!
//! A method's `config` is read by the method itself while the document is read, so its errors carry a line and a
//! column too.

use core::fmt;
use std::path::Path;

use assay_common::policy::AttestorKind;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::{Policy, PolicyError, PolicySet};
use crate::attestor::{MethodConfig, registry};
use crate::document::{self, DocumentError, Place, nearest};

/// An `AgentAttestation` document, shape checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    section: Spanned<String>,
    schema: Spanned<String>,
    spec: Spanned<Spec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    policies: Vec<Spanned<PolicyEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyEntry {
    name: Spanned<String>,
    #[serde(rename = "requiredAttestors")]
    required: Vec<Spanned<Requirement>>,
}

/// One entry of `requiredAttestors`.
#[derive(Debug)]
struct Requirement {
    kind: AttestorKind,
    config: Box<dyn MethodConfig>,
}

impl PolicyDocument {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        document::parse(file, text)
    }

    /// Checks the meaning and builds the attestors. Files that settings name are looked up from `base`.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn build(&self, file: &str, base: &Path) -> Result<PolicySet, DocumentError> {
        expect(file, &self.section, "section", "AgentAttestation")?;
        expect(file, &self.schema, "schema", "v1")?;
        let mut policies = Vec::new();
        for entry in &self.spec.value.policies {
            let at = Place::from(entry.value.name.referenced);
            let mut required = Vec::new();
            for requirement in &entry.value.required {
                required.push(build_attestor(file, base, requirement)?);
            }
            let policy = Policy::new(entry.value.name.value.as_str(), required);
            policies.push(policy.map_err(|error| policy_error(file, &error, at))?);
        }
        let at = Place::from(self.spec.referenced);
        PolicySet::new(policies).map_err(|error| {
            let at = match &error {
                PolicyError::DuplicateName(name) => {
                    let named = self
                        .spec
                        .value
                        .policies
                        .iter()
                        .map(|entry| &entry.value.name);
                    named
                        .rev()
                        .find(|n| n.value == *name)
                        .map_or(at, |n| n.referenced.into())
                }
                _ => at,
            };
            policy_error(file, &error, at)
        })
    }
}

fn build_attestor(
    file: &str,
    base: &Path,
    requirement: &Spanned<Requirement>,
) -> Result<std::sync::Arc<dyn crate::attestor::Attestor>, DocumentError> {
    requirement.value.config.build(base).map_err(|error| {
        let kind = requirement.value.kind;
        let mut document =
            DocumentError::new(file, format!("{kind}: {error}")).at(requirement.referenced.into());
        document.hint = error.hint;
        document
    })
}

fn expect(
    file: &str,
    found: &Spanned<String>,
    field: &str,
    expected: &str,
) -> Result<(), DocumentError> {
    if found.value == expected {
        return Ok(());
    }
    let message = format!("{field} is {:?}", found.value);
    Err(DocumentError::new(file, message)
        .at(found.referenced.into())
        .hint(format!("this file needs `{field}: {expected}`")))
}

fn policy_error(file: &str, error: &PolicyError, at: Place) -> DocumentError {
    let hint = match error {
        PolicyError::NoPolicies => "add a policy below `policies`",
        PolicyError::Empty(_) => "list at least one attestor below `requiredAttestors`",
        PolicyError::NoName => "give the policy a name; logs and sessions show it",
        PolicyError::DuplicateName(_) => "rename one of them; logs could not tell them apart",
        PolicyError::DuplicateAttestor(..) => "write two policies if either setting is enough",
        PolicyError::StandsAlone { .. } => "add the other method to the same policy",
        PolicyError::TooManyPolicies | PolicyError::TooManyRequired(_) => "split the document",
    };
    DocumentError::new(file, error.to_string())
        .at(at)
        .hint(hint)
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
        let mut kind: Option<AttestorKind> = None;
        let mut config: Option<Box<dyn MethodConfig>> = None;
        let mut early: Option<serde_json::Value> = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => kind = Some(map.next_value::<Kind>()?.0),
                "config" => match kind {
                    Some(kind) => config = map.next_value_seed(ConfigSeed(kind))?,
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
        if let Some(value) = early.filter(|value| !value.is_null()) {
            config = Some(registry::deserialize_config(kind, value).map_err(de::Error::custom)?);
        }
        let config = match config {
            Some(config) => config,
            None => registry::default_config(kind)
                .ok_or_else(|| de::Error::custom(format_args!("{kind} needs a `config`")))?,
        };
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

/// A method's type identifier, known and built.
struct Kind(AttestorKind);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let names = AttestorKind::ALL.iter().filter_map(|kind| kind.name());
        let Some(kind) = AttestorKind::from_name(&name) else {
            let near =
                nearest(&name, names).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            return Err(de::Error::custom(format_args!(
                "unknown attestor type `{name}`{near}"
            )));
        };
        if registry::BUILT.contains(&kind) {
            return Ok(Self(kind));
        }
        let built: Vec<_> = registry::BUILT.iter().map(ToString::to_string).collect();
        Err(de::Error::custom(format_args!(
            "attestor type `{kind}` is not built yet; this version has {}",
            built.join(", ")
        )))
    }
}
