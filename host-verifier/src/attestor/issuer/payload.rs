//! The agent's bytes, read once.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::attestor::{AttestError, Fault};
use crate::jwt::MAX_TOKEN;

/// Longest payload, bytes: a token, what is around it, and room for blanks.
pub const MAX_PAYLOAD: usize = MAX_TOKEN + 1024;

/// `{"token": "…"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    token: &'a str,
}

/// `{"cluster": "…", "token": "…"}`, as SPIRE's agents send it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOfCluster<'a> {
    cluster: &'a str,
    token: &'a str,
}

/// The token of `{"token": "…"}`, and nothing besides.
///
/// # Errors
///
/// [`Fault::Malformed`].
pub fn token(payload: &[u8]) -> Result<&[u8], AttestError> {
    let wire: Wire<'_> = read(payload)?;
    Ok(wire.token.as_bytes())
}

/// Cluster and token of `{"cluster": "…", "token": "…"}`.
///
/// # Errors
///
/// [`Fault::Malformed`], with SPIRE's texts where a member is empty.
pub fn of_cluster(payload: &[u8]) -> Result<(String, Zeroizing<String>), AttestError> {
    let wire: WireOfCluster<'_> = read(payload)?;
    for (name, value) in [("cluster", wire.cluster), ("token", wire.token)] {
        if value.is_empty() {
            return Err(malformed(format!("missing {name} in attestation data")));
        }
    }
    if wire.token.len() > MAX_TOKEN {
        return Err(malformed(format!(
            "the token has {} bytes",
            wire.token.len()
        )));
    }
    Ok((
        wire.cluster.to_owned(),
        Zeroizing::new(wire.token.to_owned()),
    ))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, AttestError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(malformed(format!(
            "{} bytes, more than {MAX_PAYLOAD}",
            payload.len()
        )));
    }
    // The library's message may quote the token.
    serde_json::from_slice(payload).map_err(|error| {
        malformed(format!(
            "not the JSON of this method: line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

fn malformed(why: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Malformed, "payload-malformed", why)
}
