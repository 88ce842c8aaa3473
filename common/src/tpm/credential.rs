//! Credential blobs: the envelope of `TPM2_MakeCredential` and `TPM2_ActivateCredential`.
//!
//! Structure only. The secrets inside are made by the verifier and opened by the TPM
//! ([TPM2.0 1.83 Part 1] 24); nothing here encrypts or computes an HMAC.

use core::fmt;

use super::codec::{DecodeError, Reader, Writer};

/// Longest digest, in bytes (SHA-512).
const MAX_DIGEST: usize = 64;
/// Longest coordinate, in bytes (P-521).
const MAX_ECC: usize = 66;

/// Longest content of a `TPM2B_ID_OBJECT`: an HMAC and an encrypted digest, each with its length.
pub const MAX_ID_OBJECT: usize = 2 * (2 + MAX_DIGEST);

/// Longest content of a `TPM2B_ENCRYPTED_SECRET`: one RSA-4096 block, or a P-521 point.
pub const MAX_ENCRYPTED_SECRET: usize = 512;

/// Why bytes are not a credential blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialError {
    /// Not a whole structure, or more than one.
    Decode(DecodeError),
    /// The HMAC has the size of no hash, with that size.
    HmacLen(u8),
    /// The encrypted part cannot hold a length and a digest, with its size (255 for any above).
    IdentityLen(u8),
}

impl From<DecodeError> for CredentialError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "credential blob: {error}"),
            Self::HmacLen(n) => write!(f, "credential blob: HMAC of {n} bytes"),
            Self::IdentityLen(n) => write!(f, "credential blob: encrypted part of {n} bytes"),
        }
    }
}

impl core::error::Error for CredentialError {}

/// View of the content of a `TPM2B_ID_OBJECT`, a `TPMS_ID_OBJECT`
/// ([TPM2.0 1.83 Part 2] 12.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdObject<'a> {
    raw: &'a [u8],
    /// HMAC over the encrypted part and the AK's Name: 20, 32, 48 or 64 bytes.
    pub integrity_hmac: &'a [u8],
    /// The encrypted credential, its own 2-byte length included: 3 to 66 bytes. On the wire it has
    /// no length in front.
    pub enc_identity: &'a [u8],
}

impl<'a> IdObject<'a> {
    /// Reads the content of a `TPM2B_ID_OBJECT`, all of `bytes`.
    ///
    /// # Errors
    /// [`CredentialError::HmacLen`] and [`CredentialError::IdentityLen`] for sizes that no hash
    /// gives; [`CredentialError::Decode`] when the bytes end too early.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CredentialError> {
        let mut r = Reader::new(bytes);
        let integrity_hmac = r.tpm2b_max(MAX_DIGEST)?;
        let enc_identity = r.rest();
        if !matches!(integrity_hmac.len(), 20 | 32 | 48 | 64) {
            return Err(CredentialError::HmacLen(small(integrity_hmac.len())));
        }
        if !(3..=2 + MAX_DIGEST).contains(&enc_identity.len()) {
            return Err(CredentialError::IdentityLen(small(enc_identity.len())));
        }
        Ok(Self {
            raw: bytes,
            integrity_hmac,
            enc_identity,
        })
    }

    /// The bytes as received.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Writes the content of a `TPM2B_ID_OBJECT`, which [`parse`](Self::parse) reads.
    pub fn encode(integrity_hmac: &[u8], enc_identity: &[u8], w: &mut Writer<'_>) {
        w.tpm2b(integrity_hmac);
        w.put(enc_identity);
    }
}

/// View of a `TPMS_ECC_POINT` ([TPM2.0 1.83 Part 2] 11.2.5.2): the content of a
/// `TPM2B_ENCRYPTED_SECRET` for an ECC key. For an RSA key the content is one OAEP block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EccPoint<'a> {
    /// First coordinate, big-endian, 0 to 66 bytes.
    pub x: &'a [u8],
    /// Second coordinate, big-endian, 0 to 66 bytes.
    pub y: &'a [u8],
}

impl<'a> EccPoint<'a> {
    /// Reads a point that fills `bytes` exactly. Whether it is on the curve is not checked.
    ///
    /// # Errors
    /// [`CredentialError::Decode`] when the bytes are not exactly one structure.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CredentialError> {
        let mut r = Reader::new(bytes);
        let point = Self {
            x: r.tpm2b_max(MAX_ECC)?,
            y: r.tpm2b_max(MAX_ECC)?,
        };
        r.finish()?;
        Ok(point)
    }

    /// Writes a point, which [`parse`](Self::parse) reads.
    pub fn encode(x: &[u8], y: &[u8], w: &mut Writer<'_>) {
        w.tpm2b(x);
        w.tpm2b(y);
    }
}

fn small(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}
