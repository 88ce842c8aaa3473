//! Messages, and how they are encoded: postcard, read exactly, never a byte left over.
//!
//! ```text
//! agent                                    verifier
//!   Hello                          ->
//!                                  <-      Challenge (signed), round 0: what to send
//!   Proofs, round 0                ->
//!                                  <-      Challenge (signed), round 1: credential, PCRs to quote
//!   Proofs, round 1                ->
//!                                  <-      Granted (version 1) or SvidGranted (version 2), sealed, or Denied
//!
//! while the session lives, version 2:
//!   Renew                          ->
//!                                  <-      Renewed (signed) or Denied
//! ```
//!
//! A method's own data are opaque bytes here ([`Item`]); [`crate::method`] reads them.

use serde::{Deserialize, Serialize};

use super::codes::{DenyCode, Trouble};
use super::version::VersionRange;
use crate::policy::AttestorKind;

/// Most methods in one message.
pub const MAX_ITEMS: usize = 8;
/// Longest cluster name, bytes.
pub const MAX_CLUSTER: usize = 64;
/// Length of an ECDSA P-256 signature as it travels: r and s, 32 bytes each, big-endian.
pub const SIGNATURE_LEN: usize = 64;

/// What an agent sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentMessage<'a> {
    /// Begins a login.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Answers a challenge.
    #[serde(borrow)]
    Proofs(Proofs<'a>),
    /// Says why there is no login now.
    Trouble(Trouble),
    /// Renews a live session (version 2).
    #[serde(borrow)]
    Renew(Renew<'a>),
}

/// What a verifier sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerifierMessage<'a> {
    /// Asks for proofs.
    #[serde(borrow)]
    Challenge(SignedChallenge<'a>),
    /// The login succeeded.
    #[serde(borrow)]
    Granted(SealedGrant<'a>),
    /// The login, or the renewal, failed.
    #[serde(borrow)]
    Denied(Denied<'a>),
    /// The login succeeded (version 2): the body is a postcard [`SvidGrant`], the tag is that of [`Granted`](Self::Granted).
    #[serde(borrow)]
    SvidGranted(SealedGrant<'a>),
    /// The session goes on (version 2).
    #[serde(borrow)]
    Renewed(SignedRenewal<'a>),
}

/// The agent's opening: what it speaks and what it can prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// Protocol versions the agent speaks.
    pub versions: VersionRange,
    /// The cluster it belongs to, at most [`MAX_CLUSTER`] bytes.
    pub cluster: &'a str,
    /// Methods it can prove, one [`AttestorKind`] number each.
    pub methods: &'a [u8],
    /// The agent's contribution to everything it will sign: it never signs what the verifier alone chose.
    pub agent_nonce: [u8; 32],
    /// Key share of an agent without a TPM (SEC1 P-256 point); empty when the session secret will be sealed
    /// to a credential activated in the TPM.
    pub key_share: &'a [u8],
    /// Name of the board or host class. A hint for logs; nothing proves it.
    pub untrusted_board: &'a str,
    /// Version of the agent. A hint for logs; nothing proves it.
    pub untrusted_version: &'a str,
}

/// One method's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item<'a> {
    /// Which method.
    pub kind: AttestorKind,
    /// Its request, payload or response.
    pub payload: &'a [u8],
}

/// Data of up to [`MAX_ITEMS`] methods.
pub type Items<'a> = heapless::Vec<Item<'a>, MAX_ITEMS>;

/// A challenge with the trust domain's signature over it and over the transcript before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedChallenge<'a> {
    /// A postcard [`Challenge`].
    pub body: &'a [u8],
    /// ECDSA P-256 with SHA-256, [`SIGNATURE_LEN`] bytes; over what, [`crate::login::challenge_message`] says.
    pub signature: &'a [u8],
}

/// What the verifier wants next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge<'a> {
    /// The protocol version chosen from the agent's range.
    pub version: u8,
    /// Names the login in logs and audit records of both sides.
    pub login_id: [u8; 16],
    /// 0 for the first challenge of a login, then one more each time.
    pub round: u8,
    /// Fresh for every challenge.
    pub server_nonce: [u8; 32],
    /// Requests or challenges, one per method that the verifier can use. Methods not named are not wanted.
    #[serde(borrow)]
    pub items: Items<'a>,
}

/// The agent's answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs<'a> {
    /// The login they belong to.
    pub login_id: [u8; 16],
    /// The round they answer.
    pub round: u8,
    /// One entry per method asked for.
    #[serde(borrow)]
    pub items: Items<'a>,
}

