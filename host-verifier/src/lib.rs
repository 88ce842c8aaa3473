//! Assay's verifier: judges the proofs that agents send, and issues sessions.
//!
//! * [`crypto`], [`x509`], [`ssh`], [`tpm`]: primitives, certificates, TPM structures; pure functions.
//! * [`cms`]: documents that clouds sign. [`jwt`]: signed tokens of other issuers.
//! * [`attestor`]: one folder per attestation method: payload in, challenge out, claims out.
//! * [`policy`]: which proofs a cluster accepts; [`login`]: how an agent gives them; [`session`]: what it gets.
//! * [`svid`]: authorities, X.509-SVIDs, JWT-SVIDs, the trust bundle.
//! * [`store`], [`transport`], [`telemetry`], [`config`]: what surrounds a login; [`server`] wires it together.
//! * [`api`]: HTTPS around all of that.
//! * [`outside`]: what a method asks of others, and by which rules; [`cloud`]: what of that it asks of clouds' APIs.
//! * [`document`], [`blobs`], [`clock`], [`random`]: what several of these need.
//! * [`cli`]: the `assay` command.
//!
//! `api`, `cli`, `server` and the SQLite store need the feature `service`, which is on unless it is switched off.

#[cfg(feature = "service")]
pub mod api;
pub mod attestor;
#[cfg(feature = "service")]
pub mod audit;
mod base64_text;
pub mod blobs;
#[cfg(feature = "service")]
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod cms;
pub mod config;
pub mod crypto;
pub mod document;
pub mod join_token;
pub mod jwt;
pub mod login;
pub mod outside;
pub mod policy;
pub mod random;
#[cfg(feature = "service")]
pub mod server;
pub mod session;
pub mod spire;
pub mod ssh;
pub mod store;
pub mod svid;
pub mod telemetry;
mod text;
pub mod token_text;
pub mod tpm;
pub mod transport;
pub mod x509;

#[cfg(feature = "service")]
pub use assay_host::http;
