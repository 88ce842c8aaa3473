//! Keys made ready for the library, once.

use std::sync::OnceLock;

use aws_lc_rs::signature::ParsedPublicKey;

use super::{Legacy, PublicKey, Scheme, VerifyError};

/// A place beside a [`PublicKey`] for what the library computes of it: the numbers in its own form, the constants of its
/// arithmetic. It is filled when a signature verifies, and serves the next one of the same scheme; so whoever keeps a key for
/// long keeps this with it. Nothing is decided by it: each signature is verified, with the same limits.
///
/// It belongs to one key. Two of them are equal, and a clone begins empty: what was computed is no part of a value.
#[derive(Default)]
pub struct Ready(OnceLock<For>);

/// What is ready.
struct For {
    scheme: Scheme,
    legacy: Legacy,
    parsed: ParsedPublicKey,
}

impl Ready {
    /// As [`super::verify`], of the key that this belongs to.
    ///
    /// # Errors
    ///
    /// See [`VerifyError`].
    pub fn verify(
        &self,
        key: &PublicKey,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
        legacy: Legacy,
    ) -> Result<(), VerifyError> {
        // The limits on keys and hashes depend on what is compared here, and they held when this was filled.
        let ready = (self.0.get()).filter(|it| (it.scheme, it.legacy) == (scheme, legacy));
        if let Some(ready) = ready {
            if ready.parsed.verify_sig(message, signature).is_ok() {
                return Ok(());
            }
            if scheme.is_exact() {
                return Err(VerifyError::BadSignature);
            }
            // A salt of another length, perhaps.
        }
        super::verify::each(key, scheme, legacy, |primitive| {
            let Some(parsed) = primitive.parse() else {
                return primitive.verify(message, signature);
            };
            let parsed = parsed?;
            let verified = parsed.verify_sig(message, signature);
            verified.map_err(|_| VerifyError::BadSignature)?;
            self.0.get_or_init(|| For {
                scheme,
                legacy,
                parsed,
            });
            Ok(())
        })
    }
}

impl Clone for Ready {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Ready {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Ready {}

impl core::fmt::Debug for Ready {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Ready")
            .field(&self.0.get().is_some())
            .finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256,
        RsaKeyPair, RsaPssSaltLength, RsaSignatureEncoding,
    };

    use super::Ready;
    use crate::crypto::{
        Curve, EcPublicKey, HashAlgorithm, Legacy, PssSalt, PublicKey, RsaPublicKey, Scheme,
        VerifyError, verify,
    };

    const MESSAGE: &[u8] = b"message";
    const BAD: Result<(), VerifyError> = Err(VerifyError::BadSignature);

    /// A key, the scheme that it signs by, and a signature.
    type Signed = (PublicKey, Scheme, Vec<u8>);

    fn ec() -> Signed {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let key = PublicKey::Ec(EcPublicKey::from_point(Curve::P256, point).unwrap());
        let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
        let scheme = Scheme::Ecdsa(HashAlgorithm::Sha256);
        (key, scheme, signature.as_ref().to_vec())
    }

    fn ed25519() -> Signed {
        let pair = Ed25519KeyPair::generate().unwrap();
        let point = pair.public_key().as_ref().try_into().unwrap();
        let signature = pair.sign(MESSAGE).as_ref().to_vec();
        (PublicKey::Ed25519(point), Scheme::Ed25519, signature)
    }

    fn rsa() -> (RsaKeyPair, PublicKey) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let modulus = pair
            .public_key()
            .modulus()
            .big_endian_without_leading_zero();
        let key = PublicKey::Rsa(RsaPublicKey::new(modulus, 65_537).unwrap());
        (pair, key)
    }

    fn pss(pair: &RsaKeyPair, encoding: &'static RsaSignatureEncoding) -> Vec<u8> {
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(encoding, &random, MESSAGE, &mut signature)
            .unwrap();
        signature
    }

    #[test]
    fn a_key_that_is_ready_verifies_what_it_verified_before_and_nothing_else() {
        let strict = Legacy::default();
        for (key, scheme, signature) in [ec(), ed25519()] {
            let ready = Ready::default();
            let mut changed = signature.clone();
            *changed.last_mut().unwrap() ^= 1;
            // Empty, and then filled.
            for _ in 0..2 {
                let check =
                    |message, signature| ready.verify(&key, scheme, message, signature, strict);
                assert_eq!(check(MESSAGE, &changed), BAD);
                assert_eq!(check(b"massage", &signature), BAD);
                assert_eq!(check(MESSAGE, &signature), Ok(()));
                assert!(ready.0.get().is_some());
            }
        }
    }

    #[test]
    fn a_refusal_makes_nothing_ready() {
        let (key, scheme, signature) = ec();
        let ready = Ready::default();
        assert_eq!(
            ready.verify(&key, scheme, b"massage", &signature, Legacy::default()),
            BAD
        );
        assert!(ready.0.get().is_none());
    }

    #[test]
    fn another_scheme_is_held_to_its_own_limits() {
        let (key, scheme, signature) = ec();
        let ready = Ready::default();
        let strict = Legacy::default();
        assert_eq!(
            ready.verify(&key, scheme, MESSAGE, &signature, strict),
            Ok(())
        );
        let by = |scheme| ready.verify(&key, scheme, MESSAGE, &signature, strict);
        assert_eq!(by(Scheme::Ecdsa(HashAlgorithm::Sha384)), BAD);
        let weak = Err(VerifyError::WeakHash(HashAlgorithm::Sha1));
        assert_eq!(by(Scheme::Ecdsa(HashAlgorithm::Sha1)), weak);
        assert_eq!(by(Scheme::Ed25519), Err(VerifyError::SchemeMismatch));
    }

    #[test]
    fn what_was_made_ready_for_one_salt_does_not_stand_in_the_way_of_another() {
        static LONGEST: RsaSignatureEncoding =
            RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
        static ODD: RsaSignatureEncoding =
            RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(33));
        let (pair, key) = rsa();
        let [digest, longest, odd] = [&RSA_PSS_SHA256, &LONGEST, &ODD].map(|e| pss(&pair, e));
        let scheme = |salt| Scheme::RsaPss(HashAlgorithm::Sha256, salt);
        let usual = scheme(PssSalt::Usual);
        for first in [&digest, &longest] {
            let ready = Ready::default();
            let check = |scheme, signature: &[u8]| {
                ready.verify(&key, scheme, MESSAGE, signature, Legacy::default())
            };
            assert_eq!(check(usual, first), Ok(()));
            for signature in [&digest, &longest] {
                assert_eq!(check(usual, signature), Ok(()));
                assert_eq!(check(scheme(PssSalt::DigestOrMaximum), signature), Ok(()));
            }
            assert_eq!(check(usual, &odd), BAD);
            assert_eq!(check(scheme(PssSalt::Exactly(33)), &odd), Ok(()));
            assert_eq!(check(scheme(PssSalt::Exactly(32)), &odd), BAD);
            assert_eq!(check(scheme(PssSalt::Exactly(32)), &digest), Ok(()));
        }
        // As without it.
        for (signature, verified) in [(&digest, Ok(())), (&longest, Ok(())), (&odd, BAD)] {
            assert_eq!(
                verify(&key, usual, MESSAGE, signature, Legacy::default()),
                verified
            );
        }
    }
}
