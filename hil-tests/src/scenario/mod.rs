//! A verifier, a TPM and an agent put together, and what they do.
//!
//! [`loopback`] has all three in one process and in virtual time: the firmware's driver and login on the SPI model,
//! the verifier's login on the other side, the line between them. It is what the fault matrix and the attack tests
//! run on ([`matrix`]), since a thousand logins take a minute there. [`live`] has the real processes: `assayd`, QEMU, swtpm.

pub mod desk;
pub mod interposer;
pub mod leash;
pub mod line;
pub mod live;
pub mod local_verifier;
pub mod loopback;
pub mod loopback_rig;
pub mod matrix;
pub mod rig;
pub mod watch;
