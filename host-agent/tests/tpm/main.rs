//! The way to a TPM through the TSS, over a software TPM and a real resource manager.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod devid_files;
mod evidence;
mod resource_manager;
mod swtpm;
mod tcti;
