//! `TPM2_MakeCredential` in software, [TPM2.0 1.83 Part 1] chapter 24 and Part 3 12.6.
//!
//! The verifier has no TPM. The result opens only in the TPM that holds the EK's private key, and
//! only for the object whose Name went in.
//!
//! ```text
//! RSA EK : seed = random[|nameAlg|];  secret = OAEP(nameAlg, "IDENTITY\0", seed)
//! ECC EK : ephemeral d, Q;  seed = KDFe(nameAlg, (d·EK).x, "IDENTITY", Q.x, EK.x);  secret = Q
//! encId  = AES-CFB(KDFa(seed, "STORAGE", Name), IV 0, 2B(credential))
//! blob   = 2B(HMAC(KDFa(seed, "INTEGRITY"), encId ‖ Name)) ‖ encId
//! ```
//!
//! nameAlg is the EK's throughout. The zero IV is the specification's: the key is used once.

use assay_common::tpm::{alg::AlgId, codec::Writer, credential::EccPoint, public::Public};
use aws_lc_rs::{
    agreement,
    cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey},
    iv::FixedLength,
    rsa::{
        OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
        OaepPublicEncryptingKey, PublicEncryptingKey,
    },
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    kdf::{KdfError, kdf_a, kdf_e},
    key::{PublicKeyError, public_key},
    strong_hash_algorithm,
};
use crate::{
    crypto::{Curve, EcPublicKey, HashAlgorithm, MIN_RSA_BITS, PublicKey},
    random::SecureRandom,
};

/// Why a public area cannot be the key of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialKeyError {
    /// The key itself.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The RSA modulus is too small.
    #[error("rsa key of {0} bits, at least {MIN_RSA_BITS} wanted")]
    WeakKey(usize),
    /// nameAlg is not SHA-256, SHA-384 or SHA-512.
    #[error("name algorithm {0} is not supported")]
    NameAlg(AlgId),
    /// No symmetric cipher, or another than AES-128 or AES-256 in CFB mode.
    #[error("symmetric cipher {alg}-{bits} in mode {mode} is not supported, aes-cfb is needed")]
    Symmetric {
        /// Cipher.
        alg: AlgId,
        /// Key size.
        bits: u16,
        /// Mode.
        mode: AlgId,
    },
}

/// Why no credential was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeCredentialError {
    /// The secret is empty or longer than the digest of the EK's nameAlg.
    #[error("secret of {got} bytes, 1 to {max} fit")]
    SecretLength {
        /// Length given.
        got: usize,
        /// Longest for this EK.
        max: usize,
    },
    /// No randomness.
    #[error("the random number generator failed")]
    Random,
    /// The cryptographic library refused.
    #[error("{0} failed")]
    Crypto(&'static str),
}

impl From<KdfError> for MakeCredentialError {
    fn from(_: KdfError) -> Self {
        Self::Crypto("key derivation")
    }
}

/// A key that credentials can be made for: a checked EK, ready for use.
#[derive(Debug)]
pub struct CredentialKey {
    key: PublicKey,
    name_alg: HashAlgorithm,
    symmetric_bits: u16,
}

impl CredentialKey {
    /// Takes an EK's public area. Attributes are the caller's business
    /// ([`crate::attestor::tpm_ek`]); what the computation needs is checked here.
    ///
    /// # Errors
    /// See [`CredentialKeyError`].
    pub fn from_public(public: &Public<'_>) -> Result<Self, CredentialKeyError> {
        let name_alg = strong_hash_algorithm(public.name_alg)
            .ok_or(CredentialKeyError::NameAlg(public.name_alg))?;
        let symmetric = public.parameters.symmetric();
        if symmetric.alg != AlgId::AES
            || symmetric.mode != AlgId::CFB
            || !matches!(symmetric.key_bits, 128 | 256)
        {
            return Err(CredentialKeyError::Symmetric {
                alg: symmetric.alg,
                bits: symmetric.key_bits,
                mode: symmetric.mode,
            });
        }
        let key = public_key(public)?;
        if let PublicKey::Rsa(rsa) = &key
            && rsa.bits() < MIN_RSA_BITS
        {
            return Err(CredentialKeyError::WeakKey(rsa.bits()));
        }
        Ok(Self {
            key,
            name_alg,
            symmetric_bits: symmetric.key_bits,
        })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The hash of the EK's Name, used throughout.
    #[must_use]
    pub fn name_alg(&self) -> HashAlgorithm {
        self.name_alg
    }
}

/// What goes to the TPM, both without their 16-bit length in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Contents of the `TPM2B_ID_OBJECT`.
    pub id_object: Vec<u8>,
    /// Contents of the `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted_secret: Vec<u8>,
}

