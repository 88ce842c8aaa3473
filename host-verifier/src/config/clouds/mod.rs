//! `clouds`: whose signatures are a cloud's, and how its API is asked.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::Report;
use crate::cloud::Clouds;
use crate::document::DocumentError;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {}

pub(super) fn check(_: &Report<'_>, _: &Source, _: &Path) -> Result<Clouds, DocumentError> {
    Ok(Clouds::default())
}
