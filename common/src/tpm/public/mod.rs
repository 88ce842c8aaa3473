//! Public areas: what a key is, as the TPM describes it.
//!
//! [`Public`] is a view of a `TPMT_PUBLIC` of type RSA or ECC; [`templates`] has the public areas
//! that keys are created from. The bytes of a view are kept ([`Public::raw`]), because the
//! [`Name`](super::name::Name) of the key is a hash over exactly them.

pub mod templates;

use core::fmt;

use super::alg::{AlgId, EccCurve};
use super::attributes::ObjectAttributes;
use super::codec::{DecodeError, EncodeError, Reader, Writer};

/// Longest digest, and so longest policy, in bytes (SHA-512).
const MAX_DIGEST: usize = 64;
/// Longest RSA modulus, in bytes (RSA-4096).
const MAX_RSA: usize = 512;
/// Longest coordinate, in bytes (P-521).
const MAX_ECC: usize = 66;

/// Why bytes are not a public area that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicError {
    /// Not a whole structure, or more than one.
    Decode(DecodeError),
    /// An object type, scheme or cipher whose structure is not known here, by its number.
    Unsupported(AlgId),
}

impl From<DecodeError> for PublicError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for PublicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "public area: {error}"),
            Self::Unsupported(alg) => write!(f, "public area: algorithm {alg} not supported"),
        }
    }
}

impl core::error::Error for PublicError {}

/// View of a `TPMT_PUBLIC` ([TPM2.0 1.83 Part 2] 12.2.4).
///
/// Proves that the bytes are one well-formed public area of an RSA or ECC object. It proves
/// nothing about the key: attribute, size, curve and point checks are the verifier's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public<'a> {
    raw: &'a [u8],
    /// [`AlgId::RSA`] or [`AlgId::ECC`].
    pub object_type: AlgId,
    /// Hash of the Name and of the policy; any number.
    pub name_alg: AlgId,
    /// What the key may do.
    pub attributes: ObjectAttributes,
    /// Policy digest, 0 to 64 bytes; empty means "no policy".
    pub auth_policy: &'a [u8],
    /// Algorithm parameters; the variant always goes with `object_type`.
    pub parameters: Parameters,
    /// The public key itself; the variant always goes with `object_type`.
    pub unique: Unique<'a>,
}

/// `TPMU_PUBLIC_PARMS` of the supported types ([TPM2.0 1.83 Part 2] 12.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// `TPMS_RSA_PARMS`.
    Rsa {
        /// Cipher for what the key protects; [`Symmetric::NULL`] unless it is a restricted
        /// decryption key.
        symmetric: Symmetric,
        /// Signing or encryption scheme.
        scheme: Scheme,
        /// Size of the modulus in bits.
        key_bits: u16,
        /// Public exponent as on the wire, where 0 stands for 65,537; see
        /// [`Parameters::rsa_exponent`].
        exponent: u32,
    },
    /// `TPMS_ECC_PARMS`.
    Ecc {
        /// Cipher for what the key protects; [`Symmetric::NULL`] unless it is a restricted
        /// decryption key.
        symmetric: Symmetric,
        /// Signing or key-agreement scheme.
        scheme: Scheme,
        /// Curve.
        curve: EccCurve,
        /// Key derivation function, [`Scheme::NULL`] in every key seen so far.
        kdf: Scheme,
    },
}

impl Parameters {
    /// The cipher of either type.
    #[must_use]
    pub const fn symmetric(&self) -> Symmetric {
        match self {
            Self::Rsa { symmetric, .. } | Self::Ecc { symmetric, .. } => *symmetric,
        }
    }

    /// The scheme of either type.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Rsa { scheme, .. } | Self::Ecc { scheme, .. } => *scheme,
        }
    }

    /// Public exponent of an RSA key with the wire's 0 read as 65,537; `None` for ECC.
    #[must_use]
    pub const fn rsa_exponent(&self) -> Option<u32> {
        match self {
            Self::Rsa { exponent: 0, .. } => Some(65_537),
            Self::Rsa { exponent, .. } => Some(*exponent),
            Self::Ecc { .. } => None,
        }
    }
}

