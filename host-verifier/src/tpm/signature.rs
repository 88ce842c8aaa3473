//! Signatures over attestation structures.

use assay_common::tpm::{alg::AlgId, signature::Signature};

use super::{AttestationKey, strong_hash_algorithm};
use crate::crypto::{
    HashAlgorithm, Legacy, PssSalt, PublicKey, Scheme, VerifyError, ecdsa_signature_der, verify,
};

/// Why a signature by an attestation key does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureCheckError {
    /// Another scheme or hash than the key's public area fixes.
    #[error("signature is {got_alg} with {got_hash}, the key signs {want_alg} with {want_hash}")]
    NotTheKeysScheme {
        /// Scheme of the signature.
        got_alg: AlgId,
        /// Hash of the signature.
        got_hash: AlgId,
        /// Scheme of the key.
        want_alg: AlgId,
        /// Hash of the key.
        want_hash: AlgId,
    },
    /// An RSA signature with a curve key, or the reverse.
    #[error("{alg} signature with an {key} key")]
    KeyType {
        /// Scheme of the signature.
        alg: AlgId,
        /// Type of the key.
        key: &'static str,
    },
    /// SHA-1, or a hash that is not supported.
    #[error("signature over {0}, at least sha256 wanted")]
    Hash(AlgId),
    /// r or s is zero or longer than the curve's order.
    #[error("r or s of the signature is out of range")]
    Scalar,
    /// The RSA modulus is too small.
    #[error("rsa key of {0} bits")]
    WeakKey(usize),
    /// It does not verify.
    #[error("signature does not verify under the key")]
    Wrong,
}

impl SignatureCheckError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::NotTheKeysScheme { .. } | Self::KeyType { .. } => "signature-scheme",
            Self::Hash(_) => "signature-hash",
            Self::WeakKey(_) => "ak-weak-key",
            Self::Scalar | Self::Wrong => "signature",
        }
    }
}

/// Verifies `signature` over `attest` (the `TPMS_ATTEST` bytes as received) and returns the hash of
/// the scheme, which is also the hash of a quote's composite digest.
///
/// When the key's public area fixes a scheme, the signature must be of exactly that one: it does not
/// choose how it is checked. Matching is over (key type, signature type) as a pair.
///
/// # Errors
/// See [`SignatureCheckError`].
pub fn verify_attest(
    key: &AttestationKey,
    attest: &[u8],
    signature: &Signature<'_>,
) -> Result<HashAlgorithm, SignatureCheckError> {
    verify_by(key.key(), key.scheme(), attest, signature)
}

/// Verifies `signature` over `message` under a key of a TPM, and returns the hash of the scheme. `scheme` is what the key's
/// public area fixes; `None` where it fixes nothing, and every supported scheme with a strong hash will do.
///
/// # Errors
/// See [`SignatureCheckError`].
pub fn verify_by(
    key: &PublicKey,
    scheme: Option<(AlgId, AlgId)>,
    message: &[u8],
    signature: &Signature<'_>,
) -> Result<HashAlgorithm, SignatureCheckError> {
    let (alg, hash_id) = (signature.scheme(), signature.hash());
    let hash = strong_hash_algorithm(hash_id).ok_or(SignatureCheckError::Hash(hash_id))?;
    if let Some((want_alg, want_hash)) = scheme
        && (want_alg, want_hash) != (alg, hash_id)
    {
        return Err(SignatureCheckError::NotTheKeysScheme {
            got_alg: alg,
            got_hash: hash_id,
            want_alg,
            want_hash,
        });
    }
    let result = match (key, signature) {
        (PublicKey::Rsa(_), Signature::Rsassa { sig, .. }) => {
            let scheme = Scheme::RsaPkcs1(hash);
            verify(key, scheme, message, sig, Legacy::default())
        }
        (PublicKey::Rsa(_), Signature::Rsapss { sig, .. }) => {
            let scheme = Scheme::RsaPss(hash, PssSalt::DigestOrMaximum);
            verify(key, scheme, message, sig, Legacy::default())
        }
        (PublicKey::Ec(ec), Signature::Ecdsa { r, s, .. }) => {
            let der = ecdsa_signature_der(ec.curve(), r, s).ok_or(SignatureCheckError::Scalar)?;
            verify(key, Scheme::Ecdsa(hash), message, &der, Legacy::default())
        }
        (PublicKey::Rsa(_), Signature::Ecdsa { .. })
        | (PublicKey::Ec(_), Signature::Rsassa { .. } | Signature::Rsapss { .. })
        | (PublicKey::Ed25519(_), _) => {
            return Err(SignatureCheckError::KeyType {
                alg,
                key: key.kind(),
            });
        }
    };
    match result {
        Ok(()) => Ok(hash),
        Err(VerifyError::WeakKey { bits }) => Err(SignatureCheckError::WeakKey(bits)),
        Err(_) => Err(SignatureCheckError::Wrong),
    }
}
