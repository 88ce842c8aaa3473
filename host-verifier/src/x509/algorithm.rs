//! Signature algorithm identifiers.

use crate::crypto::{HashAlgorithm, PssSalt, Scheme};

use super::{
    Oid,
    der::{DerError, Element, Reader, tag},
};

/// The algorithm a certificate is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// One that can be verified.
    Known(Scheme),
    /// Any other, by its identifier.
    Unsupported(Oid),
}

impl SignatureAlgorithm {
    /// Reads an `AlgorithmIdentifier`.
    ///
    /// Parameters of algorithms that have none may be absent or NULL, both occur.
    ///
    /// # Errors
    /// [`DerError`] when the structure is broken; an unknown algorithm is not an error.
    pub fn from_element(element: &Element<'_>) -> Result<Self, DerError> {
        let mut reader = element.reader();
        let oid = Oid::from_contents(reader.expect(tag::OID)?.contents)?;
        let scheme = match oid {
            Oid::SHA1_WITH_RSA => Scheme::RsaPkcs1(HashAlgorithm::Sha1),
            Oid::SHA256_WITH_RSA => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
            Oid::SHA384_WITH_RSA => Scheme::RsaPkcs1(HashAlgorithm::Sha384),
            Oid::SHA512_WITH_RSA => Scheme::RsaPkcs1(HashAlgorithm::Sha512),
            Oid::ECDSA_WITH_SHA1 => Scheme::Ecdsa(HashAlgorithm::Sha1),
            Oid::ECDSA_WITH_SHA256 => Scheme::Ecdsa(HashAlgorithm::Sha256),
            Oid::ECDSA_WITH_SHA384 => Scheme::Ecdsa(HashAlgorithm::Sha384),
            Oid::ECDSA_WITH_SHA512 => Scheme::Ecdsa(HashAlgorithm::Sha512),
            Oid::RSASSA_PSS => {
                return Ok(match pss(&mut reader)? {
                    Some(scheme) => Self::Known(scheme),
                    None => Self::Unsupported(oid),
                });
            }
            // RFC 8410 section 3: the parameters must be absent.
            Oid::ED25519 => {
                reader.finish()?;
                return Ok(Self::Known(Scheme::Ed25519));
            }
            other => return Ok(Self::Unsupported(other)),
        };
        if let Some(parameters) = reader.optional(tag::NULL)?
            && !parameters.contents.is_empty()
        {
            return Err(DerError::Value("algorithm parameters"));
        }
        reader.finish()?;
        Ok(Self::Known(scheme))
    }
}

impl core::fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Known(Scheme::RsaPkcs1(hash)) => write!(f, "rsa-pkcs1-{hash}"),
            Self::Known(Scheme::RsaPss(hash, _)) => write!(f, "rsa-pss-{hash}"),
            Self::Known(Scheme::Ecdsa(hash)) => write!(f, "ecdsa-{hash}"),
            Self::Known(Scheme::Ed25519) => f.write_str("ed25519"),
            Self::Unsupported(oid) => write!(f, "{oid}"),
        }
    }
}

/// `RSASSA-PSS-params`, RFC 4055 section 3.1. `None` for what is well-formed and not supported:
/// an MGF1 hash that differs from the message hash, another trailer, an unknown hash.
fn pss(reader: &mut Reader<'_>) -> Result<Option<Scheme>, DerError> {
    let mut parameters = reader.expect(tag::SEQUENCE)?.reader();
    reader.finish()?;

    let hash = match parameters.optional(tag::constructed(0))? {
        Some(wrapped) => hash(&wrapped.reader().expect(tag::SEQUENCE)?)?,
        None => Some(HashAlgorithm::Sha1),
    };
    let mask = match parameters.optional(tag::constructed(1))? {
        Some(wrapped) => {
            let mut mgf = wrapped.reader().expect(tag::SEQUENCE)?.reader();
            let oid = Oid::from_contents(mgf.expect(tag::OID)?.contents)?;
            let inner = hash_of(&mut mgf)?;
            if oid == Oid::MGF1 { inner } else { None }
        }
        None => Some(HashAlgorithm::Sha1),
    };
    let salt = match parameters.optional(tag::constructed(2))? {
        Some(wrapped) => wrapped.reader().small_uint()?,
        None => 20,
    };
    let trailer = match parameters.optional(tag::constructed(3))? {
        Some(wrapped) => wrapped.reader().small_uint()?,
        None => 1,
    };
    parameters.finish()?;
    Ok(match (hash, mask, u16::try_from(salt), trailer) {
        (Some(hash), Some(mask), Ok(salt), 1) if hash == mask => {
            Some(Scheme::RsaPss(hash, PssSalt::Exactly(salt)))
        }
        _ => None,
    })
}

fn hash_of(reader: &mut Reader<'_>) -> Result<Option<HashAlgorithm>, DerError> {
    let element = reader.expect(tag::SEQUENCE)?;
    reader.finish()?;
    hash(&element)
}

fn hash(element: &Element<'_>) -> Result<Option<HashAlgorithm>, DerError> {
    let oid = Oid::from_contents(element.reader().expect(tag::OID)?.contents)?;
    Ok(match oid {
        Oid::SHA1 => Some(HashAlgorithm::Sha1),
        Oid::SHA256 => Some(HashAlgorithm::Sha256),
        Oid::SHA384 => Some(HashAlgorithm::Sha384),
        Oid::SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    })
}
