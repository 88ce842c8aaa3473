//! swtpm's control channel: big-endian requests over a second unix socket.
//!
//! One connection per request, because swtpm serves one control client at a time and QEMU or a
//! test may want the next turn.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::BackendError;

// Numbers of the control commands, as swtpm's manual page "swtpm_ioctls" has them.
const INIT: u32 = 2;
const SHUTDOWN: u32 = 3;
const SET_LOCALITY: u32 = 5;
const CANCEL: u32 = 9;
const STOP: u32 = 14;

/// A client of the control channel. Holds no connection between requests.
#[derive(Debug, Clone)]
pub struct Control {
    path: PathBuf,
    timeout: Duration,
}

impl Control {
    /// The control socket at `path`, with `timeout` for each read and write.
    #[must_use]
    pub fn new(path: &Path, timeout: Duration) -> Self {
        Self {
            path: path.to_owned(),
            timeout,
        }
    }

    /// `_TPM_Init`: a TPM reset. The next command before TPM2_Startup answers 0x100.
    ///
    /// # Errors
    /// [`BackendError`] when the request failed or was refused.
    pub fn init(&self) -> Result<(), BackendError> {
        self.request(INIT, &0u32.to_be_bytes())
    }

    /// Stops the TPM inside the process, as if its supply had gone. [`Control::init`] starts it.
    ///
    /// # Errors
    /// As [`Control::init`].
    pub fn stop(&self) -> Result<(), BackendError> {
        self.request(STOP, &[])
    }

    /// Ends the process.
    ///
    /// # Errors
    /// As [`Control::init`].
    pub fn shutdown(&self) -> Result<(), BackendError> {
        self.request(SHUTDOWN, &[])
    }

    /// Cancels the running command.
    ///
    /// # Errors
    /// As [`Control::init`].
    pub fn cancel(&self) -> Result<(), BackendError> {
        self.request(CANCEL, &[])
    }

    /// Sets the locality of the commands that follow.
    ///
    /// # Errors
    /// As [`Control::init`].
    pub fn set_locality(&self, locality: u8) -> Result<(), BackendError> {
        self.request(SET_LOCALITY, &[locality])
    }

    fn request(&self, command: u32, body: &[u8]) -> Result<(), BackendError> {
        let io = |step| move |source| BackendError::Io { step, source };
        let mut stream =
            UnixStream::connect(&self.path).map_err(|source| BackendError::Connect {
                path: self.path.clone(),
                source,
            })?;
        stream
            .set_read_timeout(Some(self.timeout))
            .map_err(io("preparing a control request"))?;
        stream
            .set_write_timeout(Some(self.timeout))
            .map_err(io("preparing a control request"))?;
        let mut message = command.to_be_bytes().to_vec();
        message.extend_from_slice(body);
        stream
            .write_all(&message)
            .map_err(io("writing a control request"))?;
        let mut answer = [0u8; 4];
        stream
            .read_exact(&mut answer)
            .map_err(io("reading a control answer"))?;
        match u32::from_be_bytes(answer) {
            0 => Ok(()),
            code => Err(BackendError::Control { command, code }),
        }
    }
}
