//! The host's TPM: raw commands in, raw responses out. The commands themselves are the firmware's
//! ([`assay_firmware::tpm`]).
//!
//! * [`TpmPlace`]: where it is, as the configuration says it.
//! * [`tcti`] (feature `tss`): through the TSS' loadable interfaces, `device`, `swtpm` and `tabrmd`. What an installed agent
//!   uses.
//! * [`stream`]: a file descriptor and nothing else, for programs that link no TSS.
//! * [`HostTpm`]: the firmware's evidence over one of the two, connected anew when the connection is lost.
//! * [`devid`]: the DevID key of `tpm_devid`, out of its files.

pub mod devid;
pub mod stream;
#[cfg(feature = "tss")]
pub mod tcti;

mod place;
mod source;
mod spki;

pub use place::{PlaceError, TpmPlace};
pub use source::{Connect, HostTpm, TpmSource};
pub use spki::sha256 as key_sha256;
pub use stream::{StreamError, StreamTpm};
#[cfg(feature = "tss")]
pub use tcti::{OpenError, TctiTpm};

/// What the way to the TPM and back may take on top of a command's own limit: a resource manager first puts back what it
/// had swapped out, and a machine whose processors or disks are busy runs others before either. It is no limit of the TPM's.
const SLACK: std::time::Duration = std::time::Duration::from_secs(10);

/// What a [`TpmPlace`] is opened as.
#[cfg(feature = "tss")]
pub type PlacedTpm = TctiTpm;
/// What a [`TpmPlace`] is opened as.
#[cfg(not(feature = "tss"))]
pub type PlacedTpm = StreamTpm;
