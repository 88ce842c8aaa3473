//! Settings of `join_token`: none. What a token lets in, and who, is said where it is made.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::JoinTokenAttestor;
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::Files,
};

/// `config:` of a `join_token` entry.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "join_token")]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl MethodConfig for Config {
    fn build_in(&self, _: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        Ok(Arc::new(JoinTokenAttestor))
    }
}
