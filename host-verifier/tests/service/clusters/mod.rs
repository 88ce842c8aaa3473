//! The clusters' configuration: what is refused, what is in force, and when.

mod base;
mod changes;
mod commands;
mod files;
mod live;
mod replicas;

use assay_host_verifier::server::clusters::{By, Submitted};

use crate::stores::at;

pub(crate) const A: &str = "AgentAttestation";
pub(crate) const S: &str = "SVIDIssuancePolicy";

/// Somebody who asks for nothing special.
pub(crate) fn by() -> By {
    By {
        author: "token:eve".to_owned(),
        comment: String::new(),
        expected: None,
        at: at(1000),
        dry_run: false,
    }
}

pub(crate) fn document(text: impl Into<String>) -> Submitted {
    Submitted {
        file: "d.yaml".to_owned(),
        text: text.into(),
    }
}

/// An AgentAttestation with these entries of `policies`.
pub(crate) fn attestation(entries: &str) -> String {
    let indented: String = entries.lines().map(|line| format!("  {line}\n")).collect();
    format!("section: AgentAttestation\nschema: v1\nspec:\n  policies:\n{indented}")
}

/// An EK of this hash, in one policy.
pub(crate) fn one_hash(digit: char) -> String {
    let hash = digit.to_string().repeat(64);
    attestation(&format!(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [\"{hash}\"]}}\n"
    ))
}

/// An SVIDIssuancePolicy of one template.
pub(crate) fn issuance(template: &str) -> String {
    format!(
        "section: SVIDIssuancePolicy\nschema: v1\nspec:\n  policy:\n    pathTemplate: \"{template}\"\n"
    )
}