/// `TPMU_PUBLIC_ID` of the supported types ([TPM2.0 1.83 Part 2] 12.2.3.2).
///
/// Lengths are as on the wire: a template has empty or zero fields here, and a chip may leave out
/// leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique<'a> {
    /// Modulus, big-endian, 0 to 512 bytes.
    Rsa(&'a [u8]),
    /// Point.
    Ecc {
        /// First coordinate, big-endian, 0 to 66 bytes.
        x: &'a [u8],
        /// Second coordinate, big-endian, 0 to 66 bytes.
        y: &'a [u8],
    },
}

/// `TPMT_SYM_DEF_OBJECT` ([TPM2.0 1.83 Part 2] 11.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symmetric {
    /// Cipher, or [`AlgId::NULL`].
    pub alg: AlgId,
    /// Key size in bits; 0 when there is no cipher.
    pub key_bits: u16,
    /// Mode, or [`AlgId::NULL`] when there is no cipher.
    pub mode: AlgId,
}

impl Symmetric {
    /// No cipher.
    pub const NULL: Self = Self {
        alg: AlgId::NULL,
        key_bits: 0,
        mode: AlgId::NULL,
    };

    fn encode(self, w: &mut Writer<'_>) {
        w.u16(self.alg.0);
        if self.alg != AlgId::NULL {
            w.u16(self.key_bits);
            w.u16(self.mode.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, PublicError> {
        match AlgId(r.u16()?) {
            AlgId::NULL => Ok(Self::NULL),
            // Its parameter is a hash in place of size and mode, and no object may have it.
            AlgId::XOR => Err(PublicError::Unsupported(AlgId::XOR)),
            // Every block cipher of the registry has this shape, also those not listed here.
            alg => Ok(Self {
                alg,
                key_bits: r.u16()?,
                mode: AlgId(r.u16()?),
            }),
        }
    }
}

/// `TPMT_RSA_SCHEME`, `TPMT_ECC_SCHEME` or `TPMT_KDF_SCHEME` ([TPM2.0 1.83 Part 2] 11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// Scheme, or [`AlgId::NULL`].
    pub alg: AlgId,
    /// Its hash, or [`AlgId::NULL`] for schemes without one.
    pub hash: AlgId,
}

impl Scheme {
    /// No scheme.
    pub const NULL: Self = Self {
        alg: AlgId::NULL,
        hash: AlgId::NULL,
    };

    /// `alg` with `hash`.
    #[must_use]
    pub const fn new(alg: AlgId, hash: AlgId) -> Self {
        Self { alg, hash }
    }

    fn encode_asymmetric(self, w: &mut Writer<'_>) {
        w.u16(self.alg.0);
        if !matches!(self.alg, AlgId::NULL | AlgId::RSAES) {
            w.u16(self.hash.0);
        }
    }

    fn encode_kdf(self, w: &mut Writer<'_>) {
        w.u16(self.alg.0);
        // RSAES has no hash as an asymmetric scheme; as a KDF it is a number like any other.
        if self.alg != AlgId::NULL {
            w.u16(self.hash.0);
        }
    }

    fn read_asymmetric(r: &mut Reader<'_>) -> Result<Self, PublicError> {
        let alg = AlgId(r.u16()?);
        match alg {
            AlgId::NULL | AlgId::RSAES => Ok(Self::new(alg, AlgId::NULL)),
            AlgId::RSASSA
            | AlgId::RSAPSS
            | AlgId::OAEP
            | AlgId::ECDSA
            | AlgId::ECDH
            | AlgId::SM2
            | AlgId::ECSCHNORR
            | AlgId::ECMQV => Ok(Self::new(alg, AlgId(r.u16()?))),
            // ECDAA has a counter besides the hash, and an unknown scheme may have anything: to
            // guess the length would be to read the key from the wrong place.
            _ => Err(PublicError::Unsupported(alg)),
        }
    }

    fn read_kdf(r: &mut Reader<'_>) -> Result<Self, PublicError> {
        match AlgId(r.u16()?) {
            AlgId::NULL => Ok(Self::NULL),
            // All of TPMU_KDF_SCHEME is TPMS_SCHEME_HASH.
            alg => Ok(Self::new(alg, AlgId(r.u16()?))),
        }
    }
}

impl<'a> Public<'a> {
    /// Reads a `TPMT_PUBLIC` that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`PublicError::Decode`] when the bytes are not exactly one structure;
    /// [`PublicError::Unsupported`] for an object type other than RSA and ECC, and for schemes
    /// whose structure is not known, with the number.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PublicError> {
        let mut r = Reader::new(bytes);
        let public = Self::read(&mut r)?;
        r.finish()?;
        Ok(public)
    }

    /// Reads a `TPM2B_PUBLIC` (16-bit length in front) that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_tpm2b(bytes: &'a [u8]) -> Result<Self, PublicError> {
        let mut r = Reader::new(bytes);
        let content = r.tpm2b()?;
        r.finish()?;
        Self::parse(content)
    }