/// Hides `secret` so that only the TPM with `ek` finds it, and only for the object named
/// `object_name`.
///
/// `object_name` is a whole Name (algorithm and digest), computed by the caller and never taken from
/// the wire. `random` gives the seed for an RSA EK. The ephemeral key for an ECC EK and the padding of
/// OAEP come from aws-lc, whose generator [`random::SystemRandom`](crate::random::SystemRandom) is too.
///
/// # Errors
/// See [`MakeCredentialError`].
pub fn make_credential(
    ek: &CredentialKey,
    object_name: &[u8],
    secret: &[u8],
    random: &dyn SecureRandom,
) -> Result<Credential, MakeCredentialError> {
    check_length(ek, secret)?;
    match &ek.key {
        PublicKey::Rsa(_) => {
            let mut seed = Zeroizing::new([0; 64]);
            let seed = seed.get_mut(..ek.name_alg.digest_len()).unwrap_or_default();
            random.fill(seed).map_err(|_| MakeCredentialError::Random)?;
            rsa_credential(ek, object_name, secret, seed)
        }
        PublicKey::Ec(point) => {
            let ephemeral = agreement::PrivateKey::generate(ecdh(point.curve()))
                .map_err(|_| MakeCredentialError::Random)?;
            ecc_credential(ek, point, object_name, secret, &ephemeral)
        }
        PublicKey::Ed25519(_) => Err(MakeCredentialError::Crypto("a credential for ed25519")),
    }
}

/// As [`make_credential`], with what should be random given by the caller: the seed for an RSA EK (as
/// long as the digest), the ephemeral scalar for an ECC EK (as long as the field). For test vectors:
/// a credential made from a value that anybody knows hides nothing.
///
/// # Errors
/// See [`MakeCredentialError`]; [`MakeCredentialError::Random`] when `chosen` does not fit the EK.
pub fn danger_make_credential_from(
    ek: &CredentialKey,
    object_name: &[u8],
    secret: &[u8],
    chosen: &[u8],
) -> Result<Credential, MakeCredentialError> {
    check_length(ek, secret)?;
    match &ek.key {
        PublicKey::Rsa(_) if chosen.len() != ek.name_alg.digest_len() => {
            Err(MakeCredentialError::Random)
        }
        PublicKey::Rsa(_) => rsa_credential(ek, object_name, secret, chosen),
        PublicKey::Ec(point) => {
            let ephemeral = agreement::PrivateKey::from_private_key(ecdh(point.curve()), chosen)
                .map_err(|_| MakeCredentialError::Random)?;
            ecc_credential(ek, point, object_name, secret, &ephemeral)
        }
        PublicKey::Ed25519(_) => Err(MakeCredentialError::Crypto("a credential for ed25519")),
    }
}

fn check_length(ek: &CredentialKey, secret: &[u8]) -> Result<(), MakeCredentialError> {
    let max = ek.name_alg.digest_len();
    if secret.is_empty() || secret.len() > max {
        return Err(MakeCredentialError::SecretLength {
            got: secret.len(),
            max,
        });
    }
    Ok(())
}

