//! A TPM 2.0 on an SPI bus, modelled byte by byte in front of a software TPM.
//!
//! One model for every place without a chip: plain `cargo test` (through [`hal`]), an emulator
//! (which calls [`slave::SpiTpm::cs`] and [`slave::SpiTpm::xfer`] for each access of the guest), or a
//! bridge.
//!
//! * [`slave`]: frames, registers, FIFO.
//! * [`chip`]: what silicon limits and how chips differ.
//! * [`fault`]: everything that can go wrong, by plan.
//! * [`interposer`]: somebody between the FIFO and the TPM who means harm.
//! * [`backend`], [`swtpm`], [`mock`]: who computes the answers.
//! * [`stats`]: what was clocked.
//!
//! ```
//! use assay_spi_tpm::{Config, SpiTpm, chip::Personality, mock::ScriptedTpm};
//!
//! let mut tpm = SpiTpm::new(ScriptedTpm::new(), Config::chip(Personality::SLB9672));
//! tpm.cs(true);
//! let read = [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0].map(|mosi| tpm.xfer(mosi));
//! tpm.cs(false);
//! assert_eq!(read, [0, 0, 0, 1, 0xD1, 0x15, 0x1D, 0x00]); // DID_VID, little-endian
//! ```

#![forbid(unsafe_code)]

pub mod backend;
pub mod chip;
pub mod clock;
pub mod command;
pub mod fault;
pub mod hal;
pub mod interposer;
pub mod message;
pub mod mock;
pub mod random;
pub mod slave;
pub mod stats;
pub mod swtpm;

pub use backend::{BackendError, TpmBackend};
pub use fault::{Fault, FaultKind, FaultPlan, Phase};
pub use slave::{Config, SpiTpm};
