//! Cryptographic primitives behind types: public keys, hashes, signature verification.
//!
//! Everything here is a thin, total layer over aws-lc-rs. It adds what a judge of foreign
//! material needs and the library leaves open: limits on key sizes before any arithmetic, a
//! refusal of schemes that do not fit the key type, and names for the reasons. X.509
//! ([`crate::x509`]) and TPM structures ([`crate::tpm`]) both reduce to the [`PublicKey`] here, so
//! "the same key" is one comparison.

pub(crate) mod encode;
mod hash;
mod key;
mod ready;
mod recent;
mod roca;
pub mod seal;
mod seen;
mod verify;

pub use hash::{Digest, HashAlgorithm, sha256};
pub use key::{Curve, ED25519_LEN, EcPublicKey, KeyError, PublicKey, RsaPublicKey};
pub use ready::Ready;
pub use recent::Known;
pub use roca::has_roca_fingerprint;
pub use seen::Seen;
pub use verify::{
    Legacy, MAX_RSA_BITS, MIN_LEGACY_RSA_BITS, MIN_RSA_BITS, PssSalt, Scheme, USUAL_MAX_RSA_BITS,
    VerifyError, ecdsa_signature_der, verify,
};
