//! Settings of `raw_key`, and the attestor made from them.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{RawKey, verify::Rules};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::Files,
};

/// `config:` of a `raw_key` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "raw_key")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// SHA-256 of each public key that is let in, in hex.
    #[schemars(length(min = 1), inner(regex(pattern = "^[0-9a-f]{64}$")))]
    pub allowed_hashes: Vec<String>,
}

impl MethodConfig for Config {
    fn build_in(&self, _: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        // An empty list lets nobody in. It is a mistake all the same, and is told when the policy is set.
        if self.allowed_hashes.is_empty() {
            return Err(error("allowedHashes", "the list is empty"));
        }
        let read = self.allowed_hashes.iter().enumerate().map(|(i, text)| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash)
                .map(|()| hash)
                .map_err(|_| error(&format!("allowedHashes[{i}]"), "not 64 hex digits"))
        });
        let allowed = read.collect::<Result<BTreeSet<_>, _>>()?;
        Ok(Arc::new(RawKey(Rules { allowed })))
    }
}

fn error(field: &str, message: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: Some("sha256sum of the 32 bytes of a node's public key".to_owned()),
    }
}