    /// Takes a `TPMT_PUBLIC` from the front of `r`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but bytes may follow.
    pub fn read(r: &mut Reader<'a>) -> Result<Self, PublicError> {
        let start = r.clone();
        let object_type = AlgId(r.u16()?);
        let name_alg = AlgId(r.u16()?);
        let attributes = ObjectAttributes(r.u32()?);
        let auth_policy = r.tpm2b_max(MAX_DIGEST)?;
        let (parameters, unique) = match object_type {
            AlgId::RSA => (
                Parameters::Rsa {
                    symmetric: Symmetric::read(r)?,
                    scheme: Scheme::read_asymmetric(r)?,
                    key_bits: r.u16()?,
                    exponent: r.u32()?,
                },
                Unique::Rsa(r.tpm2b_max(MAX_RSA)?),
            ),
            AlgId::ECC => (
                Parameters::Ecc {
                    symmetric: Symmetric::read(r)?,
                    scheme: Scheme::read_asymmetric(r)?,
                    curve: EccCurve(r.u16()?),
                    kdf: Scheme::read_kdf(r)?,
                },
                Unique::Ecc {
                    x: r.tpm2b_max(MAX_ECC)?,
                    y: r.tpm2b_max(MAX_ECC)?,
                },
            ),
            other => return Err(PublicError::Unsupported(other)),
        };
        Ok(Self {
            raw: r.since(&start),
            object_type,
            name_alg,
            attributes,
            auth_policy,
            parameters,
            unique,
        })
    }

    /// The bytes as received, without a length in front.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Writes a `TPMT_PUBLIC`; the object type is that of `parameters`.
    ///
    /// Lengths are not checked against the algorithms: what is written is what was asked for.
    /// Fails with [`EncodeError::Value`] when `unique` is of the other type.
    pub fn encode(
        name_alg: AlgId,
        attributes: ObjectAttributes,
        auth_policy: &[u8],
        parameters: &Parameters,
        unique: &Unique<'_>,
        w: &mut Writer<'_>,
    ) {
        w.u16(match parameters {
            Parameters::Rsa { .. } => AlgId::RSA.0,
            Parameters::Ecc { .. } => AlgId::ECC.0,
        });
        w.u16(name_alg.0);
        w.u32(attributes.0);
        w.tpm2b(auth_policy);
        parameters.symmetric().encode(w);
        parameters.scheme().encode_asymmetric(w);
        match (parameters, unique) {
            (
                Parameters::Rsa {
                    key_bits, exponent, ..
                },
                Unique::Rsa(modulus),
            ) => {
                w.u16(*key_bits);
                w.u32(*exponent);
                w.tpm2b(modulus);
            }
            (Parameters::Ecc { curve, kdf, .. }, Unique::Ecc { x, y }) => {
                w.u16(curve.0);
                kdf.encode_kdf(w);
                w.tpm2b(x);
                w.tpm2b(y);
            }
            _ => w.fail(EncodeError::Value),
        }
    }
}
