//! Settings of `tpm_quote`, and the attestor made from them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use assay_common::tpm::pcr::{PCR_COUNT, PcrIndex, PcrMask};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use assay_common::measurement::{
    PcrBank,
    event::{is_name, is_version},
};
use semver::VersionReq;

use super::{
    TpmQuote,
    measured::{
        self, EventLogRule, LogRules,
        images::{Reference, Required, Sha256Text, Wanted},
        witness::WitnessRule,
    },
    rules::{CounterRule, FirmwareRule, Rules},
};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::{Files, OneOrMany},
    tpm::strong_hash_algorithm,
};

/// Most images that a policy names.
const MAX_IMAGES: usize = 64;
/// Most good values for one PCR.
const MAX_VALUES: usize = 256;
/// The values of a PCR.
const VALUES: OneOrMany = OneOrMany {
    expected: "a quoted value in hex, or a list of them",
    most: MAX_VALUES,
    empty: None,
};

/// `config:` of a `tpm_quote` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "tpm_quote")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The PCR bank: `sha256`, `sha384` or `sha512`.
    #[serde(default = "sha256")]
    pub bank: String,
    /// Good values by PCR: one in hex, or a list.
    #[serde(default)]
    pub pcrs: Pcrs,
    /// PCRs that are quoted and reported, whatever their value.
    #[serde(default)]
    #[schemars(inner(range(max = 23)))]
    pub any_value: Vec<u8>,
    /// The exact selection, as a cross-check of `pcrs` and `anyValue`.
    pub selection: Option<Vec<u8>>,
    /// The TPM's firmware.
    pub firmware_version: Option<Firmware>,
    /// `resetCount` against the last login.
    #[serde(default)]
    pub reset_count: CounterRule,
    /// `restartCount` against the last login.
    #[serde(default)]
    pub restart_count: CounterRule,
    /// Whether the TPM's clock must be safe.
    #[serde(default)]
    pub require_clock_safe: bool,
    /// Whether the node's event log is judged; `require` where images are required, else `ignore`.
    pub event_log: Option<EventLogRule>,
    /// What must have been booted; nothing else may then.
    #[serde(default)]
    pub required_measurements: Vec<Measurement>,
    /// Reference values of this policy's own; left out: the images that are registered.
    pub measurements: Option<Vec<Known>>,
    /// Whether the TPM's resets must go with the node's boots, as the event log has them.
    #[serde(default)]
    pub reset_witness: WitnessRule,
}

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

fn sha256() -> String {
    "sha256".into()
}

/// `firmwareVersion`: at least one of the two. Versions are 64-bit numbers in hex.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// If given, the version is one of these.
    pub allow: Option<Vec<String>>,
    /// If given, the version is at least this.
    pub min: Option<String>,
}

/// `pcrs`: index to one or several values in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pcrs(pub BTreeMap<u8, Vec<String>>);

impl<'de> Deserialize<'de> for Pcrs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Pcrs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from PCR index to one or several values in hex")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pcrs, A::Error> {
                let mut pcrs = BTreeMap::new();
                while let Some(Index(index)) = map.next_key()? {
                    let values = map.next_value_seed(VALUES)?;
                    // 0 and "0" are two keys to a parser and one PCR here.
                    if pcrs.insert(index, values).is_some() {
                        return Err(de::Error::custom(format_args!("PCR {index} stands twice")));
                    }
                }
                Ok(Pcrs(pcrs))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

impl JsonSchema for Pcrs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pcrs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f]+$"});
        json_schema!({
            "type": "object",
            "propertyNames": {"pattern": "^(1?[0-9]|2[0-3])$"},
            "additionalProperties": {"anyOf": [
                value,
                {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_VALUES}
            ]}
        })
    }
}

