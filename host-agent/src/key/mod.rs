//! A private key in a file that signs to show that this node has it: for `x509pop` and `ssh_pop`.

mod host;
mod leaf;
mod openssh;
pub(crate) mod pem;

use std::path::Path;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
        RsaKeyPair,
    },
};
use p384::ecdsa::signature::hazmat::PrehashSigner as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::method::MethodError;
use crate::secret;

pub use host::HostCertificate;
pub(crate) use leaf::first;
pub use leaf::{Leaf, Term};
pub use pem::certificates;

pub(crate) use openssh::element;

/// A named curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Bytes of a number of it.
    const fn len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// With the hash that SSH signs with (RFC 5656 section 6.2.1).
    const fn own_hash(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }
}

/// A private key.
pub enum PrivateKey {
    /// RSA.
    Rsa(RsaKeyPair),
    /// On a curve, as RFC 5915 or RFC 5958 writes it.
    Ec(Curve, Zeroizing<Vec<u8>>),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PrivateKey({})", self.kind())
    }
}

/// Two numbers of an ECDSA signature, big-endian and padded.
pub type Numbers = (Vec<u8>, Vec<u8>);

impl PrivateKey {
    /// Reads a key's file: PKCS#8, PKCS#1, SEC1 or OpenSSH's form, in PEM.
    ///
    /// # Errors
    ///
    /// What is wrong with it: it cannot be read, others may read it, it is encrypted, it holds no key that signs. Nothing of
    /// what is in it.
    pub fn read(path: &Path) -> Result<Self, MethodError> {
        let text = secret::read_text(path)?;
        let shown = path.display();
        Self::from_pem(&text).map_err(|error| {
            MethodError::new(format!("{shown}: {error}"), error.hint(&shown.to_string()))
        })
    }

    fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = pem::private_key(text)?;
        match label {
            "OPENSSH PRIVATE KEY" => openssh::read(&der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der)
                .map(Self::Rsa)
                .map_err(|_| KeyError::Unusable),
            "EC PRIVATE KEY" => Self::ec(der),
            _ => RsaKeyPair::from_pkcs8(&der)
                .map(Self::Rsa)
                .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self::Ed25519))
                .or_else(|_| Self::ec(der)),
        }
    }

    /// The curve is the one that the library reads it for.
    fn ec(der: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let curve = Curve::ALL
            .into_iter()
            .find(|curve| EcdsaKeyPair::from_private_key_der(curve.own_hash(), &der).is_ok());
        curve
            .map(|curve| Self::Ec(curve, der))
            .ok_or(KeyError::Unusable)
    }

    /// What people call it.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Rsa(key) => format!("rsa-{}", key.public_modulus_len() * 8),
            Self::Ec(Curve::P256, _) => "ecdsa-p256".to_owned(),
            Self::Ec(Curve::P384, _) => "ecdsa-p384".to_owned(),
            Self::Ec(Curve::P521, _) => "ecdsa-p521".to_owned(),
            Self::Ed25519(_) => "ed25519".to_owned(),
        }
    }

    /// Whether `certificate` has this key's public half in it: its modulus or its point.
    #[must_use]
    pub fn is_in(&self, certificate: &[u8]) -> bool {
        let public = match self {
            Self::Rsa(key) => key
                .public_key()
                .modulus()
                .big_endian_without_leading_zero()
                .to_vec(),
            Self::Ec(curve, der) => {
                match EcdsaKeyPair::from_private_key_der(curve.own_hash(), der) {
                    Ok(key) => key.public_key().as_ref().to_vec(),
                    Err(_) => return false,
                }
            }
            Self::Ed25519(key) => key.public_key().as_ref().to_vec(),
        };
        certificate
            .windows(public.len())
            .any(|window| window == public)
    }

    /// ECDSA with SHA-256 whatever the curve.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unusable`] for another key, or when the library fails.
    pub fn ecdsa_sha256(&self, message: &[u8]) -> Result<Numbers, KeyError> {
        match self {
            Self::Ec(Curve::P256, der) => ecdsa(
                &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                der,
                message,
                Curve::P256,
            ),
            Self::Ec(Curve::P521, der) => ecdsa(
                &signature::ECDSA_P521_SHA256_FIXED_SIGNING,
                der,
                message,
                Curve::P521,
            ),
            // The library signs on this curve with SHA-384 only.
            Self::Ec(Curve::P384, der) => p384_sha256(der, message),
            _ => Err(KeyError::Unusable),
        }
    }

    /// ECDSA with the hash that goes with the curve.
    ///
    /// # Errors
    ///
    /// As [`Self::ecdsa_sha256`].
    pub fn ecdsa_own_hash(&self, message: &[u8]) -> Result<(Curve, Numbers), KeyError> {
        match self {
            Self::Ec(curve, der) => {
                let numbers = ecdsa(curve.own_hash(), der, message, *curve)?;
                Ok((*curve, numbers))
            }
            _ => Err(KeyError::Unusable),
        }
    }

    /// RSA with one of the paddings.
    ///
    /// # Errors
    ///
    /// As [`Self::ecdsa_sha256`].
    pub fn rsa(
        &self,
        padding: &'static dyn RsaEncoding,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let Self::Rsa(key) = self else {
            return Err(KeyError::Unusable);
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(padding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Unusable)?;
        Ok(signature)
    }
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    der: &[u8],
    message: &[u8],
    curve: Curve,
) -> Result<Numbers, KeyError> {
    let key = EcdsaKeyPair::from_private_key_der(algorithm, der).map_err(|_| KeyError::Unusable)?;
    let signature = key
        .sign(&SystemRandom::new(), message)
        .map_err(|_| KeyError::Unusable)?;
    let (r, s) = signature
        .as_ref()
        .split_at_checked(curve.len())
        .ok_or(KeyError::Unusable)?;
    Ok((r.to_vec(), s.to_vec()))
}

fn p384_sha256(der: &[u8], message: &[u8]) -> Result<Numbers, KeyError> {
    use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
    let key = EcdsaKeyPair::from_private_key_der(Curve::P384.own_hash(), der)
        .map_err(|_| KeyError::Unusable)?;
    let scalar: EcPrivateKeyBin<'_> = key
        .private_key()
        .as_be_bytes()
        .map_err(|_| KeyError::Unusable)?;
    let key =
        p384::ecdsa::SigningKey::from_slice(scalar.as_ref()).map_err(|_| KeyError::Unusable)?;
    let signature: p384::ecdsa::Signature = key
        .sign_prehash(&Sha256::digest(message))
        .map_err(|_| KeyError::Unusable)?;
    let (r, s) = signature.split_bytes();
    Ok((r.to_vec(), s.to_vec()))
}

/// Why there is no key. Nothing of what is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM, or none of a private key.
    #[error("no private key in PEM in it")]
    NotPem,
    /// Whoever starts the agent is not there to say the passphrase.
    #[error("the private key is encrypted")]
    Encrypted,
    /// Of no type that is supported, or broken.
    #[error(
        "not a private key that can be used: RSA, P-256, P-384, P-521 and Ed25519 are supported"
    )]
    Unusable,
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(self, path: &str) -> String {
        match self {
            Self::Encrypted => format!(
                "give the agent a key of its own without a passphrase: openssl pkey -in {path} -out NEW, or ssh-keygen -p -f COPY"
            ),
            Self::NotPem | Self::Unusable => {
                format!("look at it with: openssl pkey -in {path} -noout -text")
            }
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]
mod tests;