/// A grant under the login's key, so that only the TPM that proved itself accepts it, and only for this login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedGrant<'a> {
    /// A postcard [`Grant`], or a postcard [`SvidGrant`] in [`VerifierMessage::SvidGranted`].
    pub body: &'a [u8],
    /// HMAC-SHA-256 over transcript and body; see [`crate::login::LoginKeys::grant_tag`].
    pub tag: [u8; 32],
}

/// The result of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant<'a> {
    /// Names the session.
    pub session_id: [u8; 16],
    /// When the verifier issued it, Unix seconds.
    pub issued_at: u64,
    /// When it ends, Unix seconds. A node without a calendar takes the difference.
    pub expires_at: u64,
    /// The identity, `spiffe://…`.
    pub spiffe_id: &'a str,
    /// The session secret, sealed; see [`crate::login::LoginKeys::open_secret`].
    pub sealed_secret: [u8; 32],
}

/// The result of a login by protocol version 2: the session, how it is renewed, and the node's SVID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SvidGrant<'a> {
    /// The session.
    #[serde(borrow)]
    pub grant: Grant<'a>,
    /// From when on the session may be renewed, Unix seconds; 0 when renewal is not offered.
    pub renew_after: u64,
    /// The verifier's contribution to the quote of the next renewal; good for one.
    pub renewal_nonce: [u8; 32],
    /// The SVID: DER certificates one after the other, the leaf first. Empty when no SVID key was named.
    pub svid: &'a [u8],
}

/// Renews a live session in one round trip: the AK of its login quotes the same PCRs anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew<'a> {
    /// The session.
    pub session_id: [u8; 16],
    /// The agent's contribution to the quote, fresh for every renewal.
    pub agent_nonce: [u8; 32],
    /// A postcard [`QuotePayload`](crate::method::tpm_quote::QuotePayload) over the PCRs that the login's last `tpm_quote`
    /// request named, or over none when there was no such request. Its `qualifyingData` is
    /// [`renewal_nonce`](crate::login::renewal_nonce).
    ///
    /// Where the session has no attestation key: the SVID key's signature over
    /// [`renewal_by_key`](crate::login::renewal_by_key), ECDSA in DER or RSASSA-PKCS1-v1_5, with SHA-256.
    pub quote: &'a [u8],
}

/// A renewal with the trust domain's signature over it and over the [`Renew`] that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRenewal<'a> {
    /// A postcard [`Renewal`].
    pub body: &'a [u8],
    /// ECDSA P-256 with SHA-256, [`SIGNATURE_LEN`] bytes, by the key that signs challenges; over what,
    /// [`crate::login::renewal_message`] says.
    pub signature: &'a [u8],
}

/// The result of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal<'a> {
    /// The session that goes on.
    pub session_id: [u8; 16],
    /// When the verifier renewed it, Unix seconds.
    pub issued_at: u64,
    /// When it ends now, Unix seconds. A node without a calendar takes the difference.
    pub expires_at: u64,
    /// From when on it may be renewed again, Unix seconds; 0 when the next must be a login.
    pub renew_after: u64,
    /// The verifier's contribution to the quote of the next renewal; good for one.
    pub renewal_nonce: [u8; 32],
    /// A fresh SVID for the same key, as in [`SvidGrant::svid`].
    pub svid: &'a [u8],
}

/// A refusal. It is not authenticated: it can make a node wait, never make it trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied<'a> {
    /// The category.
    pub code: DenyCode,
    /// A sentence for whoever reads the node's log; says no more than the category allows.
    pub reason: &'a str,
    /// When to try again, seconds from now.
    pub retry_after_s: u32,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum DecodeError {
    /// Not the postcard form of the message: cut short, an unknown variant, a length out of range.
    Invalid = 1,
    /// A whole message, and bytes after it.
    Trailing = 2,
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Invalid => "not a message of this protocol",
            Self::Trailing => "bytes after the end of the message",
        })
    }
}

impl core::error::Error for DecodeError {}

/// The message does not fit the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EncodeError;

impl core::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("message longer than its buffer")
    }
}

impl core::error::Error for EncodeError {}

/// Reads a message; every byte must belong to it.
///
/// # Errors
///
/// [`DecodeError`], never a panic.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| DecodeError::Invalid)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::Trailing)
    }
}

/// Writes a message to the front of `out` and returns that part.
///
/// # Errors
///
/// [`EncodeError`] when it does not fit.
pub fn encode<'o, T: Serialize>(value: &T, out: &'o mut [u8]) -> Result<&'o [u8], EncodeError> {
    postcard::to_slice(value, out)
        .map(|used| &*used)
        .map_err(|_| EncodeError)
}