/// A PCR index as a number or as text: keys of a map may be either.
struct Index(u8);

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Index;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a PCR index, 0 to {}", PCR_COUNT - 1)
            }

            fn visit_u64<E: de::Error>(self, index: u64) -> Result<Index, E> {
                u8::try_from(index)
                    .ok()
                    .filter(|index| *index < PCR_COUNT)
                    .map(Index)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(index), &self))
            }

            fn visit_i64<E: de::Error>(self, index: i64) -> Result<Index, E> {
                match u64::try_from(index) {
                    Ok(index) => self.visit_u64(index),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(index), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Index, E> {
                match text.parse() {
                    Ok(index) if index == 0 || !text.starts_with(['0', '+']) => {
                        self.visit_u64(index)
                    }
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl MethodConfig for Config {
    fn build_in(&self, _files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        // First, since it says why no PCR is named.
        let log = self.log_rules()?;
        Ok(Arc::new(TpmQuote {
            rules: self.rules()?,
            log,
        }))
    }
}

impl Config {
    /// Checks the meaning of the settings.
    ///
    /// # Errors
    /// [`ConfigError`]: no PCR at all, a weak bank, a value that is not as long as the bank's digest,
    /// a list of good values that is empty, a selection that disagrees with the rest.
    pub fn rules(&self) -> Result<Rules, ConfigError> {
        let bank = self
            .bank
            .parse()
            .map_err(|_| error("bank", format!("{:?} is no hash algorithm", self.bank)))?;
        let hash = strong_hash_algorithm(bank).ok_or_else(|| {
            error(
                "bank",
                format!("{bank} is not accepted, sha256, sha384 and sha512 are"),
            )
        })?;

        let mut pcrs = BTreeMap::new();
        for (number, texts) in &self.pcrs.0 {
            let field = format!("pcrs.{number}");
            if texts.is_empty() {
                return Err(error(&field, "the list of good values is empty"));
            }
            let values = texts.iter().map(|text| match hex::decode(text) {
                Ok(value) if value.len() == hash.digest_len() => Ok(value),
                _ => Err(ConfigError {
                    hint: Some(format!("the value is: tpm2_pcrread {bank}:{number}")),
                    ..error(
                        &field,
                        format!(
                            "{text:?} is not {} hexadecimal digits",
                            2 * hash.digest_len()
                        ),
                    )
                }),
            });
            pcrs.insert(index(*number, &field)?, values.collect::<Result<_, _>>()?);
        }
        let mut any_value = mask(&self.any_value, "anyValue")?;
        if let Some(both) = any_value.iter().find(|index| pcrs.contains_key(index)) {
            return Err(error(
                "anyValue",
                format!("PCR {both} also has values in `pcrs`"),
            ));
        }
        if self.event_log() != EventLogRule::Ignore {
            let valued = pcrs.keys().copied().collect();
            any_value = PcrMask(any_value.0 | measured::pcrs().without(valued).0);
        }
        let rules = Rules {
            bank,
            pcrs,
            any_value,
            firmware_version: self.firmware_version.as_ref().map(firmware).transpose()?,
            reset_count: self.reset_count,
            restart_count: self.restart_count,
            require_clock_safe: self.require_clock_safe,
        };
        let implied = rules.selection();
        if implied.mask.is_empty() {
            return Err(ConfigError {
                field: "pcrs".into(),
                message: "no PCR is named, so the quote would prove nothing about what booted".into(),
                hint: Some(
                    "give good values under `pcrs`, or list PCRs that are only reported under `anyValue`"
                        .into(),
                ),
            });
        }
        if let Some(selection) = &self.selection {
            let stated = mask(selection, "selection")?;
            if stated != implied.mask {
                return Err(error(
                    "selection",
                    format!("it is not what `pcrs` and `anyValue` name: {implied}"),
                ));
            }
        }
        Ok(rules)
    }
}

impl Config {
    fn event_log(&self) -> EventLogRule {
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
    let mut digests = std::collections::BTreeSet::new();
    let known = known.iter().enumerate().map(|(i, known)| {
        let field = |name: &str| format!("measurements[{i}].{name}");
        if !is_name(&known.name) {
            return Err(error(
                &field("name"),
                format!("{:?} is no image's name", known.name),
            ));
        }
        if !is_version(&known.version) || semver::Version::parse(&known.version).is_err() {
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

fn firmware(firmware: &Firmware) -> Result<FirmwareRule, ConfigError> {
    let number = |text: &str, field: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| {
                error(
                    field,
                    format!("{text:?} is not a 64-bit number in hexadecimal digits"),
                )
            })
    };
    let allow = match firmware.allow.as_deref() {
        Some([]) => {
            return Err(error("firmwareVersion.allow", "the list is empty"));
        }
        Some(versions) => Some(
            versions
                .iter()
                .map(|version| number(version, "firmwareVersion.allow"))
                .collect::<Result<_, _>>()?,
        ),
        None => None,
    };
    let min = firmware
        .min
        .as_deref()
        .map(|version| number(version, "firmwareVersion.min"))
        .transpose()?;
    if allow.is_none() && min.is_none() {
        return Err(error(
            "firmwareVersion",
            "neither `allow` nor `min` is given",
        ));
    }
    Ok(FirmwareRule { allow, min })
}

fn index(number: u8, field: &str) -> Result<PcrIndex, ConfigError> {
    PcrIndex::new(number).ok_or_else(|| error(field, format!("there is no PCR {number}")))
}

fn mask(numbers: &[u8], field: &str) -> Result<PcrMask, ConfigError> {
    let mut mask = PcrMask::NONE;
    for number in numbers {
        let index = index(*number, field)?;
        if mask.contains(index) {
            return Err(error(field, format!("PCR {number} stands twice")));
        }
        mask = mask.with(index);
    }
    Ok(mask)
}

fn error(field: &str, message: impl Into<String>) -> ConfigError {
    ConfigError {
        field: field.into(),
        message: message.into(),
        hint: None,
    }
}
