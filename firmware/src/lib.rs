//! Assay's agent for boards: proves to a verifier which TPM a node has and what it booted.
//!
//! `no_std`, no heap, no HAL. A board brings an SPI bus (or the address of a memory-mapped TPM), a
//! chip-select pin, a delay and a serial port; everything above is here.
//!
//! ```text
//!            keys      which EK, which AK, credential activation
//!             |
//!            tpm       one function per TPM 2.0 command; retries; start-up hygiene
//!             |        (command bytes in, response bytes out: TpmTransport)
//!            tis       FIFO state machine, locality, burst count, time limits, recoveries
//!             |        (register access: TisBus)
//!    Tracer / Fault    middleware, optional
//!             |
//!   SpiTis | MmioTis   bus
//! ```
//!
//! Layers use what is below them and never what is above: `bus <- tis <- tpm <- keys`. A TPM on the
//! bus is not trusted to send sane bytes: every length is checked, nothing is indexed, and each
//! error is a small `Copy` enum that says which check failed.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(feature = "host")]
extern crate alloc;

pub mod agent;
pub mod bus;
#[cfg(feature = "console")]
pub mod console;
mod crypto;
#[cfg(feature = "secure-bus")]
pub mod entropy;
pub mod evidence;
mod fmt;
pub mod keys;
pub mod link;
pub mod measure;
pub mod platform;
pub mod run;
pub mod settings;
pub mod tis;
pub mod tpm;
pub mod trace;
