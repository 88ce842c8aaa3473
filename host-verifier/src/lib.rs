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
pub mod clock;
pub mod document;
pub mod policy;
pub mod login;
pub mod session;
pub mod store;
pub mod config;
pub mod server;
pub mod telemetry;
pub mod transport;
pub mod x509;
