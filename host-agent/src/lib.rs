//! The agent on a host with an operating system.
//!
//! The login, the TPM commands and the evidence are the firmware's own ([`assay_firmware`]); what differs on a host is
//! where bytes come from and go to, and that is all this crate has:
//!
//! * [`tpm`]: a TPM behind a file descriptor: Linux' `/dev/tpmrm0`, or swtpm's socket.
//! * [`mod@line`]: a link to a verifier over a Unix or TCP socket.
//! * [`platform`]: time and rest.
//! * [`method`]: what a host can prove without a TPM; [`key`]: the private keys that some of it takes.
//! * [`metadata`]: the services that a cloud's virtual machine asks who it is.
//! * [`config`], [`setup`], [`evidence`]: from a YAML file to the one source that a login asks.
//! * [`client`]: the login over HTTPS.
//! * [`svid`]: what a session brings, and the files it comes into.
//! * [`run`]: a session for as long as the agent runs.
//! * [`workload`]: the SPIFFE Workload API.
//! * [`doctor`]: what is wrong with this machine.
//! * [`cli`]: the commands.
//!
//! ```no_run
//! use assay_firmware::{evidence::tpm::TpmEvidence, platform::BoardInfo, run::{Node, Timing}};
//! use assay_host_agent::{line::SocketLine, platform::HostPlatform, tpm::StreamTpm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tpm = StreamTpm::device("/dev/tpmrm0".as_ref())?;
//! let line = SocketLine::unix("/run/assay/agents".as_ref())?;
//! let record = std::fs::read("/etc/assay/provisioning.bin")?;
//! let board = BoardInfo { name: "host", version: env!("CARGO_PKG_VERSION") };
//! let mut node = Node::new(
//!     HostPlatform::default(), line, TpmEvidence::new(tpm), &record, board, Timing::default(),
//! );
//! node.login()?;
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod client;
pub mod config;
pub mod doctor;
pub mod evidence;
pub mod finding;
pub mod key;
pub mod line;
pub mod metadata;
pub mod method;
pub mod names;
pub mod platform;
pub mod run;
pub mod secret;
pub mod session;
pub mod setup;
pub mod svid;
pub mod tpm;
pub mod workload;
