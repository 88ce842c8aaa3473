//! Signature verification with the limits that foreign keys need.

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPssSaltLength,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::{
    Curve, EcPublicKey, HashAlgorithm, PublicKey, RsaPublicKey,
    encode::{integer_len, put_head, put_integer, tlv_len, trim_leading_zeros},
};

/// Smallest RSA modulus accepted without a legacy switch.
pub const MIN_RSA_BITS: usize = 2048;
/// Smallest RSA modulus accepted at all.
pub const MIN_LEGACY_RSA_BITS: usize = 1024;
/// Largest RSA modulus accepted anywhere: verification cost grows with the square, and the key is chosen
/// by a peer that has proven nothing yet. What judges one kind of key sets a lower limit where it can
/// ([`USUAL_MAX_RSA_BITS`]).
pub const MAX_RSA_BITS: usize = 8192;
/// Largest RSA modulus where nobody has configured more: TPMs, vendors' authorities and certificate requests stay below.
pub const USUAL_MAX_RSA_BITS: usize = 4096;

/// Switches that admit what is broken. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// Accept SHA-1 signatures (EK chains of 2012 to 2015).
    pub danger_allow_sha1: bool,
    /// Accept RSA moduli of 1024 to 2047 bits.
    pub danger_allow_small_rsa: bool,
}

/// Salt length of an RSASSA-PSS signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PssSalt {
    /// As long as stated.
    Exactly(u16),
    /// As long as the digest, or as long as the modulus allows: TPMs do either
    /// ([TPM2.0 Part 1] Annex B.7).
    DigestOrMaximum,
    /// What signers set by a usual option: as long as the digest (our agent), as long as the modulus allows (Go, and OpenSSL's
    /// default for the command line), none, or as long as SHA-1, SHA-384 or SHA-512, in this order. The library cannot read
    /// the length out of a signature, and trying every one would let a peer buy a thousand verifications with one message.
    Usual,
}

/// The lengths of [`PssSalt::Usual`] after the digest's and the longest, the most usual first.
const OTHER_SALTS: &[u16] = &[0, 20, 48, 64];

/// A signature scheme with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(HashAlgorithm),
    /// RSASSA-PSS; MGF1 uses the same hash.
    RsaPss(HashAlgorithm, PssSalt),
    /// ECDSA, signature in DER.
    Ecdsa(HashAlgorithm),
    /// Ed25519 (RFC 8032), which hashes by itself.
    Ed25519,
}

impl Scheme {
    /// Whether there is one way only to verify by it.
    pub(super) const fn is_exact(self) -> bool {
        !matches!(
            self,
            Self::RsaPss(_, PssSalt::Usual | PssSalt::DigestOrMaximum)
        )
    }

    /// The hash of the scheme: SHA-512 for Ed25519.
    #[must_use]
    pub fn hash(self) -> HashAlgorithm {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash, _) | Self::Ecdsa(hash) => hash,
            Self::Ed25519 => HashAlgorithm::Sha512,
        }
    }
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The scheme belongs to another key type, for example ECDSA with an RSA key.
    #[error("signature scheme does not fit the key type")]
    SchemeMismatch,
    /// The key is smaller than policy allows.
    #[error("rsa key of {bits} bits, at least {MIN_RSA_BITS} wanted")]
    WeakKey {
        /// Length of the modulus in bits.
        bits: usize,
    },
    /// The hash is broken and no legacy switch admits it.
    #[error("signature uses {0}")]
    WeakHash(HashAlgorithm),
    /// The signature is wrong, or malformed, or the key is not a valid point.
    #[error("signature does not verify")]
    BadSignature,
}

/// Checks `signature` over `message` with `key`.
///
/// Limits: RSA moduli of 2048 to 8192 bits (1024 with [`Legacy::danger_allow_small_rsa`]);
/// ECDSA over P-256, P-384 and P-521 with any of SHA-256, SHA-384, SHA-512. SHA-1 only with
/// [`Legacy::danger_allow_sha1`].
///
/// # Errors
/// See [`VerifyError`]. Never panics.
pub fn verify(
    key: &PublicKey,
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
    legacy: Legacy,
) -> Result<(), VerifyError> {
    each(key, scheme, legacy, |primitive| {
        primitive.verify(message, signature)
    })
}

