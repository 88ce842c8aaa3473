//! Settings of `mcu_key`, and the attestor made from them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    McuKeyAttestor,
    verify::{Pairs, Rules},
};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::Files,
};

/// `config:` of a `mcu_key` entry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "mcu_key")]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The pairs that are let in. Without it, the first login of a TPM and a microcontroller makes them a pair.
    #[schemars(length(min = 1))]
    pub pairs: Option<Vec<Pair>>,
}

/// A TPM and the microcontroller on its board.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pair {
    /// SHA-256 of the EK's SubjectPublicKeyInfo, in hex: `tpm_ek.public_hash`.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub ek_hash: String,
    /// SHA-256 of the microcontroller's SubjectPublicKeyInfo, in hex: `mcu_key.hash`.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub key_hash: String,
}

impl MethodConfig for Config {
    fn build_in(&self, _: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        let rules = match &self.pairs {
            None => Rules::FirstLogin,
            // An empty list lets nobody in. It is a mistake all the same, and is told when the policy is set.
            Some(pairs) if pairs.is_empty() => return Err(error("pairs", "the list is empty")),
            Some(pairs) => Rules::Listed(listed(pairs)?),
        };
        Ok(Arc::new(McuKeyAttestor(rules)))
    }
}

fn listed(pairs: &[Pair]) -> Result<Pairs, ConfigError> {
    let mut listed = Pairs::default();
    for (i, pair) in pairs.iter().enumerate() {
        let hash = |field, text: &str| {
            let mut hash = [0; 32];
            let is_hash = text.bytes().all(|c| !c.is_ascii_uppercase())
                && hex::decode_to_slice(text, &mut hash).is_ok();
            is_hash.then_some(hash).ok_or_else(|| {
                error(
                    &format!("pairs[{i}].{field}"),
                    "not 64 lower-case hex digits",
                )
            })
        };
        let (ek, key) = (
            hash("ekHash", &pair.ek_hash)?,
            hash("keyHash", &pair.key_hash)?,
        );
        if !listed.add(ek, key) {
            let message = "one of the two is in a pair above: each TPM has one microcontroller";
            return Err(error(&format!("pairs[{i}]"), message));
        }
    }
    Ok(listed)
}

fn error(field: &str, message: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: Some(
            "`assay node show` and `assay audit explain` tell both hashes of a node that has logged in"
                .to_owned(),
        ),
    }
}
