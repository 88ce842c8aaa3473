//! The agent's bytes, read once.

use serde::Deserialize;

use super::verify::ChallengeError;

/// Longest payload, bytes: the longest name, the longest agent name, and room for blanks.
const MAX_PAYLOAD: usize = 512;

/// Where the agent says that it serves the nonce; not verified.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Untrusted {
    /// The host's name, in whatever spelling.
    pub hostname: String,
    /// Which agent of the host.
    pub agentname: String,
    /// The port that the verifier should ask.
    pub port: u16,
}

/// Reads a payload: one JSON object with these three members, each once.
///
/// # Errors
/// [`ChallengeError::Payload`].
pub fn parse(payload: &[u8]) -> Result<Untrusted, ChallengeError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(ChallengeError::Payload);
    }
    serde_json::from_slice(payload).map_err(|_| ChallengeError::Payload)
}
