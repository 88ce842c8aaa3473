//! The running hash over a login's messages.

use sha2::{Digest, Sha256};

use crate::policy::AttestorKind;

/// Domain separation of the signature over a challenge.
pub const CHALLENGE_LABEL: &[u8] = b"assay/challenge/v1";
const LOGIN_LABEL: &[u8] = b"assay/login/v1";
const QUOTE_LABEL: &[u8] = b"assay/quote/v1";
const SVID_KEY_LABEL: &[u8] = b"assay/svid-key/v1";
const POSSESSION_LABEL: &[u8] = b"assay/svid-key-held/v1";
const PROOF_NONCE_LABEL: &[u8] = b"assay/proof-nonce/v1";

/// Who sent a message. Part of the hash, so a reflected message is not the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Direction {
    /// From the agent.
    Agent = 1,
    /// From the verifier.
    Verifier = 2,
}

/// The hash of all messages of a login so far, over the bytes as they travelled.
///
/// Messages are hashed as received and not re-encoded, so two encodings of one meaning are two transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// The transcript of a login in which nothing was said yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256::digest(LOGIN_LABEL).into())
    }

    /// The transcript after one more message.
    #[must_use]
    pub fn then(self, direction: Direction, message: &[u8]) -> Self {
        // A message is at most a few KiB, so the length always fits; the saturated value would still bind.
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update([direction as u8]);
        hash.update(len.to_be_bytes());
        hash.update(message);
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

/// What a verifier signs and an agent checks: the label, the transcript before the challenge, the challenge.
///
/// Three pieces to be hashed one after the other, since a node has no buffer to join them in.
#[must_use]
pub fn challenge_message<'a>(before: &'a Transcript, body: &'a [u8]) -> [&'a [u8]; 3] {
    [CHALLENGE_LABEL, before.as_bytes(), body]
}

/// The `qualifyingData` of a quote in this login; `transcript` includes the challenge that asks for it.
#[must_use]
pub fn quote_nonce(transcript: &Transcript) -> [u8; 32] {
    labelled(QUOTE_LABEL, transcript)
}

/// The `qualifyingData` of the SVID key's certification in this login; `transcript` includes the challenge that asks for it.
///
/// Another label than a quote's, so that neither attestation can be shown as the other.
#[must_use]
pub fn svid_key_nonce(transcript: &Transcript) -> [u8; 32] {
    labelled(SVID_KEY_LABEL, transcript)
}

/// What an SVID key that no TPM certifies signs, to show that it is held in this login; `nonce` is that of
/// [`svid_key_nonce`]. Two pieces, signed as one message. It is no renewal and no request for a certificate, which the same
/// key signs as well.
#[must_use]
pub const fn svid_key_possession(nonce: &[u8; 32]) -> [&[u8]; 2] {
    [POSSESSION_LABEL, nonce]
}

/// The verifier's nonce for a method's proof in this login; `transcript` includes the challenge that asks for the proof.
///
/// It does not travel: both sides make it of everything that was said, so a signature over it is bound to the agent's and the
/// verifier's nonces, to the session's and the SVID's key, and to this login. Each method has one of its own, so that a proof
/// by one is none by another that uses the same key.
#[must_use]
pub fn proof_nonce(kind: AttestorKind, transcript: &Transcript) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(PROOF_NONCE_LABEL);
    hash.update([kind.0]);
    hash.update(transcript.0);
    hash.finalize().into()
}

fn labelled(label: &[u8], transcript: &Transcript) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label);
    hash.update(transcript.0);
    hash.finalize().into()
}
