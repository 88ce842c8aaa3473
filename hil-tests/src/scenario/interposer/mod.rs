//! The interposer's matrix: every attack of [`assay_spi_tpm::interposer::MODES`] against a whole login.
//!
//! * [`bench`](mod@bench) runs an attack: the firmware, the attacker, a software TPM and the verifier in one process.
//! * [`eavesdropper`] is his ear on the line between node and verifier, and what he makes of it.
//! * [`verdict`] says what came of it, in words that the documentation and the demo share.
//! * [`expected`] has the outcome that each attack must have; [`table`] makes the documentation of it.
//! * [`limits`] shows what is left to somebody who knows all that the node knows.

pub mod bench;
pub mod eavesdropper;
pub mod expected;
mod judge;
pub mod limits;
pub mod table;
pub mod verdict;

pub use bench::Bench;
pub use expected::Row;
pub use verdict::{Bus, Report, Verdict};
