//! The agent's bytes, read once.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::verify::KeyError;

/// Longest payload, bytes: the two texts, and room for blanks.
pub const MAX_PAYLOAD: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<'a> {
    public_key: &'a str,
    signature: &'a str,
}

/// A key and a signature; not verified.
#[derive(Debug)]
pub struct Untrusted {
    /// Ed25519, as RFC 8032 writes it.
    pub public_key: [u8; 32],
    /// Over the login's nonce.
    pub signature: [u8; 64],
}

/// Reads a payload: the size first, then all of it.
///
/// # Errors
///
/// [`KeyError::Payload`].
pub fn parse(payload: &[u8]) -> Result<Untrusted, KeyError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(KeyError::Payload);
    }
    let wire: Wire<'_> = serde_json::from_slice(payload).map_err(|_| KeyError::Payload)?;
    Ok(Untrusted {
        public_key: bytes(wire.public_key)?,
        signature: bytes(wire.signature)?,
    })
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let decoded = STANDARD.decode(text).map_err(|_| KeyError::Payload)?;
    decoded.try_into().map_err(|_| KeyError::Payload)
}
