//! Whom the agent talks to: the verifier's signature over a challenge, or over a renewal, by the key the node was
//! provisioned with.
//!
//! Without this check anybody on the line could have credentials opened and PCRs quoted.

mod ecdsa;
#[cfg(test)]
mod tests;

use assay_common::login::{RenewDigest, Transcript, challenge_message, renewal_message};
use crypto_bigint::U256;
use sha2::{Digest, Sha256};

use crate::crypto::curve::P256Point;

/// The challenge, or the renewal, is not signed by the pinned key, or not for this login or session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UntrustedVerifier;

impl core::fmt::Display for UntrustedVerifier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the verifier's message is not signed by the pinned key")
    }
}

impl core::error::Error for UntrustedVerifier {}

/// The verifier's challenge key, ECDSA P-256: a point of the curve, made from the bytes it borrows when needed.
#[derive(Debug, Clone, Copy)]
pub struct PinnedKey<'p> {
    x: &'p [u8; 32],
    y: &'p [u8; 32],
}

/// Proof that a message came from the pinned verifier for what is at hand. Only [`PinnedKey`]'s checks make one.
#[derive(Debug)]
pub struct Authentic(());

impl<'p> PinnedKey<'p> {
    /// Reads an uncompressed SEC1 point: 04, x and y (SEC 1 section 2.3.4).
    ///
    /// # Errors
    ///
    /// [`UntrustedVerifier`] when it is not a point of the curve.
    pub fn from_sec1(point: &'p [u8]) -> Result<Self, UntrustedVerifier> {
        const UNCOMPRESSED: u8 = 4;
        let key = match point.split_first() {
            Some((&UNCOMPRESSED, coordinates)) => halves(coordinates),
            _ => None,
        };
        let key = key.map(|[x, y]| Self { x, y });
        key.filter(|key| key.point().is_some())
            .ok_or(UntrustedVerifier)
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
        self.check_parts(challenge_message(before, body), signature)
    }

    /// Checks the signature over the renewal that was asked for and the answer's body.
    ///
    /// # Errors
    ///
    /// [`UntrustedVerifier`]; nothing of the body may be used then.
    pub fn check_renewal(
        &self,
        renew: &RenewDigest,
        body: &[u8],
        signature: &[u8],
    ) -> Result<Authentic, UntrustedVerifier> {
        self.check_parts(renewal_message(renew, body), signature)
    }

    fn check_parts(
        &self,
        parts: [&[u8]; 3],
        signature: &[u8],
    ) -> Result<Authentic, UntrustedVerifier> {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        let digest = hash.finalize().into();
        match (halves(signature), self.point()) {
            (Some([r, s]), Some(key)) if ecdsa::verify(&key, &digest, r, s) => Ok(Authentic(())),
            _ => Err(UntrustedVerifier),
        }
    }

    fn point(&self) -> Option<P256Point> {
        let [x, y] = [self.x, self.y].map(|number| U256::from_be_slice(number));
        P256Point::from_affine(&x, &y)
    }
}

/// Two numbers of 32 bytes; `None` for any other length than 64.
fn halves(bytes: &[u8]) -> Option<[&[u8; 32]; 2]> {
    match bytes.as_chunks() {
        ([first, second], []) => Some([first, second]),
        _ => None,
    }
}
