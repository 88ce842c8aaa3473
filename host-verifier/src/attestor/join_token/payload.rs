//! The agent's bytes, read once.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::verify::TokenError;

/// Longest payload, bytes: the two strings, and room for blanks.
const MAX_PAYLOAD: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire<'a> {
    public_key: &'a str,
    signature: &'a str,
}

/// A token's public key and its signature; not verified.
#[derive(Clone, Copy, Debug)]
pub struct Untrusted {
    /// Ed25519, as RFC 8032 writes it.
    pub public_key: [u8; 32],
    /// Over the login's nonce.
    pub signature: [u8; 64],
}

/// Reads a payload: one JSON object with these two members, each once.
///
/// # Errors
/// [`TokenError::Payload`].
pub fn parse(payload: &[u8]) -> Result<Untrusted, TokenError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(TokenError::Payload);
    }
    let wire: Wire<'_> = serde_json::from_slice(payload).map_err(|_| TokenError::Payload)?;
    Ok(Untrusted {
        public_key: bytes(wire.public_key)?,
        signature: bytes(wire.signature)?,
    })
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], TokenError> {
    let decoded = STANDARD.decode(text).map_err(|_| TokenError::Payload)?;
    decoded.try_into().map_err(|_| TokenError::Payload)
}
