//! The agent's bytes, read once: SPIRE's payload and response in one JSON object.

use std::sync::Arc;

use assay_common::method::possession::NONCE_LEN;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::error::SshPopError;
use crate::base64_text;
use crate::crypto::Known;
use crate::ssh::Certificate;
use crate::text::Text;

/// Longest payload, bytes: a certificate and a signature in base64.
pub const MAX_PAYLOAD: usize = 32 * 1024;

// Agents in Go write a letter case and read any; both cases that are in use are read here, each member once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(rename = "Certificate", alias = "certificate", borrow)]
    certificate: Text<'a>,
    #[serde(rename = "Response", alias = "response", borrow)]
    response: WireResponse<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireResponse<'a> {
    #[serde(rename = "Nonce", alias = "nonce", borrow)]
    nonce: Text<'a>,
    #[serde(rename = "Signature", alias = "signature", borrow)]
    signature: WireSignature<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature<'a> {
    #[serde(rename = "Format", alias = "format", borrow)]
    format: Text<'a>,
    #[serde(rename = "Blob", alias = "blob", borrow)]
    blob: Text<'a>,
    #[serde(rename = "Rest", alias = "rest", default, borrow)]
    rest: Option<Text<'a>>,
}

/// What the agent sent; nothing of it is verified.
#[derive(Debug)]
pub struct Untrusted {
    /// The certificate in question.
    pub certificate: Arc<Certificate>,
    /// The agent's contribution to what was signed.
    pub agent_nonce: [u8; NONCE_LEN],
    /// The signature's algorithm.
    pub algorithm: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// Whether the certificate had to be read.
    pub anew: bool,
}

/// Reads a payload. A certificate that is `known` is not read again.
///
/// # Errors
/// [`SshPopError`] of what cannot be read.
pub fn parse(payload: &[u8], known: &Known<Arc<Certificate>>) -> Result<Untrusted, SshPopError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(SshPopError::Payload(format!(
            "longer than {MAX_PAYLOAD} bytes"
        )));
    }
    // The position is of use to whoever writes an agent; the text is not repeated.
    let wire: Wire<'_> = serde_json::from_slice(payload).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "not the members that are expected, each once",
            _ => "not JSON",
        };
        SshPopError::Payload(format!("column {}: {what}", error.column()))
    })?;
    let (certificate, anew) = match known.get(&*wire.certificate) {
        Some(certificate) => (certificate, false),
        None => {
            let blob = bytes("Certificate", &wire.certificate)?;
            (Arc::new(Certificate::from_blob(&blob)?), true)
        }
    };
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
        algorithm: (*format).to_owned(),
        signature: bytes("Blob", &blob)?,
        anew,
    })
}

/// Keeps the certificate of a proof that was judged good, so that it need not be read again.
pub fn keep(certificate: &Arc<Certificate>, known: &Known<Arc<Certificate>>) {
    // The one text that is read as this certificate: the decoder takes no other.
    known.put(&STANDARD.encode(certificate.blob()), certificate);
}

fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, SshPopError> {
    base64_text::standard(text).ok_or(SshPopError::Base64(field))
}