fn rsa_credential(
    ek: &CredentialKey,
    object_name: &[u8],
    secret: &[u8],
    seed: &[u8],
) -> Result<Credential, MakeCredentialError> {
    let oaep: &'static OaepAlgorithm = match ek.name_alg {
        HashAlgorithm::Sha256 => &OAEP_SHA256_MGF1SHA256,
        HashAlgorithm::Sha384 => &OAEP_SHA384_MGF1SHA384,
        HashAlgorithm::Sha512 => &OAEP_SHA512_MGF1SHA512,
        HashAlgorithm::Sha1 => return Err(MakeCredentialError::Crypto("oaep with sha1")),
    };
    let failed = |_| MakeCredentialError::Crypto("rsa-oaep");
    let key = PublicEncryptingKey::from_der(&ek.key.spki_der())
        .map_err(|_| MakeCredentialError::Crypto("rsa key import"))?;
    let key = OaepPublicEncryptingKey::new(key).map_err(failed)?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let len = key
        .encrypt(oaep, seed, &mut encrypted, Some(b"IDENTITY\0"))
        .map_err(failed)?
        .len();
    encrypted.truncate(len);
    Ok(Credential {
        id_object: id_object(ek, seed, object_name, secret)?,
        encrypted_secret: encrypted,
    })
}

fn ecdh(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
        Curve::P521 => &agreement::ECDH_P521,
    }
}

fn ecc_credential(
    ek: &CredentialKey,
    point: &EcPublicKey,
    object_name: &[u8],
    secret: &[u8],
    ephemeral: &agreement::PrivateKey,
) -> Result<Credential, MakeCredentialError> {
    let public = ephemeral
        .compute_public_key()
        .map_err(|_| MakeCredentialError::Crypto("ephemeral key"))?;
    let public = EcPublicKey::from_point(point.curve(), public.as_ref())
        .map_err(|_| MakeCredentialError::Crypto("ephemeral key"))?;
    let hash = ek.name_alg;
    let bits = hash.digest_len() as u32 * 8;
    // aws-lc checks that the EK's point lies on the curve.
    let seed = agreement::agree(
        ephemeral,
        agreement::UnparsedPublicKey::new(ecdh(point.curve()), point.point()),
        MakeCredentialError::Crypto("ecdh"),
        |z| Ok(kdf_e(hash, z, b"IDENTITY", public.x(), point.x(), bits)?),
    )?;
    let mut encoded = [0; 2 * (2 + Curve::P521.field_len())];
    let mut writer = Writer::new(&mut encoded);
    EccPoint::encode(public.x(), public.y(), &mut writer);
    let encoded = writer
        .finish()
        .map_err(|_| MakeCredentialError::Crypto("encoding"))?;
    Ok(Credential {
        id_object: id_object(ek, &seed, object_name, secret)?,
        encrypted_secret: encoded.to_vec(),
    })
}

fn id_object(
    ek: &CredentialKey,
    seed: &[u8],
    object_name: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, MakeCredentialError> {
    let hash = ek.name_alg;
    let storage = kdf_a(
        hash,
        seed,
        b"STORAGE",
        object_name,
        &[],
        u32::from(ek.symmetric_bits),
    )?;
    let integrity = kdf_a(
        hash,
        seed,
        b"INTEGRITY",
        &[],
        &[],
        hash.digest_len() as u32 * 8,
    )?;
    // 2B(HMAC) and behind it the identity, plain text until the cipher runs over it in place.
    let tag_len = hash.digest_len();
    let mut object = Vec::with_capacity(2 + tag_len + 2 + secret.len());
    object.extend_from_slice(&(tag_len as u16).to_be_bytes());
    object.resize(2 + tag_len, 0);
    object.extend_from_slice(&(secret.len() as u16).to_be_bytes());
    object.extend_from_slice(secret);
    let (head, identity) = object.split_at_mut(2 + tag_len);
    if let Err(error) = aes_cfb(&storage, identity) {
        object.zeroize();
        return Err(error);
    }
    let tag = hash.hmac(&integrity, &[identity, object_name]);
    head.get_mut(2..)
        .unwrap_or_default()
        .copy_from_slice(tag.as_ref());
    Ok(object)
}

/// AES in CFB mode with a zero IV, in place; 16 or 32 bytes of key.
fn aes_cfb(key: &[u8], in_out: &mut [u8]) -> Result<(), MakeCredentialError> {
    let failed = |_| MakeCredentialError::Crypto("aes-cfb");
    let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
    let key = UnboundCipherKey::new(algorithm, key).map_err(failed)?;
    let iv = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    EncryptingKey::cfb128(key)
        .and_then(|key| key.less_safe_encrypt(in_out, iv))
        .map(drop)
        .map_err(failed)
}
