//! A person's terminal, key by key, and whatever is at the other end.

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Ctrl-], as telnet has it: it is nobody's else.
const LEAVE: u8 = 0x1D;
/// How long a read of the other end waits before it is looked whether the person left.
pub(crate) const READ: Duration = Duration::from_millis(100);

/// A terminal that hands over each key, Ctrl-C as well. Dropping it makes it what it was.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Self> {
        let stdin = io::stdin();
        let usual = tcgetattr(&stdin).context("the terminal")?;
        let mut raw = usual.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).context("the terminal")?;
        Ok(Self(usual))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Joins standard input and output to `reader` and `writer` until the other end closes, or the person types Ctrl-]. Reads of
/// `reader` time out after [`READ`] or so.
pub(crate) fn talk(mut reader: impl Read, mut writer: impl Write + Send + 'static) -> Result<()> {
    let _raw = if io::stdin().is_terminal() {
        eprint!("Ctrl-] leaves\r\n");
        Some(Raw::new()?)
    } else {
        None
    };
    let left = Arc::new(AtomicBool::new(false));
    let leaving = Arc::clone(&left);
    // Ends with the process: nothing takes a read of a terminal back.
    thread::spawn(move || {
        let mut buffer = [0; 256];
        loop {
            let read = io::stdin().read(&mut buffer).unwrap_or(0);
            let typed = buffer.get(..read).unwrap_or_default();
            let ends = read == 0 || typed.contains(&LEAVE);
            let said = typed.split(|byte| *byte == LEAVE).next().unwrap_or(typed);
            if writer
                .write_all(said)
                .and_then(|()| writer.flush())
                .is_err()
                || ends
            {
                leaving.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    let mut out = io::stdout().lock();
    let mut buffer = [0; 1024];
    while !left.load(Ordering::Relaxed) {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                out.write_all(buffer.get(..read).unwrap_or_default())?;
                out.flush()?;
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error).context("the line"),
        }
    }
    Ok(())
}