/// What the library verifies with, and the key for it.
pub(super) enum Primitive<'a> {
    Rsa(&'a RsaPublicKey, &'static RsaParameters),
    /// A salt of a length of its own: what is made for it cannot be kept.
    RsaOnce(&'a RsaPublicKey, RsaParameters),
    Ec(&'a EcPublicKey, &'static EcdsaVerificationAlgorithm),
    Ed25519(&'a [u8]),
}

impl Primitive<'_> {
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let verified = match self {
            Self::Rsa(rsa, parameters) => {
                components(rsa, |key| key.verify(parameters, message, signature))
            }
            Self::RsaOnce(rsa, parameters) => {
                components(rsa, |key| key.verify(parameters, message, signature))
            }
            Self::Ec(ec, algorithm) => {
                UnparsedPublicKey::new(*algorithm, ec.point()).verify(message, signature)
            }
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature)
            }
        };
        verified.map_err(|_| VerifyError::BadSignature)
    }

    /// The key in the library's own form; `None` where it cannot be kept in it. A key that the library refuses verifies
    /// nothing.
    pub(super) fn parse(&self) -> Option<Result<ParsedPublicKey, VerifyError>> {
        let parsed = match self {
            Self::Rsa(rsa, parameters) => {
                components(rsa, |key| key.to_parsed_public_key(parameters))
            }
            Self::RsaOnce(..) => return None,
            Self::Ec(ec, algorithm) => ParsedPublicKey::new(*algorithm, ec.point()),
            Self::Ed25519(point) => ParsedPublicKey::new(&signature::ED25519, point),
        };
        Some(parsed.map_err(|_| VerifyError::BadSignature))
    }
}

/// All limits, and then `attempt` with what the scheme is for this key: once, or with one salt after the other until one fits.
pub(super) fn each(
    key: &PublicKey,
    scheme: Scheme,
    legacy: Legacy,
    mut attempt: impl FnMut(Primitive<'_>) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let hash = scheme.hash();
    if hash == HashAlgorithm::Sha1 && !legacy.danger_allow_sha1 {
        return Err(VerifyError::WeakHash(hash));
    }
    match (key, scheme) {
        (PublicKey::Rsa(rsa), Scheme::RsaPkcs1(hash)) => {
            let small = rsa_is_small(rsa, legacy)?;
            attempt(Primitive::Rsa(rsa, pkcs1(hash, small)?))
        }
        (PublicKey::Rsa(rsa), Scheme::RsaPss(hash, salt)) => {
            rsa_is_small(rsa, Legacy::default())?;
            let [digest, maximum] = pss(hash)?;
            let of_length = |length| digest_salted(hash).map(|p| p.with_pss_salt_length(length));
            let salts = match salt {
                PssSalt::Exactly(n) => {
                    let parameters = of_length(RsaPssSaltLength::Custom(n))?;
                    return attempt(Primitive::RsaOnce(rsa, parameters));
                }
                PssSalt::Usual => OTHER_SALTS,
                PssSalt::DigestOrMaximum => &[],
            };
            for parameters in [digest, maximum] {
                if attempt(Primitive::Rsa(rsa, parameters)).is_ok() {
                    return Ok(());
                }
            }
            for length in salts {
                let parameters = of_length(RsaPssSaltLength::Custom(*length))?;
                if attempt(Primitive::RsaOnce(rsa, parameters)).is_ok() {
                    return Ok(());
                }
            }
            Err(VerifyError::BadSignature)
        }
        (PublicKey::Ec(ec), Scheme::Ecdsa(hash)) => {
            attempt(Primitive::Ec(ec, ecdsa(ec.curve(), hash)?))
        }
        (PublicKey::Ed25519(point), Scheme::Ed25519) => attempt(Primitive::Ed25519(point)),
        _ => Err(VerifyError::SchemeMismatch),
    }
}

/// DER of `ECDSA-Sig-Value` from big-endian `r` and `s`.
///
/// Leading zeros may be missing or superfluous. `None` when a number is zero or longer than the
/// curve's order: such a signature is never valid and must not reach arithmetic.
#[must_use]
pub fn ecdsa_signature_der(curve: Curve, r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let numbers = [r, s].map(trim_leading_zeros);
    let fits = |n: &&[u8]| !n.is_empty() && n.len() <= curve.field_len();
    if !numbers.iter().all(fits) {
        return None;
    }
    let len = numbers.iter().map(|n| integer_len(n)).sum();
    let mut out = Vec::with_capacity(tlv_len(len));
    put_head(&mut out, 0x30, len);
    for number in numbers {
        put_integer(&mut out, number);
    }
    Some(out)
}

/// True when the key needs the legacy parameters.
fn rsa_is_small(rsa: &RsaPublicKey, legacy: Legacy) -> Result<bool, VerifyError> {
    let bits = rsa.bits();
    let minimum = if legacy.danger_allow_small_rsa {
        MIN_LEGACY_RSA_BITS
    } else {
        MIN_RSA_BITS
    };
    if bits < minimum {
        return Err(VerifyError::WeakKey { bits });
    }
    Ok(bits < MIN_RSA_BITS)
}

fn components<T>(rsa: &RsaPublicKey, then: impl FnOnce(RsaPublicKeyComponents<&[u8]>) -> T) -> T {
    let exponent = rsa.exponent().to_be_bytes();
    then(RsaPublicKeyComponents {
        n: rsa.modulus(),
        e: trim_leading_zeros(&exponent),
    })
}

fn pkcs1(hash: HashAlgorithm, small: bool) -> Result<&'static RsaParameters, VerifyError> {
    Ok(match (hash, small) {
        (HashAlgorithm::Sha1, false) => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (HashAlgorithm::Sha256, false) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (HashAlgorithm::Sha384, false) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (HashAlgorithm::Sha512, false) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (HashAlgorithm::Sha1, true) => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (HashAlgorithm::Sha256, true) => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (HashAlgorithm::Sha512, true) => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        // aws-lc-rs has no parameters for it, and such a pair has never been seen.
        (HashAlgorithm::Sha384, true) => return Err(VerifyError::BadSignature),
    })
}

