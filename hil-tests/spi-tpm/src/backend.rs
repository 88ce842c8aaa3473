//! The seam between the model and whatever computes the TPM's answers: raw command bytes in,
//! raw response bytes out.
//!
//! Implementors: [`crate::swtpm::SwtpmSocket`] (sockets of a software TPM that somebody else
//! owns), [`crate::swtpm::SwtpmBackend`] (one that this process started, so that power can be
//! cut) and [`crate::mock::ScriptedTpm`] (a script in memory).

use std::io;
use std::path::PathBuf;

/// Length of every command and response header, bytes. `[TPM2.0 1.83 Part 1] 18.1`
pub const HEADER_LEN: usize = 10;

/// Largest command or response a back end passes on, bytes. libtpms works with 4,096.
pub const MAX_MESSAGE: usize = 4096;

/// Why a back end gave no response. A response that carries a TPM_RC is not an error here.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The TPM's socket could not be opened.
    #[error("cannot connect to the TPM at {path}: {source}")]
    Connect {
        /// The unix socket.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading or writing failed, the peer is gone, or it did not answer in time.
    #[error("the TPM's socket failed while {step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The response's length field is outside 10..=4096 bytes.
    #[error("the TPM announced a response of {0} bytes")]
    ResponseSize(u32),
    /// A request on the control channel was refused.
    #[error("control command {command} was refused with {code:#x}")]
    Control {
        /// Number of the control command.
        command: u32,
        /// Result code of swtpm.
        code: u32,
    },
    /// This back end has no such ability (a missing control channel, for one).
    #[error("the back end cannot {0}")]
    Unsupported(&'static str),
    /// A scripted TPM received a command that its script does not have.
    #[error("the script has no answer: {0}")]
    Script(String),
    /// The TPM process could not be started again.
    #[error("cannot restart the TPM: {0}")]
    Restart(String),
}

/// A TPM as seen by the model: one command at a time.
pub trait TpmBackend: Send {
    /// Runs one complete command at `locality` (0..=4) and returns the complete response.
    ///
    /// # Errors
    /// [`BackendError`] when no response was obtained.
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError>;

    /// A pulse on the reset line (`_TPM_Init`): PCRs and sessions are gone, TPM2_Startup is due.
    ///
    /// # Errors
    /// [`BackendError`] when the TPM could not be reset.
    fn reset(&mut self) -> Result<(), BackendError>;

    /// Power lost and back, without TPM2_Shutdown. Only what is in NV survives.
    ///
    /// # Errors
    /// [`BackendError`] when the TPM did not come back.
    fn power_cycle(&mut self) -> Result<(), BackendError> {
        self.reset()
    }

    /// Asks a running command to stop.
    ///
    /// # Errors
    /// [`BackendError`] when the request could not be made.
    fn cancel(&mut self) -> Result<(), BackendError> {
        Err(BackendError::Unsupported("cancel a command"))
    }

    /// Cuts the connection for good, as when the TPM's process dies.
    fn disconnect(&mut self) {}
}

impl<B: TpmBackend + ?Sized> TpmBackend for Box<B> {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        (**self).execute(command, locality)
    }
    fn reset(&mut self) -> Result<(), BackendError> {
        (**self).reset()
    }
    fn power_cycle(&mut self) -> Result<(), BackendError> {
        (**self).power_cycle()
    }
    fn cancel(&mut self) -> Result<(), BackendError> {
        (**self).cancel()
    }
    fn disconnect(&mut self) {
        (**self).disconnect();
    }
}
