//! Public keys in SSH's form.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::wire::{Reader, WireError};
use crate::crypto::{self, Curve, EcPublicKey, PublicKey, Ready, RsaPublicKey, sha256};

/// Longest key read, bytes: RSA of 8192 bits takes about 1060.
pub const MAX_KEY_LEN: usize = 4096;

/// Why bytes are not a key that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A field is broken.
    #[error("ssh key: {0}")]
    Wire(#[from] WireError),
    /// Longer than [`MAX_KEY_LEN`].
    #[error("ssh key of {0} bytes")]
    TooLong(usize),
    /// DSA, a security key, or what nobody knows.
    #[error(
        "ssh key of type {0:?}: ssh-ed25519, ecdsa-sha2-nistp256/384/521 and ssh-rsa are supported"
    )]
    Type(String),
    /// The name of the curve is not that of the key's type.
    #[error("ssh key: the curve is not that of its type")]
    Curve,
    /// The numbers are not a key.
    #[error("ssh key: {0}")]
    Key(#[from] crypto::KeyError),
    /// A line that is not `type base64 comment`.
    #[error("not a line `type base64 comment` as in a .pub file")]
    Line,
    /// The base64 of a line is that of another type's key.
    #[error("the line says {said:?}, the key in it is {found:?}")]
    LineType {
        /// The line's first word.
        said: String,
        /// The key's own.
        found: String,
    },
}

/// Type and numbers of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp…`.
    Ecdsa(Curve),
    /// `ssh-rsa`: a key, whatever signs with it.
    Rsa,
}

impl KeyType {
    pub(super) const ALL: [Self; 5] = [
        Self::Ed25519,
        Self::Ecdsa(Curve::P256),
        Self::Ecdsa(Curve::P384),
        Self::Ecdsa(Curve::P521),
        Self::Rsa,
    ];

    /// As SSH calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::Ecdsa(Curve::P256) => "ecdsa-sha2-nistp256",
            Self::Ecdsa(Curve::P384) => "ecdsa-sha2-nistp384",
            Self::Ecdsa(Curve::P521) => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
        }
    }

    /// As a certificate of such a key calls itself.
    #[must_use]
    pub const fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P256) => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P384) => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::Ecdsa(Curve::P521) => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
        }
    }

    /// Reads the fields that follow the type, and nothing after them.
    pub(super) fn read(self, reader: &mut Reader<'_>) -> Result<PublicKey, KeyError> {
        match self {
            Self::Ed25519 => {
                let point = reader.string()?;
                let point = point.try_into().map_err(|_| WireError::Number)?;
                Ok(PublicKey::Ed25519(point))
            }
            Self::Ecdsa(curve) => {
                let name = reader.text()?;
                if self.name().strip_prefix("ecdsa-sha2-") != Some(name) {
                    return Err(KeyError::Curve);
                }
                let key = PublicKey::Ec(EcPublicKey::from_point(curve, reader.string()?)?);
                key.check()?;
                Ok(key)
            }
            Self::Rsa => {
                let exponent = reader.positive()?;
                let modulus = reader.positive()?;
                // Five bytes hold the largest exponent that is let in.
                if exponent.len() > 5 {
                    return Err(crypto::KeyError::Exponent.into());
                }
                let exponent = exponent.iter().fold(0, |n, b| n << 8 | u64::from(*b));
                Ok(PublicKey::Rsa(RsaPublicKey::new(modulus, exponent)?))
            }
        }
    }
}

/// A public key, and the bytes that SSH knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    kind: KeyType,
    key: PublicKey,
    blob: Box<[u8]>,
    ready: Ready,
}

impl HostKey {
    /// Reads a key's blob; nothing may follow it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > MAX_KEY_LEN {
            return Err(KeyError::TooLong(blob.len()));
        }
        let mut reader = Reader::new(blob);
        let name = reader.text()?;
        let kind = KeyType::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| KeyError::Type(shown(name)))?;
        let key = kind.read(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            kind,
            key,
            blob: blob.into(),
            ready: Ready::default(),
        })
    }

    /// Of what a certificate says after its type, and the key that was read there: the blob is what a `.pub` file of the key
    /// has.
    pub(super) fn of_fields(
        kind: KeyType,
        key: PublicKey,
        fields: &[u8],
    ) -> Result<Self, KeyError> {
        let name = kind.name().as_bytes();
        let mut blob = (name.len() as u32).to_be_bytes().to_vec();
        blob.extend_from_slice(name);
        blob.extend_from_slice(fields);
        if blob.len() > MAX_KEY_LEN {
            return Err(KeyError::TooLong(blob.len()));
        }
        Ok(Self {
            kind,
            key,
            blob: blob.into(),
            ready: Ready::default(),
        })
    }

    /// Reads a line of a `.pub` file or of `authorized_keys` without options: `type base64 comment`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_line(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(said), Some(text)) = (words.next(), words.next()) else {
            return Err(KeyError::Line);
        };
        let blob = STANDARD.decode(text).map_err(|_| KeyError::Line)?;
        let key = Self::from_blob(&blob)?;
        if key.kind.name() != said {
            return Err(KeyError::LineType {
                said: shown(said),
                found: key.kind.name().to_owned(),
            });
        }
        Ok(key)
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// Its numbers.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The place for what is computed of it to verify with.
    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// As it travels.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// SHA-256 of the blob: what `ssh-keygen -l` shows, in base64.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&[&self.blob])
    }
}

/// A foreign word, short enough for a message.
fn shown(word: &str) -> String {
    word.chars().take(64).collect()
}
