//! A private key in this process.

use core::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::{KeyError, KeyType, Signer, key_id};
use crate::crypto::{Curve, EcPublicKey, PublicKey, RsaPublicKey};
use crate::x509::Oid;
use crate::x509::der::{Reader, tag};

/// A key pair of aws-lc, which wipes it when it is dropped.
pub struct LocalKey {
    pair: Pair,
    key_type: KeyType,
    public: PublicKey,
    id: String,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKey({} {})", self.key_type, self.id)
    }
}

impl LocalKey {
    /// A new key. RSA takes from a tenth of a second to several.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generate`].
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let rsa = |size| RsaKeyPair::generate(size).map(Pair::Rsa);
        let pair = match key_type {
            KeyType::EcP256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Pair::Ec)
            }
            KeyType::EcP384 => {
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Pair::Ec)
            }
            KeyType::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyType::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyType::Rsa4096 => rsa(KeySize::Rsa4096),
        };
        pair.ok()
            .and_then(Self::new)
            .ok_or(KeyError::Generate(key_type))
    }

    /// Reads a PKCS#8 document; the key's type is what the document says. `None` when it is damaged, or no type that
    /// authorities have.
    #[must_use]
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Self::new(match algorithm(der)? {
            Algorithm::Rsa => Pair::Rsa(RsaKeyPair::from_pkcs8(der).ok()?),
            Algorithm::Ec(algorithm) => Pair::Ec(EcdsaKeyPair::from_pkcs8(algorithm, der).ok()?),
        })
    }

    /// Reads the contents of a PEM block by its label: `PRIVATE KEY`, `EC PRIVATE KEY` (RFC 5915) or `RSA PRIVATE KEY`
    /// (RFC 8017).
    #[must_use]
    pub fn from_pem_block(label: &str, contents: &[u8]) -> Option<Self> {
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(contents),
            "EC PRIVATE KEY" => [
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                &ECDSA_P384_SHA384_ASN1_SIGNING,
            ]
            .into_iter()
            .find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, contents).ok())
            .and_then(|pair| Self::new(Pair::Ec(pair))),
            "RSA PRIVATE KEY" => Self::new(Pair::Rsa(RsaKeyPair::from_der(contents).ok()?)),
            _ => None,
        }
    }

    /// The PKCS#8 document, version 1.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generate`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = match &self.pair {
            Pair::Ec(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| der.as_ref().to_vec())
            }
        };
        document
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Generate(self.key_type))
    }

    /// `None` for RSA of another size than authorities have.
    fn new(pair: Pair) -> Option<Self> {
        let public = match &pair {
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let curve = [Curve::P256, Curve::P384]
                    .into_iter()
                    .find(|curve| point.len() == 1 + 2 * curve.field_len())?;
                PublicKey::Ec(EcPublicKey::from_point(curve, point).ok()?)
            }
            Pair::Rsa(pair) => {
                let exponent = pair.public_key().exponent();
                let exponent = exponent.big_endian_without_leading_zero();
                let exponent = (exponent.len() <= 8)
                    .then(|| exponent.iter().fold(0, |n, b| n << 8 | u64::from(*b)))?;
                let modulus = pair.public_key().modulus();
                let modulus = modulus.big_endian_without_leading_zero();
                PublicKey::Rsa(RsaPublicKey::new(modulus, exponent).ok()?)
            }
        };
        Some(Self {
            key_type: KeyType::of(&public)?,
            id: key_id(&public),
            pair,
            public,
        })
    }
}

#[async_trait::async_trait]
impl Signer for LocalKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn key_type(&self) -> KeyType {
        self.key_type
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let failed = |_| KeyError::Sign(self.id.clone());
        match &self.pair {
            Pair::Ec(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

enum Algorithm {
    Rsa,
    Ec(&'static EcdsaSigningAlgorithm),
}

/// The algorithm of a `PrivateKeyInfo`, RFC 5208 section 5.
fn algorithm(der: &[u8]) -> Option<Algorithm> {
    let mut outer = Reader::new(der);
    let mut info = outer.expect(tag::SEQUENCE).ok()?.reader();
    outer.finish().ok()?;
    info.small_uint().ok()?;
    let mut algorithm = info.expect(tag::SEQUENCE).ok()?.reader();
    let mut oid = || Oid::from_contents(algorithm.expect(tag::OID).ok()?.contents).ok();
    match oid()? {
        Oid::RSA_ENCRYPTION => Some(Algorithm::Rsa),
        Oid::EC_PUBLIC_KEY => match oid()? {
            Oid::P256 => Some(Algorithm::Ec(&ECDSA_P256_SHA256_ASN1_SIGNING)),
            Oid::P384 => Some(Algorithm::Ec(&ECDSA_P384_SHA384_ASN1_SIGNING)),
            _ => None,
        },
        _ => None,
    }
}
