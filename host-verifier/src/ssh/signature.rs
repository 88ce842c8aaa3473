//! Signatures in SSH's form.

use std::borrow::Cow;

use super::{
    key::{HostKey, KeyType},
    wire::{Reader, WireError},
};
use crate::crypto::{
    self, Curve, HashAlgorithm, Legacy, PublicKey, Scheme, Seen, ecdsa_signature_der,
};

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A field is broken.
    #[error("ssh signature: {0}")]
    Wire(#[from] WireError),
    /// `ssh-rsa`: RSA with SHA-1.
    #[error("ssh signature by ssh-rsa, which is RSA with SHA-1")]
    Sha1,
    /// An algorithm that the key does not sign with.
    #[error("ssh signature by {algorithm:?} for a key of type {key}")]
    Algorithm {
        /// The signature's.
        algorithm: String,
        /// The key's.
        key: &'static str,
    },
    /// It does not verify, or the key is too short.
    #[error("ssh signature: {0}")]
    Wrong(#[from] crypto::VerifyError),
}

/// An algorithm's name and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// E.g. `rsa-sha2-512`.
    pub algorithm: &'a str,
    /// What the algorithm makes.
    pub blob: &'a [u8],
}

impl<'a> Signature<'a> {
    /// Reads a whole signature: two strings, nothing after them.
    ///
    /// # Errors
    /// [`SignatureError::Wire`].
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, SignatureError> {
        let mut reader = Reader::new(bytes);
        let algorithm = reader.text()?;
        let blob = reader.string()?;
        reader.finish()?;
        Ok(Self { algorithm, blob })
    }

    /// Verifies it over `message`. `danger_allow_sha1` lets `ssh-rsa` in.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(
        &self,
        key: &HostKey,
        message: &[u8],
        danger_allow_sha1: bool,
    ) -> Result<(), SignatureError> {
        let (scheme, signature) = self.read(key, danger_allow_sha1)?;
        let legacy = legacy(danger_allow_sha1);
        let ready = key.ready();
        Ok(ready.verify(key.key(), scheme, message, &signature, legacy)?)
    }

    /// As [`Self::verify`], once per signature: for those that last.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_once(
        &self,
        key: &HostKey,
        message: &[u8],
        danger_allow_sha1: bool,
        seen: &Seen,
    ) -> Result<(), SignatureError> {
        let (scheme, signature) = self.read(key, danger_allow_sha1)?;
        let legacy = legacy(danger_allow_sha1);
        Ok(seen.verify(key.key(), scheme, message, &signature, legacy)?)
    }

    /// The scheme that the algorithm and the key's type are together, and the signature as it is verified.
    fn read(
        &self,
        key: &HostKey,
        danger_allow_sha1: bool,
    ) -> Result<(Scheme, Cow<'a, [u8]>), SignatureError> {
        let other = || SignatureError::Algorithm {
            algorithm: self.algorithm.chars().take(64).collect(),
            key: key.kind().name(),
        };
        Ok(match key.kind() {
            KeyType::Rsa => {
                let hash = match self.algorithm {
                    "rsa-sha2-256" => HashAlgorithm::Sha256,
                    "rsa-sha2-512" => HashAlgorithm::Sha512,
                    "ssh-rsa" if danger_allow_sha1 => HashAlgorithm::Sha1,
                    "ssh-rsa" => return Err(SignatureError::Sha1),
                    _ => return Err(other()),
                };
                (Scheme::RsaPkcs1(hash), Cow::Borrowed(self.blob))
            }
            KeyType::Ed25519 if self.algorithm == "ssh-ed25519" => {
                (Scheme::Ed25519, Cow::Borrowed(self.blob))
            }
            KeyType::Ecdsa(curve) if self.algorithm == key.kind().name() => {
                let mut reader = Reader::new(self.blob);
                let (r, s) = (reader.positive()?, reader.positive()?);
                reader.finish()?;
                // RFC 5656 section 6.2.1: the hash goes with the size of the curve.
                let hash = match curve {
                    Curve::P256 => HashAlgorithm::Sha256,
                    Curve::P384 => HashAlgorithm::Sha384,
                    Curve::P521 => HashAlgorithm::Sha512,
                };
                let der = ecdsa_signature_der(curve, r, s)
                    .ok_or(SignatureError::Wrong(crypto::VerifyError::BadSignature))?;
                (Scheme::Ecdsa(hash), Cow::Owned(der))
            }
            _ => return Err(other()),
        })
    }
}

const fn legacy(danger_allow_sha1: bool) -> Legacy {
    Legacy {
        danger_allow_sha1,
        danger_allow_small_rsa: false,
    }
}

/// Whether an RSA key is large enough to be looked at: [`crypto::verify`] refuses smaller ones, too.
#[must_use]
pub fn is_strong(key: &PublicKey) -> bool {
    match key {
        PublicKey::Rsa(rsa) => (crypto::MIN_RSA_BITS..=crypto::MAX_RSA_BITS).contains(&rsa.bits()),
        _ => true,
    }
}
