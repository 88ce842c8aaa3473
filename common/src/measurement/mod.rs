//! Measured boot: what a node ran, as a log that replays to the values of PCRs.
//!
//! * [`log`]: the TCG Canonical Event Log in its TLV encoding (CEL-TLV): writer for nodes, strict reader for verifiers.
//! * [`event`]: what our own records say: an image, and the state in which the node booted.
//! * [`replay()`]: from a log to the values that its PCRs must have.
//!
//! # What a log proves
//!
//! Nothing by itself. It is worth as much as the PCRs that it replays to, and those as much as the quote over them. Then the
//! digests are what was extended; and the content of a record is what was measured only where its digest is that of the
//! content ([`Record::event`]). A record of somebody else's content type counts for its digest and for nothing it says.
//!
//! # PCRs
//!
//! [`IMAGE_PCR`] and [`BOOT_PCR`]. No software can reset them, unlike 16 and 23 ([PC Client Profile 1.06] 4.6.2); the platform
//! firmware of a PC does not use them (0 to 7), nor does a dynamic launch (17 to 22). Images have one of their own, so
//! that its value is the same at every boot of the same images, and a policy may name it under `pcrs` as well.

pub mod event;
pub mod log;
pub mod replay;
mod tlv;

use crate::tpm::pcr::PcrIndex;

pub use event::{Boot, Event, Image, Witness};
pub use log::{EventLog, Log, LogError, MAX_LOG, MAX_RECORDS, Reason, Record};
pub use replay::{LastStep, Measured, PcrBank, last_step, replay};

/// The PCR that images are extended into, in the order in which they are handed over to.
pub const IMAGE_PCR: PcrIndex = PcrIndex::known::<8>();
/// The PCR that the state at boot is extended into.
pub const BOOT_PCR: PcrIndex = PcrIndex::known::<9>();
