//! `tpm_ek`: which TPM this is, and that a fresh attestation key lives in it.
#![doc = include_str!("README.md")]

pub mod certificate;
