//! TPM structures against bytes of a real TPM, the specification's numbers and hostile input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets the unexpected must stop"
)]

mod attest;
mod codec;
mod credential;
mod fixtures;
mod name;
mod numbers;
mod pcr;
mod public;
mod roundtrip;
mod signature;
mod templates;
