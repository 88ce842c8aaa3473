//! What the project measures of itself: flash, RAM and stack of every board, SPI bytes, instructions, cryptography.
//!
//! * [`size`] puts together what `hil size` says: [`stack`] runs boards in QEMU and finds their deepest stack,
//!   [`tpm_part`] builds the pair of images whose difference is the TPM part, and the bare-metal targets.
//! * [`mod@bench`] is what `hil bench` says: SPI bytes beside the floor of [`floor`], instructions, and the ratios of
//!   [`crypto`], which runs the verifier's own benchmark (`program` builds it).
//! * [`flows`] are a board's login and renewal with and without the sessions that guard the bus, and what they would take on
//!   the chips of [`chips`].
//! * [`wolftpm`] is what wolfTPM takes on the bus for the same commands.
//! * [`machine`] is the board in QEMU that both look at, with a verifier in this process.
//! * [`methods`] is the cost of judging proofs, out of another benchmark of the verifier's.
//! * [`clouds`] is what logins of cloud instances come to, out of another.
//! * [`host_agent`] is the memory of the hosts' agent, and how soon it has an SVID.
//! * [`service`] is what `hil service` says: the verifier under load.
//!
//! Nothing here asserts a time: figures that depend on the host's speed are ratios of two things measured in turns.

pub mod bench;
pub mod chips;
pub mod clouds;
pub mod crypto;
pub mod floor;
pub mod flows;
pub mod host_agent;
pub mod machine;
pub mod methods;
mod program;
pub mod service;
pub mod size;
pub mod stack;
pub mod tpm_part;
pub mod wolftpm;
