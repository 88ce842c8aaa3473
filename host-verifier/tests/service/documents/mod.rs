//! Documents: what is accepted, and where and how everything else is reported.

mod policies;
mod service;

pub(super) const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

/// A document with one policy whose entries are given, indented by eight blanks.
pub(super) fn document(entries: &str) -> String {
    let head = "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n";
    format!("{head}    - name: rack\n      requiredAttestors:\n{entries}")
}

pub(super) fn good() -> String {
    document(&format!(
        "        - type: tpm_ek\n          config:\n            allowedHashes: [\"{HASH}\"]\n"
    ))
}
