//! Login messages over requests and answers (HTTPS), where there is no link that remembers what was said.
//!
//! ```text
//! POST /v1/login   LoginRequest { state: "", blobs, message: Hello }
//!                  LoginAnswer  { state: S0, message: Challenge }
//! POST /v1/login   LoginRequest { state: S0, blobs, message: Proofs }
//!                  LoginAnswer  { state: S1, message: Challenge }
//!  …
//! POST /v1/login   LoginRequest { state: "", blobs: [], message: Renew }
//! ```
//!
//! The state is the verifier's, sealed: the agent sends it back as it came. With it, any verifier of the trust domain
//! takes the next message. The transcript is over the messages, as on a line; state and blobs are not in it, blobs are by
//! their digests.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::blob::MAX_BLOBS;

/// Longest state, bytes: all that a login can say, and the verifier's secrets.
pub const MAX_STATE: usize = 256 * 1024;
/// Longest message of an agent, bytes. A host has more room than a board on a line, and tokens and certificates to fill it.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Media type of both, as postcard.
pub const POSTCARD: &str = "application/postcard";
/// Media type of both, as JSON.
pub const JSON: &str = "application/json";

/// A long field, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob<'a> {
    /// Which, below [`MAX_BLOBS`].
    pub blob: u8,
    /// Its bytes, at most [`MAX_BLOB`](super::MAX_BLOB).
    pub bytes: &'a [u8],
}

/// What an agent sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest<'a> {
    /// From the answer before; empty with a message that begins something.
    pub state: &'a [u8],
    /// The long fields that the message names.
    #[serde(borrow)]
    pub blobs: Vec<Blob<'a>, MAX_BLOBS>,
    /// A postcard [`AgentMessage`](super::AgentMessage).
    pub message: &'a [u8],
}

/// What a verifier answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginAnswer<'a> {
    /// For the next request; empty at the end.
    pub state: &'a [u8],
    /// A postcard [`VerifierMessage`](super::VerifierMessage).
    pub message: &'a [u8],
}
