//! The audit trail: one record per decision, SVID and operator's act, chained by hash, on disk before the node is answered.
//!
//! ```text
//!   {"v":1,"seq":1,"prev":"00…00","time":…,"outcome":"granted",…}
//!   {"v":1,"seq":2,"prev":SHA-256 of line 1,…}
//!   {"v":1,"seq":3,"prev":SHA-256 of line 2,…}
//! ```
//!
//! * [`record`]: what a record holds. The evidence is in it as it came over the line, so that a decision can be judged
//!   again without the node.
//! * [`sealed`]: what of it lets its reader in, and is sealed.
//! * [`act`]: what operators did. [`notes`]: how a command gets that into the trail that a service writes.
//! * [`again`]: judges a stored login again, at another time or under another policy.
//! * [`kept`]: reads a record back. [`found`]: all records of one login. [`renewal`]: judges its renewals again.
//! * [`log`]: the way to the writer.
//! * [`disk`]: the files, and their names.
//! * [`settings`]: how long they grow, and how long they are kept.
//! * [`mod@verify`]: whether a trail is whole; [`files`]: all of its files, in order.
//! * [`ocsf`]: records as other systems read them.
//!
//! # What the chain proves
//!
//! A record cannot be changed, taken out or put in without changing the hash of every later one. Whoever can write the
//! file can write all of it anew, or cut off its end: against that, somebody else must keep the head (`assay audit
//! verify` prints it, `--head` checks it). An end that was never acknowledged to any node may be missing after a crash.

pub mod act;
pub mod again;
pub mod budget;
pub mod disk;
pub mod files;
pub mod found;
pub mod kept;
pub mod log;
pub mod notes;
pub mod ocsf;
pub mod page;
pub mod record;
pub mod renewal;
pub mod sealed;
mod sent;
pub mod settings;
mod start;
pub mod verify;
mod writer;

pub use act::{Act, ActOutcome, Actor, ActorKind, Change, Target};
pub use disk::{Closed, Disk, Folder};
pub use log::{AuditError, AuditLog};
pub use notes::Ledger;
pub use record::{IssuedSvid, Kind, Outcome, Record, Trail};
pub use settings::Settings;
pub use verify::{Head, Summary, VerifyError, verify};

/// Name of the file that is written, in the data directory.
pub const FILE: &str = "audit.jsonl";
/// What the first record follows.
pub const GENESIS: [u8; 32] = [0; 32];
/// Longest record, bytes: what a login may send, in base64, with room for attributes and explanations.
pub const MAX_LINE: usize = 1024 * 1024;

fn sha256(bytes: &[u8]) -> [u8; 32] {
    crate::crypto::sha256(&[bytes])
}
