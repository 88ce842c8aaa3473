//! JSON lines for a harness: one per TPM command while the board runs, one at the end.
//!
//! The receiver is a listening unix socket, or else a file. A receiver that goes away or does not
//! read costs the guest nothing but the lines.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest a single line may wait for its reader.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where lines go.
pub struct Reporter(Option<Box<dyn Write + Send>>);

impl Reporter {
    /// A reporter without a receiver.
    #[must_use]
    pub const fn silent() -> Self {
        Self(None)
    }

    /// Connects to the socket at `path`, or creates the file there.
    ///
    /// # Errors
    /// What the operating system said when neither was possible.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        if let Ok(stream) = UnixStream::connect(path) {
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Self(Some(Box::new(stream))));
        }
        Ok(Self(Some(Box::new(File::create(path)?))))
    }

    /// Sends one line; the line end is added.
    pub fn line(&mut self, text: &str) {
        let Some(out) = &mut self.0 else { return };
        let mut line = text.to_owned();
        line.push('\n');
        if out
            .write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    #[test]
    fn writes_to_a_file_or_a_listening_socket() {
        let dir = std::env::temp_dir().join(format!("assay-report-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("lines");
        Reporter::open(&file).unwrap().line("{\"a\":1}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"a\":1}\n");

        let socket = dir.join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut reporter = Reporter::open(&socket).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        reporter.line("x");
        drop(reporter);
        let mut got = String::new();
        peer.read_to_string(&mut got).unwrap();
        assert_eq!(got, "x\n");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_receiver_that_went_away_is_no_failure() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut reporter = Reporter(Some(Box::new(ours)));
        reporter.line("lost");
        reporter.line("lost");
        assert!(reporter.0.is_none());
    }
}
