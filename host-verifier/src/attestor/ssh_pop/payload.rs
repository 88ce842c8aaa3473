//! The agent's bytes, read once: SPIRE's payload and response in one JSON object.

use assay_common::method::possession::NONCE_LEN;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::error::SshPopError;
use crate::ssh::Certificate;

/// Longest payload, bytes: a certificate and a signature in base64.
pub const MAX_PAYLOAD: usize = 32 * 1024;

// Agents in Go write a letter case and read any; both cases that are in use are read here, each member once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "Certificate", alias = "certificate")]
    certificate: String,
    #[serde(rename = "Response", alias = "response")]
    response: WireResponse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireResponse {
    #[serde(rename = "Nonce", alias = "nonce")]
    nonce: String,
    #[serde(rename = "Signature", alias = "signature")]
    signature: WireSignature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    #[serde(rename = "Format", alias = "format")]
    format: String,
    #[serde(rename = "Blob", alias = "blob")]
    blob: String,
    #[serde(rename = "Rest", alias = "rest", default)]
    rest: Option<String>,
}

/// What the agent sent; nothing of it is verified.
#[derive(Debug)]
pub struct Untrusted {
    /// The certificate in question.
    pub certificate: Certificate,
    /// The agent's contribution to what was signed.
    pub agent_nonce: [u8; NONCE_LEN],
    /// The signature's algorithm.
    pub algorithm: String,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Reads a payload.
///
/// # Errors
/// [`SshPopError`] of what cannot be read.
pub fn parse(payload: &[u8]) -> Result<Untrusted, SshPopError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(SshPopError::Payload(format!(
            "longer than {MAX_PAYLOAD} bytes"
        )));
    }
    // The position is of use to whoever writes an agent; the text is not repeated.
    let wire: Wire = serde_json::from_slice(payload).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "not the members that are expected, each once",
            _ => "not JSON",
        };
        SshPopError::Payload(format!("column {}: {what}", error.column()))
    })?;
    let certificate = Certificate::from_blob(&bytes("Certificate", &wire.certificate)?)?;
    let agent_nonce = bytes("Nonce", &wire.response.nonce)?
        .try_into()
        .map_err(|_| SshPopError::ResponseNonce)?;
    let WireSignature { format, blob, rest } = wire.response.signature;
    // Security keys sign with more than a blob; no other algorithm does.
    if rest.is_some_and(|rest| !rest.is_empty()) {
        return Err(SshPopError::Rest);
    }
    Ok(Untrusted {
        certificate,
        agent_nonce,
        algorithm: format,
        signature: bytes("Blob", &blob)?,
    })
}

fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, SshPopError> {
    STANDARD
        .decode(text)
        .map_err(|_| SshPopError::Base64(field))
}
