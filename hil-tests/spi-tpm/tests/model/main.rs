//! The model from outside: frames byte by byte, the FIFO's states, a real software TPM behind it, and every fault.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed unwrap is the test's failure"
)]

mod adapters;
mod faults;
mod fifo;
mod frames;
mod host;
mod processes;
mod robustness;
mod silicon;
mod software_tpm;
