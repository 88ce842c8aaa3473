//! What binds a renewal together: one quote, and one signature over both messages.
//!
//! ```text
//! renewal nonce     : SHA-256("assay/renewal/v1" | session id | renewal nonce | agent nonce)   -> qualifyingData
//! key's signature   : SVID key over  "assay/renewal-by-key/v1" | renewal nonce, for a session without an AK
//! renewed signature : ECDSA P-256/SHA-256 over  "assay/renewed/v1" | SHA-256(Renew message) | body
//! ```
//!
//! The renewal nonce is the verifier's and came under the grant's tag or the last renewal's signature; the agent nonce is
//! fresh for every renewal. So neither side signs what the other alone chose, a quote is good for one renewal of one
//! session, and an answer for one [`Renew`](crate::protocol::Renew). A renewal has no secret: what it hands out, an SVID,
//! is public.

use sha2::{Digest, Sha256};

/// Domain separation of the signature over a renewal.
pub const RENEWED_LABEL: &[u8] = b"assay/renewed/v1";
const BY_KEY_LABEL: &[u8] = b"assay/renewal-by-key/v1";
const RENEWAL_LABEL: &[u8] = b"assay/renewal/v1";

/// The hash of a whole `AgentMessage::Renew`, over the bytes as they travelled. A node keeps it instead of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewDigest([u8; 32]);

impl RenewDigest {
    /// The digest of the message's bytes, its variant's number included.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        Self(Sha256::digest(message).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What the SVID's key signs in a renewal of a session that no attestation key stands behind; `nonce` is that of
/// [`renewal_nonce`]. An attestation key never signs it, and it is no request for a certificate.
#[must_use]
pub const fn renewal_by_key(nonce: &[u8; 32]) -> [&[u8]; 2] {
    [BY_KEY_LABEL, nonce]
}

/// The `qualifyingData` of the quote in a renewal.
#[must_use]
pub fn renewal_nonce(
    session_id: &[u8; 16],
    renewal_nonce: &[u8; 32],
    agent_nonce: &[u8; 32],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(RENEWAL_LABEL);
    hash.update(session_id);
    hash.update(renewal_nonce);
    hash.update(agent_nonce);
    hash.finalize().into()
}

/// What a verifier signs and an agent checks: the label, the digest of the renewal asked for, the renewal.
///
/// Three pieces to be hashed one after the other, as with [`challenge_message`](super::challenge_message).
#[must_use]
pub fn renewal_message<'a>(renew: &'a RenewDigest, body: &'a [u8]) -> [&'a [u8]; 3] {
    [RENEWED_LABEL, renew.as_bytes(), body]
}
