//! `clouds`: whose signatures are a cloud's, and how its API is asked.

mod aws;
mod azure;
mod gcp;

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::Report;
use crate::cloud::Clouds;
use crate::document::DocumentError;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {
    /// Amazon Web Services.
    #[serde(default)]
    aws: aws::Source,
    /// Google Cloud.
    #[serde(default)]
    gcp: gcp::Source,
    /// Azure.
    #[serde(default)]
    azure: azure::Source,
}

pub(super) fn check(
    report: &Report<'_>,
    source: &Source,
    base: &Path,
) -> Result<Clouds, DocumentError> {
    Ok(Clouds {
        aws: aws::check(report, &source.aws, base)?,
        gcp: gcp::check(report, &source.gcp, base)?,
        azure: azure::check(report, &source.azure, base)?,
    })
}
