//! The settings of measured boot: what must have been booted, which images are known, and whether the log is judged at all.

use std::{collections::BTreeSet, sync::Arc};

use assay_common::measurement::{
    PcrBank,
    event::{is_name, is_version},
};
use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::{
    super::measured::{
        EventLogRule, LogRules,
        images::{Reference, Required, Sha256Text, Wanted},
        witness::WitnessRule,
    },
    Config, error,
};
use crate::attestor::ConfigError;

/// Most images that a policy names.
const MAX_IMAGES: usize = 64;

/// An entry of `requiredMeasurements`: an image's registered name, its digest, or a name and its versions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Measurement {
    /// A name, or `sha256:` and 64 hex digits.
    Text(String),
    /// A name, and which versions of it.
    Versions(Versions),
}

/// An image's name, and which versions of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The image's name.
    pub image: String,
    /// A range of semantic versions, e.g. `>=1.4, <2`.
    pub version: Option<String>,
}

/// An entry of `measurements`: which image has this digest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// `sha256:` and 64 hex digits, as `assay image measure` prints it.
    pub digest: String,
}

impl Config {
    pub(super) fn event_log(&self) -> EventLogRule {
        self.event_log
            .unwrap_or(match self.required_measurements.is_empty() {
                true => EventLogRule::Ignore,
                false => EventLogRule::Require,
            })
    }

    /// Checks the meaning of the settings of the event log; `None` when it is not looked at.
    ///
    /// # Errors
    /// [`ConfigError`]: images that are required where no log is, an image or a version that is none, a bank that logs do not
    /// have.
    pub fn log_rules(&self) -> Result<Option<LogRules>, ConfigError> {
        let rule = self.event_log();
        if rule != EventLogRule::Require && !self.required_measurements.is_empty() {
            return Err(ConfigError {
                hint: Some("leave `eventLog` out, or say `require`".into()),
                ..error(
                    "eventLog",
                    "images are required, and a node without a log would pass",
                )
            });
        }
        if rule == EventLogRule::Ignore {
            if self.measurements.is_some() || self.reset_witness == WitnessRule::Require {
                return Err(ConfigError {
                    hint: Some("say `eventLog: require`".into()),
                    ..error(
                        "eventLog",
                        "the event log is not looked at, which `measurements` and `resetWitness` stand on",
                    )
                });
            }
            return Ok(None);
        }
        let bank = self.bank.parse().ok().and_then(PcrBank::of);
        let bank = bank.ok_or_else(|| error("bank", "event logs are for sha256 and sha384"))?;
        if self.required_measurements.len() > MAX_IMAGES {
            let message = format!("more than {MAX_IMAGES} images");
            return Err(error("requiredMeasurements", message));
        }
        let required = self.required_measurements.iter().enumerate();
        let required =
            required.map(|(i, entry)| entry.required(&format!("requiredMeasurements[{i}]")));
        let references = self.measurements.as_deref().map(references).transpose()?;
        Ok(Some(LogRules {
            is_required: rule == EventLogRule::Require,
            bank,
            required: required.collect::<Result<_, _>>()?,
            references,
            witness: self.reset_witness,
        }))
    }
}

impl Measurement {
    fn required(&self, field: &str) -> Result<Required, ConfigError> {
        let (image, version) = match self {
            Self::Text(text) if text.starts_with("sha256:") => {
                let digest: Sha256Text = text.parse().map_err(|why| error(field, why))?;
                return Ok(Required {
                    what: Wanted::Digest(digest.0),
                    version: None,
                });
            }
            Self::Text(name) => (name, None),
            Self::Versions(versions) => (&versions.image, versions.version.as_deref()),
        };
        if !is_name(image) {
            return Err(ConfigError {
                hint: Some("`assay image list` shows those that are registered".into()),
                ..error(field, format!("{image:?} is no image's name"))
            });
        }
        let version = version.map(|range| {
            VersionReq::parse(range).map_err(|why| ConfigError {
                hint: Some("a range is e.g. `>=1.4, <2` or `=1.4.2`".into()),
                ..error(&format!("{field}.version"), format!("{range:?}: {why}"))
            })
        });
        Ok(Required {
            what: Wanted::Name(image.clone()),
            version: version.transpose()?,
        })
    }
}

fn references(known: &[Known]) -> Result<Arc<[Reference]>, ConfigError> {
    if known.is_empty() {
        return Err(error(
            "measurements",
            "the list of reference values is empty",
        ));
    }
    let mut digests = BTreeSet::new();
    let known = known.iter().enumerate().map(|(i, known)| {
        let field = |name: &str| format!("measurements[{i}].{name}");
        if !is_name(&known.name) {
            return Err(error(
                &field("name"),
                format!("{:?} is no image's name", known.name),
            ));
        }
        if !is_version(&known.version) || Version::parse(&known.version).is_err() {
            let message = format!("{:?} is no semantic version", known.version);
            return Err(error(&field("version"), message));
        }
        let digest: Sha256Text = known
            .digest
            .parse()
            .map_err(|why| error(&field("digest"), why))?;
        if !digests.insert(digest) {
            return Err(error(&field("digest"), "another image has it too"));
        }
        Ok(Reference {
            name: known.name.clone(),
            version: known.version.clone(),
            digest,
            revoked: false,
        })
    });
    known.collect()
}
