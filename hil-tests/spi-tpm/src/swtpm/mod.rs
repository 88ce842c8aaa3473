//! A software TPM (swtpm, libtpms) as a process of ours, and its two sockets.
//!
//! * [`process`] starts and ends it; dropping the handle ends only that child.
//! * [`socket`] is the data channel: raw TPM commands and responses.
//! * [`control`] is the control channel: reset, stop, cancel, locality.

pub mod control;
pub mod process;
pub mod socket;

pub use control::Control;
pub use process::{Mode, StartError, Swtpm, SwtpmBackend};
pub use socket::SwtpmSocket;
