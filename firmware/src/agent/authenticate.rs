//! Whom the agent talks to: the verifier's signature over a challenge, by the key the node was provisioned with.
//!
//! Without this check anybody on the line could have credentials opened and PCRs quoted.

use assay_common::login::{Transcript, challenge_message};
use assay_common::protocol::message::SIGNATURE_LEN;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// The challenge is not signed by the pinned key, or not for this login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UntrustedVerifier;

impl core::fmt::Display for UntrustedVerifier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the challenge is not signed by the pinned key")
    }
}

impl core::error::Error for UntrustedVerifier {}

/// The verifier's challenge key, ECDSA P-256.
#[derive(Debug, Clone)]
pub struct PinnedKey(VerifyingKey);

/// Proof that a challenge came from the pinned verifier for the login at hand. Only [`PinnedKey::check`] makes one.
#[derive(Debug)]
pub struct Authentic(());

impl PinnedKey {
    /// Reads an uncompressed SEC1 point.
    ///
    /// # Errors
    ///
    /// [`UntrustedVerifier`] when it is not a point of the curve.
    pub fn from_sec1(point: &[u8]) -> Result<Self, UntrustedVerifier> {
        VerifyingKey::from_sec1_bytes(point)
            .map(Self)
            .map_err(|_| UntrustedVerifier)
    }

    /// Checks the signature over the transcript so far and the challenge's body.
    ///
    /// # Errors
    ///
    /// [`UntrustedVerifier`]; nothing of the body may be used then.
    pub fn check(
        &self,
        before: &Transcript,
        body: &[u8],
        signature: &[u8],
    ) -> Result<Authentic, UntrustedVerifier> {
        let signature: &[u8; SIGNATURE_LEN] =
            signature.try_into().map_err(|_| UntrustedVerifier)?;
        let signature = Signature::from_slice(signature).map_err(|_| UntrustedVerifier)?;
        let mut hash = Sha256::new();
        for part in challenge_message(before, body) {
            hash.update(part);
        }
        self.0
            .verify_prehash(&hash.finalize(), &signature)
            .map_err(|_| UntrustedVerifier)?;
        Ok(Authentic(()))
    }
}
