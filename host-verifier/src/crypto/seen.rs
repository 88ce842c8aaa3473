//! Signatures that last, verified once: those of certificates, which a node brings to every login as they were the last
//! time.
//!
//! Whether a signature verifies depends on the key, the scheme, the message and the signature, and on nothing else; so what
//! verified once needs no arithmetic the second time. Only that is remembered. Times, names, constraints and everything
//! else that is judged of a certificate is judged each time, and so is every signature that must be fresh: quotes,
//! certifications and certificate requests never come here.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::recent::Recent;
use super::{HashAlgorithm, Legacy, PssSalt, PublicKey, Scheme, VerifyError, verify};

/// Signatures that one generation holds; two are kept, 32 bytes each and some for the table: 4 MiB at most.
const GENERATION: usize = 32_768;

/// Signatures that verified, by the SHA-256 of everything that they depend on. Bounded: when it is full, what was not used
/// for the longest is forgotten by the half.
#[derive(Debug)]
pub struct Seen(Mutex<Recent<[u8; 32], ()>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(GENERATION)))
    }
}

impl Seen {
    /// As [`verify`], without the arithmetic where the same signature verified before.
    ///
    /// # Errors
    ///
    /// See [`VerifyError`]; refusals are not remembered.
    pub fn verify(
        &self,
        key: &PublicKey,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
        legacy: Legacy,
    ) -> Result<(), VerifyError> {
        let digest = digest(key, scheme, message, signature, legacy);
        if self.recent().get(&digest).is_some() {
            return Ok(());
        }
        verify(key, scheme, message, signature, legacy)?;
        self.recent().put(digest, ());
        Ok(())
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent<[u8; 32], ()>> {
        // Every change is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each part with its length before it, so that no two inputs are one text. What a legacy switch admitted is not admitted
/// without it.
fn digest(
    key: &PublicKey,
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
    legacy: Legacy,
) -> [u8; 32] {
    let (kind, hash, salt) = match scheme {
        Scheme::RsaPkcs1(hash) => (0, hash, 0),
        Scheme::RsaPss(hash, PssSalt::Exactly(len)) => (1, hash, len),
        Scheme::RsaPss(hash, PssSalt::DigestOrMaximum) => (2, hash, 0),
        Scheme::Ecdsa(hash) => (3, hash, 0),
        Scheme::RsaPss(hash, PssSalt::Usual) => (4, hash, 0),
        Scheme::Ed25519 => (5, HashAlgorithm::Sha512, 0),
    };
    let Legacy {
        danger_allow_sha1,
        danger_allow_small_rsa,
    } = legacy;
    let hash = match hash {
        HashAlgorithm::Sha1 => 0,
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha384 => 2,
        HashAlgorithm::Sha512 => 3,
    };
    let [salt_high, salt_low] = salt.to_be_bytes();
    let head = [
        kind,
        hash,
        salt_high,
        salt_low,
        u8::from(danger_allow_sha1),
        u8::from(danger_allow_small_rsa),
    ];
    let mut context = Context::new(&SHA256);
    for part in [&head[..], &key.spki_der(), message, signature] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;
    use crate::crypto::{Curve, EcPublicKey};

    const SCHEME: Scheme = Scheme::Ecdsa(HashAlgorithm::Sha256);

    fn pair() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let key = EcPublicKey::from_point(Curve::P256, &point).unwrap();
        (pair, PublicKey::Ec(key))
    }

    fn len(seen: &Seen) -> usize {
        seen.recent().len()
    }

    #[test]
    fn only_the_very_same_signature_is_remembered() {
        let seen = Seen::default();
        let (signer, key) = pair();
        let random = SystemRandom::new();
        let signature = signer.sign(&random, b"message").unwrap();
        let signature = signature.as_ref();
        let strict = Legacy::default();
        let check = |key: &PublicKey, scheme, message: &[u8], signature: &[u8]| {
            seen.verify(key, scheme, message, signature, strict)
        };
        assert_eq!(check(&key, SCHEME, b"message", signature), Ok(()));
        assert_eq!(len(&seen), 1);
        assert_eq!(check(&key, SCHEME, b"message", signature), Ok(()));
        assert_eq!(len(&seen), 1);

        let bad = Err(VerifyError::BadSignature);
        assert_eq!(check(&key, SCHEME, b"massage", signature), bad);
        assert_eq!(check(&pair().1, SCHEME, b"message", signature), bad);
        let other = Scheme::Ecdsa(HashAlgorithm::Sha384);
        assert_eq!(check(&key, other, b"message", signature), bad);
        let mut changed = signature.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(check(&key, SCHEME, b"message", &changed), bad);
        // A byte moved from one part to the next makes another text.
        let (message, moved) = (&b"messag"[..], [&b"e"[..], signature].concat());
        assert_eq!(check(&key, SCHEME, message, &moved), bad);
        assert_eq!(len(&seen), 1, "a refusal was remembered");
    }

    #[test]
    fn what_a_legacy_switch_admitted_is_not_admitted_without_it() {
        let (signer, key) = pair();
        let signature = signer.sign(&SystemRandom::new(), b"m").unwrap();
        let legacy = Legacy {
            danger_allow_sha1: true,
            danger_allow_small_rsa: false,
        };
        let of = |legacy| digest(&key, SCHEME, b"m", signature.as_ref(), legacy);
        assert_ne!(of(legacy), of(Legacy::default()));
    }

    #[test]
    fn it_is_bounded() {
        let seen = Seen::default();
        for number in 0..=2 * GENERATION {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            seen.recent().put(digest, ());
        }
        let held = len(&seen);
        assert!(held <= 2 * GENERATION, "{held}");
    }
}
