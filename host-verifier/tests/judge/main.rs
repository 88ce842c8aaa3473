//! Everything that judges foreign material, tested as a caller sees it.
//!
//! * `chains`: the path validator, over certificates made by openssl.
//! * `corpus`: real vendors' certificates, when `ASSAY_CORPUS` names them.
//! * `credential`: `MakeCredential` against a TPM that opens it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod chains;
mod corpus;
mod credential;
mod ek;
mod pki;
mod quote;
mod soft;
mod swtpm;
