//! swtpm's data channel: raw TPM commands and responses over a unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::Control;
use crate::backend::{BackendError, HEADER_LEN, MAX_MESSAGE, TpmBackend};
use crate::message;

/// Longest a single read may take. A software TPM needs ms; RSA key generation up to seconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one software TPM that somebody else started. Connects on first use and again after
/// a failure, so a TPM that was restarted on the same path is found.
#[derive(Debug)]
pub struct SwtpmSocket {
    data: PathBuf,
    control: Option<Control>,
    stream: Option<UnixStream>,
    locality: u8,
    timeout: Duration,
    closed: bool,
}

impl SwtpmSocket {
    /// A client for the data socket `data` and, where given, the control socket.
    /// Without the control socket, resets and localities other than 0 are errors.
    #[must_use]
    pub fn new(data: &Path, control: Option<&Path>) -> Self {
        Self {
            data: data.to_owned(),
            control: control.map(|path| Control::new(path, Duration::from_secs(5))),
            stream: None,
            locality: 0,
            timeout: DEFAULT_TIMEOUT,
            closed: false,
        }
    }

    /// The same client with another limit for each read.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the data connection now instead of at the first command.
    ///
    /// # Errors
    /// [`BackendError::Connect`].
    pub fn connect(&mut self) -> Result<(), BackendError> {
        self.stream().map(|_| ())
    }

    fn control(&self, what: &'static str) -> Result<&Control, BackendError> {
        self.control.as_ref().ok_or(BackendError::Unsupported(what))
    }

    fn stream(&mut self) -> Result<&mut UnixStream, BackendError> {
        if self.closed {
            return Err(BackendError::Unsupported("answer after a disconnect"));
        }
        let connected = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let io = |source| BackendError::Io {
                    step: "preparing the connection",
                    source,
                };
                let stream =
                    UnixStream::connect(&self.data).map_err(|source| BackendError::Connect {
                        path: self.data.clone(),
                        source,
                    })?;
                stream.set_read_timeout(Some(self.timeout)).map_err(io)?;
                stream.set_write_timeout(Some(self.timeout)).map_err(io)?;
                stream
            }
        };
        Ok(self.stream.insert(connected))
    }

    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, BackendError> {
        let io = |step| move |source| BackendError::Io { step, source };
        let stream = self.stream()?;
        stream.write_all(command).map_err(io("writing a command"))?;
        let mut response = vec![0u8; HEADER_LEN];
        stream
            .read_exact(&mut response)
            .map_err(io("reading a response header"))?;
        let announced = message::announced_size(&response).unwrap_or(0);
        let size = usize::try_from(announced)
            .ok()
            .filter(|size| (HEADER_LEN..=MAX_MESSAGE).contains(size))
            .ok_or(BackendError::ResponseSize(announced))?;
        response.resize(size, 0);
        let body = response.get_mut(HEADER_LEN..).unwrap_or_default();
        stream
            .read_exact(body)
            .map_err(io("reading a response body"))?;
        Ok(response)
    }
}

impl TpmBackend for SwtpmSocket {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        if locality != self.locality {
            self.control("change the locality")?
                .set_locality(locality)?;
            self.locality = locality;
        }
        let result = self.exchange(command);
        if result.is_err() {
            // What is left of the answer would be taken for the next one.
            self.stream = None;
        }
        result
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.control("reset the TPM")?.init()?;
        self.locality = 0;
        Ok(())
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        let control = self.control("cycle the TPM's power")?;
        control.stop()?;
        control.init()?;
        self.locality = 0;
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), BackendError> {
        self.control("cancel a command")?.cancel()
    }

    fn disconnect(&mut self) {
        self.stream = None;
        self.closed = true;
    }
}
