//! Where the private keys of authorities are.
//!
//! The seam is narrow on purpose: a [`Signer`] signs and tells its public key, nothing more, so that a private key need not
//! leave what holds it. [`MemoryKeys`] and [`DiskKeys`] hold them in this process; a PKCS#11 token or a cloud's KMS would map
//! [`KeyManager::create`] to its own key generation, with the key's name as label.

mod disk;
mod local;
mod memory;

use core::fmt;
use std::sync::Arc;

pub use disk::DiskKeys;
pub use local::LocalKey;
pub use memory::MemoryKeys;

use crate::crypto::{Curve, HashAlgorithm, PublicKey, Scheme};

/// A kind of key that authorities can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyType {
    /// ECDSA on P-256 with SHA-256: `ec-p256`.
    #[default]
    EcP256,
    /// ECDSA on P-384 with SHA-384: `ec-p384`.
    EcP384,
    /// RSASSA-PKCS1-v1_5 with SHA-256: `rsa-2048`.
    Rsa2048,
    /// The same with 3072 bits: `rsa-3072`.
    Rsa3072,
    /// The same with 4096 bits: `rsa-4096`.
    Rsa4096,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::EcP256,
        Self::EcP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
    ];

    /// The name in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcP256 => "ec-p256",
            Self::EcP384 => "ec-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    /// The inverse of [`KeyType::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The type of a public key; `None` for one that no authority has.
    #[must_use]
    pub fn of(key: &PublicKey) -> Option<Self> {
        match key {
            PublicKey::Ec(ec) => match ec.curve() {
                Curve::P256 => Some(Self::EcP256),
                Curve::P384 => Some(Self::EcP384),
                Curve::P521 => None,
            },
            PublicKey::Rsa(rsa) => match rsa.bits() {
                2048 => Some(Self::Rsa2048),
                3072 => Some(Self::Rsa3072),
                4096 => Some(Self::Rsa4096),
                _ => None,
            },
            PublicKey::Ed25519(_) => None,
        }
    }

    /// What its signatures are.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::EcP256 => Scheme::Ecdsa(HashAlgorithm::Sha256),
            Self::EcP384 => Scheme::Ecdsa(HashAlgorithm::Sha384),
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => {
                Scheme::RsaPkcs1(HashAlgorithm::Sha256)
            }
        }
    }

    /// The `alg` of RFC 7518 section 3.1 with the same signatures.
    #[must_use]
    pub const fn jws_algorithm(self) -> &'static str {
        match self {
            Self::EcP256 => "ES256",
            Self::EcP384 => "ES384",
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => "RS256",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why there is no key, or no signature.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or directory cannot be read or written.
    #[error("key {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others may read or replace it.
    #[error("key {path}: mode {mode:o} lets others in")]
    Exposed {
        /// Which file or directory.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// What is there is not the key that its name says, or none at all.
    #[error("key {path}: {reason}")]
    Invalid {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another process holds the directory.
    #[error("keys {0}: another process uses them")]
    Locked(String),
    /// No key could be made.
    #[error("could not make an {0} key")]
    Generate(KeyType),
    /// No signature could be made.
    #[error("could not sign with key {0}")]
    Sign(String),
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File { .. } => {
                Some("the directory must be writable for the user that runs assayd")
            }
            Self::Exposed { .. } => Some(
                "chmod 600 the file, 700 the directory; if others may have read it, remove the key: a new authority is made",
            ),
            Self::Invalid { .. } => Some(
                "restore the file from a backup, or remove it: a new authority is made, and the old one stays in the bundle",
            ),
            Self::Locked(_) => Some(
                "does another assayd run with this dataDir? each needs a dataDir, and a keysPath, of its own",
            ),
            Self::Generate(_) | Self::Sign(_) => None,
        }
    }
}

/// A private key that signs, wherever it is.
#[async_trait::async_trait]
pub trait Signer: Send + Sync + fmt::Debug {
    /// The name: [`key_id`] of the public key.
    fn id(&self) -> &str;

    /// What kind of key it is.
    fn key_type(&self) -> KeyType;

    /// Its public key.
    fn public_key(&self) -> &PublicKey;

    /// Signs a message, which is hashed as [`KeyType::scheme`] says. ECDSA signatures are `ECDSA-Sig-Value` in DER, as
    /// certificates hold them and most key services return them.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// Makes, keeps and forgets the private keys of one verifier.
#[async_trait::async_trait]
pub trait KeyManager: Send + Sync + fmt::Debug {
    /// The verifier whose keys these are: 32 hex digits, the same as long as the keys are kept.
    fn replica(&self) -> &str;

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; a key that is returned will be there after a crash, unless this manager forgets by design.
    async fn create(&self, key_type: KeyType) -> Result<Arc<dyn Signer>, KeyError>;

    /// All keys, in no order.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    async fn keys(&self) -> Result<Vec<Arc<dyn Signer>>, KeyError>;

    /// Destroys a key; false when there is none of this name.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    async fn remove(&self, id: &str) -> Result<bool, KeyError>;
}

/// What a key is called everywhere: in the store, as file, as `kid` and as subject key identifier. The first 160 bits of the
/// SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn key_identifier(key: &PublicKey) -> [u8; 20] {
    let mut identifier = [0; 20];
    for (slot, byte) in identifier.iter_mut().zip(key.spki_sha256()) {
        *slot = byte;
    }
    identifier
}

/// [`key_identifier`] as 40 hex digits.
#[must_use]
pub fn key_id(key: &PublicKey) -> String {
    hex::encode(key_identifier(key))
}
