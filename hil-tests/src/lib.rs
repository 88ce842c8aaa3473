//! Assay's scenarios: the same logins and the same faults in plain `cargo test`, in QEMU and on a bench.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@bench`] | a real board: probe-rs and the real serial port |
//! | [`board`] | what `boards/*` says of itself: build, lint, sizes |
//! | [`qemu`] | QEMU machines with a TPM, as processes that end with their owner |
//! | [`manufacture`] | software TPMs with a certificate of their own CA |
//! | [`measure`] | sizes, stacks, SPI bytes, instructions |
//! | [`soak`] | thousands of logins in virtual time, with faults at random |
//! | [`scenario`] | a verifier, a TPM and a board put together, and what they do |
//!
//! The model of an SPI TPM is a crate of its own (`assay-spi-tpm`), since the QEMU overlay uses it as well.

pub mod bench;
pub mod board;
pub mod manufacture;
pub mod measure;
pub mod qemu;
pub mod scenario;
pub mod soak;
