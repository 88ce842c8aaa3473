//! An executable that answers lines with lines.
//!
//! It is started without a shell, with no environment but the configured one, in a process group of its own, without the
//! agent's ambient capabilities and without a way to new ones (`PR_SET_NO_NEW_PRIVS`). An answer has an end in length and
//! time; whoever misses either is killed, with all that it started.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{clear_ambient_capability_set, set_no_new_privs};

/// Longest line that is read, bytes.
const LINE: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// It does not start.
    #[error("it does not start: {0}")]
    Start(io::Error),
    /// It has ended, or closed its input or output.
    #[error("it ended without an answer")]
    Ended,
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// Its line is too long.
    #[error("its answer has more than {LINE} bytes")]
    Long,
}

impl ProgramError {
    pub(super) const fn hint(&self) -> &'static str {
        match self {
            Self::Start(_) => "start it by hand, as the agent's user and with an empty environment",
            Self::Ended => {
                "start it by hand and give it a line; what it writes to its standard error is in the agent's log"
            }
            Self::Late(_) => "a longer `timeout`, or have it flush its output after the line",
            Self::Long => "a proof has up to 32768 bytes",
        }
    }
}

/// One that runs. It is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Vec<u8>>,
}

impl Program {
    /// Starts `real`, by the name `path`.
    pub(super) fn start(
        real: &Path,
        path: &Path,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ProgramError> {
        let mut command = Command::new(real);
        command
            .arg0(path)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(command).map_err(ProgramError::Start)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            kill(&mut child);
            return Err(ProgramError::Ended);
        };
        // One line ahead of who asks: what it writes unasked is not collected.
        let (sender, lines) = mpsc::sync_channel(1);
        let reading = thread::Builder::new().spawn(move || read(stdout, &sender));
        if let Err(error) = reading {
            kill(&mut child);
            return Err(ProgramError::Start(error));
        }
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    /// Whether it still runs, as far as is known, and has said nothing unasked.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.lines.try_recv(), Err(mpsc::TryRecvError::Empty))
    }

    /// Asks with a line, which is short enough for a pipe to hold, and waits for one.
    pub(super) fn ask(&mut self, line: &[u8], timeout: Duration) -> Result<Vec<u8>, ProgramError> {
        self.stdin
            .write_all(line)
            .and_then(|()| self.stdin.flush())
            .map_err(|_| ProgramError::Ended)?;
        match self.lines.recv_timeout(timeout) {
            Ok(answer) if answer.last() == Some(&b'\n') => Ok(answer),
            Ok(answer) if answer.len() as u64 > LINE => Err(ProgramError::Long),
            // The end of its output in the middle of a line.
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(ProgramError::Ended),
            Err(RecvTimeoutError::Timeout) => Err(ProgramError::Late(timeout)),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Starts a process that has no more than its user. Capabilities and the flag are a thread's, and a process begins with those
/// of the thread that starts it: so there is one for that, and the agent's own keep theirs.
fn spawn(mut command: Command) -> io::Result<Child> {
    let starting = thread::Builder::new().spawn(move || {
        clear_ambient_capability_set()?;
        set_no_new_privs(true)?;
        command.spawn()
    })?;
    let started = starting.join();
    started.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

/// Ends it, and all of its group. It is not waited for before the signal, so its number is still its own.
fn kill(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

fn read(stdout: ChildStdout, sender: &SyncSender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = (&mut stdout).take(LINE + 1).read_until(b'\n', &mut line);
        let whole = line.last() == Some(&b'\n');
        if !read.is_ok_and(|n| n > 0) || sender.send(line).is_err() || !whole {
            return;
        }
    }
}
