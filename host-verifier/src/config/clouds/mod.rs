//! `clouds`: whose signatures are a cloud's, and how its API is asked.

mod aws;
mod azure;
mod gcp;

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::model::Report;
use crate::attestor::issuer::config::https_base;
use crate::cloud::{Clouds, TokenIssuers};
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
    // Policies come from elsewhere and are built later, so what the operator's file names is named for good. A folder that is
    // not known any more stays as it is, and its files are not found.
    let absolute = std::path::absolute(Path::new(".").join(base));
    let base = absolute.as_deref().unwrap_or(base);
    Ok(Clouds {
        aws: aws::check(report, &source.aws, base)?,
        gcp: gcp::check(report, &source.gcp, base)?,
        azure: azure::check(report, &source.azure, base)?,
    })
}

/// Issuers of tokens besides a cloud's own.
fn token_issuers(
    report: &Report<'_>,
    cloud: &str,
    issuers: &[Spanned<String>],
) -> Result<TokenIssuers, DocumentError> {
    let mut listed = BTreeSet::new();
    for (i, issuer) in issuers.iter().enumerate() {
        let field = format!("clouds.{cloud}.tokenIssuers[{i}]");
        https_base(&field, &issuer.value).map_err(|error| {
            let told = report.at(issuer, format!("{field}: {}", error.message));
            match error.hint {
                Some(hint) => told.hint(hint),
                None => told,
            }
        })?;
        if !listed.insert(issuer.value.clone()) {
            return Err(report.at(issuer, format!("{field}: it is there twice")));
        }
    }
    Ok(TokenIssuers::Listed(listed))
}