/// With a salt as long as the digest.
fn digest_salted(hash: HashAlgorithm) -> Result<RsaParameters, VerifyError> {
    Ok(match hash {
        HashAlgorithm::Sha1 => return Err(VerifyError::WeakHash(hash)),
        HashAlgorithm::Sha256 => signature::RSA_PSS_2048_8192_SHA256,
        HashAlgorithm::Sha384 => signature::RSA_PSS_2048_8192_SHA384,
        HashAlgorithm::Sha512 => signature::RSA_PSS_2048_8192_SHA512,
    })
}

/// With a salt as long as the digest, and with one as long as the modulus allows.
fn pss(hash: HashAlgorithm) -> Result<[&'static RsaParameters; 2], VerifyError> {
    const MAXIMUM: RsaPssSaltLength = RsaPssSaltLength::Max;
    Ok(match hash {
        HashAlgorithm::Sha1 => return Err(VerifyError::WeakHash(hash)),
        HashAlgorithm::Sha256 => [
            &signature::RSA_PSS_2048_8192_SHA256,
            &const { signature::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(MAXIMUM) },
        ],
        HashAlgorithm::Sha384 => [
            &signature::RSA_PSS_2048_8192_SHA384,
            &const { signature::RSA_PSS_2048_8192_SHA384.with_pss_salt_length(MAXIMUM) },
        ],
        HashAlgorithm::Sha512 => [
            &signature::RSA_PSS_2048_8192_SHA512,
            &const { signature::RSA_PSS_2048_8192_SHA512.with_pss_salt_length(MAXIMUM) },
        ],
    })
}

fn ecdsa(
    curve: Curve,
    hash: HashAlgorithm,
) -> Result<&'static EcdsaVerificationAlgorithm, VerifyError> {
    Ok(match (curve, hash) {
        (Curve::P256, HashAlgorithm::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, HashAlgorithm::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, HashAlgorithm::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, HashAlgorithm::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, HashAlgorithm::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, HashAlgorithm::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, HashAlgorithm::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, HashAlgorithm::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, HashAlgorithm::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        // No legacy chain signs with ECDSA over SHA-1.
        (_, HashAlgorithm::Sha1) => return Err(VerifyError::WeakHash(hash)),
    })
}
