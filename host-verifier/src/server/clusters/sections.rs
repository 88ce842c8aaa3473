//! One section's text on its way to what a login uses.

use std::sync::Arc;

use crate::document::{DocumentError, Files};
use crate::policy::{Issuance, IssuanceDocument, PolicyDocument, PolicySet, Section};

/// A section, ready for use.
#[derive(Debug, Clone)]
pub(super) enum Built {
    Attestation(Arc<PolicySet>),
    Issuance(Arc<Issuance>),
}

/// The section that a text is of, of those that are set per cluster.
pub(super) fn section(file: &str, text: &str) -> Result<Section, DocumentError> {
    let section = Section::of(file, text)?;
    if Section::of_clusters().any(|known| known == section) {
        return Ok(section);
    }
    let what = match section {
        Section::Service => "a service's own configuration",
        _ => "an agent's settings",
    };
    Err(
        DocumentError::new(file, format!("this is {what}, not a section of a cluster"))
            .at(crate::document::Place { line: 1, column: 1 })
            .hint("begin with `section: AgentAttestation` or `section: SVIDIssuancePolicy`"),
    )
}

/// Reads a section whole, with the files that it names.
pub(super) fn build(
    section: Section,
    file: &str,
    text: &str,
    files: Files<'_>,
) -> Result<Built, DocumentError> {
    match section {
        Section::SvidIssuancePolicy => {
            let issuance = IssuanceDocument::parse(file, text)?.check(file)?;
            Ok(Built::Issuance(Arc::new(issuance)))
        }
        _ => {
            let policies = PolicyDocument::parse(file, text)?.build_in(file, files)?;
            Ok(Built::Attestation(Arc::new(policies)))
        }
    }
}
