//! QEMU's machine protocol, as far as a harness needs it: quit, reset, stop and go on.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{QemuError, io_error};

/// Longest wait for an answer of the monitor.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the monitor.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the monitor at `path` and leaves its negotiation mode.
    ///
    /// # Errors
    /// [`QemuError`].
    pub fn connect(path: &Path) -> Result<Self, QemuError> {
        let stream = UnixStream::connect(path).map_err(io_error("connecting to the monitor"))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(io_error("preparing the monitor"))?;
        let mut qmp = Self {
            reader: BufReader::new(stream),
        };
        qmp.line()?; // the greeting
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments and waits for its return.
    ///
    /// # Errors
    /// [`QemuError::Monitor`] when it is refused.
    pub fn execute(&mut self, command: &str) -> Result<(), QemuError> {
        self.request(command, &serde_json::json!({ "execute": command }))
    }

    /// Writes `len` bytes of the machine's memory, from the physical address `address` on, into `file`.
    ///
    /// # Errors
    /// [`QemuError::Monitor`] when there is no such memory or the file cannot be written.
    pub fn save_memory(&mut self, address: u64, len: u64, file: &Path) -> Result<(), QemuError> {
        let command = "pmemsave";
        let arguments = serde_json::json!({ "val": address, "size": len, "filename": file });
        let request = serde_json::json!({ "execute": command, "arguments": arguments });
        self.request(command, &request)
    }

    fn request(&mut self, command: &str, request: &serde_json::Value) -> Result<(), QemuError> {
        self.reader
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .map_err(io_error("writing to the monitor"))?;
        loop {
            let line = self.line()?;
            let answer: serde_json::Value = serde_json::from_str(&line)
                .map_err(|error| QemuError::Monitor(error.to_string()))?;
            if answer.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = answer.get("error") {
                return Err(QemuError::Monitor(format!("{command}: {error}")));
            }
            // Anything else is an event that was not asked for.
        }
    }

    fn line(&mut self) -> Result<String, QemuError> {
        let mut line = String::new();
        let read = self
            .reader
            .read_line(&mut line)
            .map_err(io_error("reading from the monitor"))?;
        if read == 0 {
            return Err(QemuError::Monitor("closed".to_owned()));
        }
        Ok(line)
    }
}
