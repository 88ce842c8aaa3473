//! Assay's verifier: judges the proofs that agents send, and issues sessions.
//!
//! * [`crypto`], [`x509`], [`tpm`]: primitives, certificates, TPM structures; pure functions.
//! * [`attestor`]: one folder per attestation method: payload in, challenge out, claims out.
//! * [`cli`]: the `assay` command.

pub mod attestor;
pub mod blobs;
pub mod cli;
pub mod crypto;
pub mod random;
pub mod tpm;
pub mod x509;
