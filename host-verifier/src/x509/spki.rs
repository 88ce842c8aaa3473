//! `SubjectPublicKeyInfo`.

use crate::crypto::{Curve, EcPublicKey, KeyError, PublicKey, RsaPublicKey};

use super::{
    Oid,
    der::{DerError, Element, Reader, tag},
};

/// Why a `SubjectPublicKeyInfo` holds no usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpkiError {
    /// The structure is broken.
    #[error("public key info: {0}")]
    Der(#[from] DerError),
    /// The numbers in it are not a key.
    #[error("public key info: {0}")]
    Key(#[from] KeyError),
    /// A key type or curve that is not supported.
    #[error("public key algorithm {0} is not supported")]
    Unsupported(Oid),
}

/// Reads a `SubjectPublicKeyInfo` element.
///
/// RSA keys may be labelled `rsaEncryption` or `id-RSAES-OAEP` (older EK certificates); the
/// parameters of the latter are not interpreted, since the TPM's own public area says how its key
/// is used. Curve points must be uncompressed and the curve named.
///
/// # Errors
/// See [`SpkiError`].
pub fn public_key(element: &Element<'_>) -> Result<PublicKey, SpkiError> {
    let mut info = element.reader();
    let mut algorithm = info.expect(tag::SEQUENCE)?.reader();
    let oid = Oid::from_contents(algorithm.expect(tag::OID)?.contents)?;
    let key = info.bit_string_bytes()?;
    info.finish()?;
    match oid {
        Oid::RSA_ENCRYPTION | Oid::RSAES_OAEP => Ok(PublicKey::Rsa(rsa(key)?)),
        Oid::EC_PUBLIC_KEY => {
            let curve = Oid::from_contents(algorithm.expect(tag::OID)?.contents)?;
            algorithm.finish()?;
            let curve = match curve {
                Oid::P256 => Curve::P256,
                Oid::P384 => Curve::P384,
                Oid::P521 => Curve::P521,
                other => return Err(SpkiError::Unsupported(other)),
            };
            Ok(PublicKey::Ec(EcPublicKey::from_point(curve, key)?))
        }
        Oid::ED25519 => {
            algorithm.finish()?;
            let point = key.try_into().map_err(|_| DerError::Value("ed25519 key"))?;
            Ok(PublicKey::Ed25519(point))
        }
        other => Err(SpkiError::Unsupported(other)),
    }
}

/// Whether the key is labelled `id-RSAES-OAEP`: for encryption only, as the keys of older EK certificates are.
pub(super) fn is_labelled_oaep(info: &Element<'_>) -> bool {
    let algorithm = info.reader().expect(tag::SEQUENCE);
    let oid = algorithm.and_then(|algorithm| algorithm.reader().expect(tag::OID));
    oid.and_then(|oid| Oid::from_contents(oid.contents)) == Ok(Oid::RSAES_OAEP)
}

/// Reads a whole `SubjectPublicKeyInfo`; nothing may follow it.
///
/// # Errors
/// See [`SpkiError`].
pub fn from_der(der: &[u8]) -> Result<PublicKey, SpkiError> {
    let mut reader = Reader::new(der);
    let element = reader.expect(tag::SEQUENCE)?;
    reader.finish()?;
    public_key(&element)
}

/// `RSAPublicKey`, RFC 8017 appendix A.1.1.
fn rsa(der: &[u8]) -> Result<RsaPublicKey, SpkiError> {
    let mut outer = Reader::new(der);
    let mut numbers = outer.expect(tag::SEQUENCE)?.reader();
    outer.finish()?;
    let modulus = numbers.expect(tag::INTEGER)?.contents;
    // A set top bit would make the number negative; such an encoding has been seen from careless
    // encoders, but two readings of one modulus must not exist.
    if modulus.first().is_none_or(|b| b & 0x80 != 0) {
        return Err(DerError::Value("modulus").into());
    }
    let exponent = numbers.small_uint()?;
    numbers.finish()?;
    Ok(RsaPublicKey::new(modulus, exponent)?)
}
