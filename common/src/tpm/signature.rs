//! Signatures as a TPM writes them.

use core::fmt;

use super::alg::{AlgId, EccCurve};
use super::codec::{DecodeError, Reader, Writer, copy};

/// Longest RSA signature, in bytes (RSA-4096).
const MAX_RSA: usize = 512;
/// Longest scalar, in bytes (P-521).
const MAX_ECC: usize = 66;

/// Why bytes are not a signature that can be checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureError {
    /// Not a whole structure, or more than one.
    Decode(DecodeError),
    /// A scheme that is not RSASSA, RSAPSS or ECDSA, by its number.
    Unsupported(AlgId),
    /// Not an ECDSA signature, or one whose `r` or `s` is zero or longer than the curve's field.
    Scalar,
}

impl From<DecodeError> for SignatureError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "signature: {error}"),
            Self::Unsupported(alg) => write!(f, "signature: scheme {alg} not supported"),
            Self::Scalar => f.write_str("signature: r or s does not fit the curve"),
        }
    }
}

impl core::error::Error for SignatureError {}

/// View of a `TPMT_SIGNATURE` ([TPM2.0 1.83 Part 2] 11.3.4).
///
/// Proves structure only. The verifier must still compare scheme and hash with those of the key's
/// public area: a signature must not choose how it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature<'a> {
    /// RSASSA-PKCS1-v1_5.
    Rsassa {
        /// Hash that was signed.
        hash: AlgId,
        /// Signature, big-endian, 0 to 512 bytes.
        sig: &'a [u8],
    },
    /// RSASSA-PSS; the salt is as long as the hash, or the longest that fits, by the TPM's mode.
    Rsapss {
        /// Hash that was signed.
        hash: AlgId,
        /// Signature, big-endian, 0 to 512 bytes.
        sig: &'a [u8],
    },
    /// ECDSA.
    Ecdsa {
        /// Hash that was signed.
        hash: AlgId,
        /// First scalar, big-endian, 0 to 66 bytes; a chip may leave out leading zeros.
        r: &'a [u8],
        /// Second scalar, likewise.
        s: &'a [u8],
    },
}

impl<'a> Signature<'a> {
    /// Reads a `TPMT_SIGNATURE` that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`SignatureError::Unsupported`] for any other scheme, `TPM_ALG_NULL` among them;
    /// [`SignatureError::Decode`] when the bytes are not exactly one structure.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SignatureError> {
        let mut r = Reader::new(bytes);
        let signature = Self::read(&mut r)?;
        r.finish()?;
        Ok(signature)
    }

    /// Takes a `TPMT_SIGNATURE` from the front of `r`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but bytes may follow.
    pub fn read(r: &mut Reader<'a>) -> Result<Self, SignatureError> {
        let alg = AlgId(r.u16()?);
        match alg {
            AlgId::RSASSA => Ok(Self::Rsassa {
                hash: AlgId(r.u16()?),
                sig: r.tpm2b_max(MAX_RSA)?,
            }),
            AlgId::RSAPSS => Ok(Self::Rsapss {
                hash: AlgId(r.u16()?),
                sig: r.tpm2b_max(MAX_RSA)?,
            }),
            AlgId::ECDSA => Ok(Self::Ecdsa {
                hash: AlgId(r.u16()?),
                r: r.tpm2b_max(MAX_ECC)?,
                s: r.tpm2b_max(MAX_ECC)?,
            }),
            _ => Err(SignatureError::Unsupported(alg)),
        }
    }

    /// Writes the `TPMT_SIGNATURE`. Lengths are not checked.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.scheme().0);
        w.u16(self.hash().0);
        match self {
            Self::Rsassa { sig, .. } | Self::Rsapss { sig, .. } => w.tpm2b(sig),
            Self::Ecdsa { r, s, .. } => {
                w.tpm2b(r);
                w.tpm2b(s);
            }
        }
    }

    /// Number of the scheme.
    #[must_use]
    pub const fn scheme(&self) -> AlgId {
        match self {
            Self::Rsassa { .. } => AlgId::RSASSA,
            Self::Rsapss { .. } => AlgId::RSAPSS,
            Self::Ecdsa { .. } => AlgId::ECDSA,
        }
    }

    /// Hash that was signed, of any scheme.
    #[must_use]
    pub const fn hash(&self) -> AlgId {
        match self {
            Self::Rsassa { hash, .. } | Self::Rsapss { hash, .. } | Self::Ecdsa { hash, .. } => {
                *hash
            }
        }
    }

    /// `r ‖ s` of an ECDSA signature at the curve's full width, in `out`: the fixed form that
    /// verification libraries take. Leading zeros that a chip left out are put back; this is the
    /// one place where a length is mended, since the number stays the same.
    ///
    /// # Errors
    /// [`SignatureError::Scalar`] for other schemes, for curves not known here, when `r` or `s` is
    /// zero or longer than the field, and when `out` is shorter than two fields. Whether they are
    /// below the group order is the verification's to check.
    pub fn ecdsa_fixed<'o>(
        &self,
        curve: EccCurve,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], SignatureError> {
        let (Self::Ecdsa { r, s, .. }, Some(len)) = (self, curve.field_len()) else {
            return Err(SignatureError::Scalar);
        };
        let out = out.get_mut(..2 * len).ok_or(SignatureError::Scalar)?;
        let (high, low) = out
            .split_at_mut_checked(len)
            .ok_or(SignatureError::Scalar)?;
        put_scalar(r, high)?;
        put_scalar(s, low)?;
        Ok(out)
    }
}

fn put_scalar(scalar: &[u8], field: &mut [u8]) -> Result<(), SignatureError> {
    let zeros = field
        .len()
        .checked_sub(scalar.len())
        .ok_or(SignatureError::Scalar)?;
    let (pad, digits) = field
        .split_at_mut_checked(zeros)
        .ok_or(SignatureError::Scalar)?;
    if scalar.iter().all(|&byte| byte == 0) {
        return Err(SignatureError::Scalar);
    }
    pad.fill(0);
    copy(digits, scalar);
    Ok(())
}
