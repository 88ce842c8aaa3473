//! What a verifier computes over TPM structures: keys out of public areas, key derivation,
//! `TPM2_MakeCredential` without a TPM, signatures over attestation structures.
//!
//! The structures themselves are views of [`assay_common::tpm`]; everything here is a pure function
//! over them.

pub mod attestation_key;
pub mod kdf;
pub mod key;
pub mod make_credential;
pub mod pcr_text;
pub mod signature;

use assay_common::tpm::alg::AlgId;

pub use attestation_key::{AkError, AttestationKey};
pub use make_credential::{
    Credential, CredentialKey, CredentialKeyError, danger_make_credential_from, make_credential,
};

use crate::crypto::HashAlgorithm;

/// The hash function of a `TPM_ALG_ID`; `None` for anything but SHA-1, SHA-256, SHA-384, SHA-512.
#[must_use]
pub fn hash_algorithm(alg: AlgId) -> Option<HashAlgorithm> {
    match alg {
        AlgId::SHA1 => Some(HashAlgorithm::Sha1),
        AlgId::SHA256 => Some(HashAlgorithm::Sha256),
        AlgId::SHA384 => Some(HashAlgorithm::Sha384),
        AlgId::SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// As [`hash_algorithm`], without SHA-1: what may carry a decision.
#[must_use]
pub fn strong_hash_algorithm(alg: AlgId) -> Option<HashAlgorithm> {
    hash_algorithm(alg).filter(|hash| *hash != HashAlgorithm::Sha1)
}
