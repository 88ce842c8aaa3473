//! SPIFFE identities: so far, requests read and verified.
pub mod csr;
pub use csr::{CsrError, VerifiedKey, verify_csr};
