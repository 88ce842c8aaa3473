//! Settings of `tpm_quote`, and the attestor made from them.

mod measurements;
mod pcrs;

use std::{collections::BTreeMap, sync::Arc};

use assay_common::tpm::pcr::{PcrIndex, PcrMask};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    TpmQuote,
    measured::{self, EventLogRule, witness::WitnessRule},
    rules::{CounterRule, FirmwareRule, Rules},
};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::Files,
    tpm::strong_hash_algorithm,
};

pub use measurements::{Known, Measurement, Versions};
pub use pcrs::Pcrs;

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
