//! What Assay's programs on a host share, whichever side of a login they are on.
//!
//! * [`document`]: YAML documents with errors that say where, and what to do.
//! * [`TlsFault`]: why a TLS connection is none.
//! * `http`: requests to other services, with an end to everything.
//! * `log`: one JSON object per line.
//! * `supervisor`: what systemd is told.
//! * `cli`: how commands answer.
//!
//! Nothing here knows of logins, proofs or policies. All but the documents and that word is behind a feature of the same name, so that
//! who parses only builds a parser only.

#![forbid(unsafe_code)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod document;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "supervisor")]
pub mod supervisor;
mod tls_fault;

pub use tls_fault::TlsFault;
