//! The technician's console on the host: typed at over a serial line in memory, with a model of a TPM behind it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests: a panic is the failure report"
)]

mod commands;
mod desk;
#[path = "../tpm/model.rs"]
#[allow(dead_code, reason = "the driver's own tests use the rest")]
mod model;
mod protection;
mod provisioning;
mod sick_tpm;
mod tpm;
