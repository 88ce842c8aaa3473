//! Public keys out of `TPMT_PUBLIC`.

use assay_common::tpm::{
    alg::{AlgId, EccCurve},
    public::{Parameters, Public, Unique},
};

use crate::crypto::{Curve, EcPublicKey, KeyError, PublicKey, RsaPublicKey, USUAL_MAX_RSA_BITS};

/// Why a public area holds no usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// A curve other than P-256, P-384 and P-521.
    #[error("curve {0} is not supported")]
    Curve(EccCurve),
    /// The modulus is not as long as the parameters say.
    #[error("rsa modulus of {got} bits where the parameters say {stated}")]
    ModulusLength {
        /// Size in the parameters.
        stated: u16,
        /// Size found.
        got: usize,
    },
    /// The numbers are not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Type, parameters and key do not belong together. The view never gives that.
    #[error("object of type {0} is no key")]
    Type(AlgId),
}

/// The key of a public area, independent of the TPM.
///
/// An RSA modulus must be exactly as long as the parameters say; coordinates may lack leading zeros
/// and must be a point of the curve.
///
/// # Errors
/// See [`PublicKeyError`].
pub fn public_key(public: &Public<'_>) -> Result<PublicKey, PublicKeyError> {
    match (public.parameters, public.unique) {
        (Parameters::Rsa { key_bits, .. }, Unique::Rsa(modulus)) => {
            let exponent = public.parameters.rsa_exponent().unwrap_or(65_537);
            let key = RsaPublicKey::new(modulus, u64::from(exponent))?;
            if key.bits() != usize::from(key_bits) {
                return Err(PublicKeyError::ModulusLength {
                    stated: key_bits,
                    got: key.bits(),
                });
            }
            // No TPM has longer ones; a verification's cost grows with the square.
            if key.bits() > USUAL_MAX_RSA_BITS {
                return Err(KeyError::Modulus { bits: key.bits() }.into());
            }
            Ok(PublicKey::Rsa(key))
        }
        (Parameters::Ecc { curve, .. }, Unique::Ecc { x, y }) => {
            let curve = match curve {
                EccCurve::NIST_P256 => Curve::P256,
                EccCurve::NIST_P384 => Curve::P384,
                EccCurve::NIST_P521 => Curve::P521,
                other => return Err(PublicKeyError::Curve(other)),
            };
            let key = PublicKey::Ec(EcPublicKey::new(curve, x, y)?);
            key.check()?;
            Ok(key)
        }
        _ => Err(PublicKeyError::Type(public.object_type)),
    }
}
