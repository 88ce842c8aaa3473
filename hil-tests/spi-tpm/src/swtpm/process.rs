//! Starting and ending a swtpm process. The handle ends its own child, and nothing else, on drop.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use super::socket::SwtpmSocket;
use crate::backend::{BackendError, TpmBackend};

/// Longest path of a unix socket, bytes (Linux `sun_path` is 108 with its terminator).
pub const MAX_SOCKET_PATH: usize = 107;

/// How long a start may take until the sockets are there. Usually 3 ms.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Who sends the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A data socket and a control socket; the TPM is powered at once, TPM2_Startup is the
    /// client's affair, as on a board.
    Sockets,
    /// The control socket only, for QEMU's `-tpmdev emulator`, which opens the data channel itself
    /// and powers the TPM.
    QemuEmulator,
}

/// Why a software TPM did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory must be absolute: swtpm changes its own directory.
    #[error("the state directory {0} is not absolute")]
    RelativeState(PathBuf),
    /// Unix socket paths end at 107 bytes.
    #[error("the socket path {0} is longer than 107 bytes")]
    PathTooLong(PathBuf),
    /// The program is missing or could not be run.
    #[error("cannot run swtpm (Debian package \"swtpm\"): {0}")]
    Spawn(#[source] io::Error),
    /// A folder or file could not be prepared.
    #[error("cannot prepare {path}: {source}")]
    Prepare {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The process ended before its sockets were there.
    #[error("swtpm ended at once ({status}): {stderr}")]
    Ended {
        /// Exit status.
        status: String,
        /// What it wrote.
        stderr: String,
    },
    /// The sockets did not appear in time.
    #[error("swtpm made no sockets within {0:?}")]
    Late(Duration),
}

/// A running swtpm.
#[derive(Debug)]
pub struct Swtpm {
    child: Child,
    state: PathBuf,
    data: PathBuf,
    control: PathBuf,
    mode: Mode,
}

impl Swtpm {
    /// Starts a TPM on the state in `state` (absolute; made if absent), with its sockets
    /// `tpm.sock` and `tpm.sock.ctrl` in `sockets`.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(state: &Path, sockets: &Path, mode: Mode) -> Result<Self, StartError> {
        if !state.is_absolute() {
            return Err(StartError::RelativeState(state.to_owned()));
        }
        for folder in [state, sockets] {
            fs::create_dir_all(folder).map_err(|source| StartError::Prepare {
                path: folder.to_owned(),
                source,
            })?;
        }
        let data = sockets.join("tpm.sock");
        // The name that tpm2-tss expects beside the data socket (`-T swtpm:path=…/tpm.sock`).
        let control = sockets.join("tpm.sock.ctrl");
        for path in [&data, &control] {
            if path.as_os_str().len() > MAX_SOCKET_PATH {
                return Err(StartError::PathTooLong(path.clone()));
            }
        }
        let child = spawn(state, &data, &control, mode)?;
        Ok(Self {
            child,
            state: state.to_owned(),
            data,
            control,
            mode,
        })
    }

    /// The data socket ([`Mode::Sockets`] only).
    #[must_use]
    pub fn data_path(&self) -> &Path {
        &self.data
    }

    /// The control socket.
    #[must_use]
    pub fn control_path(&self) -> &Path {
        &self.control
    }

    /// The folder with the TPM's state.
    #[must_use]
    pub fn state_path(&self) -> &Path {
        &self.state
    }

    /// How it was started.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client of the data channel, connected on first use. swtpm serves one at a time.
    #[must_use]
    pub fn client(&self) -> SwtpmSocket {
        SwtpmSocket::new(&self.data, Some(&self.control))
    }

    /// The control channel.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(&self.control, Duration::from_secs(5))
    }

    /// Cuts the power: the process is killed. [`Swtpm::power_on`] starts it on the same state.
    pub fn power_off(&mut self) {
        // A child that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the process again on the same state and sockets.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn power_on(&mut self) -> Result<(), StartError> {
        self.power_off();
        self.child = spawn(&self.state, &self.data, &self.control, self.mode)?;
        Ok(())
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn spawn(state: &Path, data: &Path, control: &Path, mode: Mode) -> Result<Child, StartError> {
    let mut command = Command::new("swtpm");
    command
        .args(["socket", "--tpm2", "--tpmstate"])
        .arg(format!("dir={}", state.display()))
        .arg("--ctrl")
        .arg(format!("type=unixio,path={}", control.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut awaited = vec![control];
    if mode == Mode::Sockets {
        command
            .arg("--server")
            .arg(format!("type=unixio,path={}", data.display()))
            .args(["--flags", "not-need-init,startup-none"]);
        awaited.push(data);
    }
    // A socket left behind by a killed process would look like a TPM that is ready.
    for path in [control, data] {
        let _ = fs::remove_file(path);
    }
    let mut child = command.spawn().map_err(StartError::Spawn)?;
    let started = Instant::now();
    loop {
        if awaited.iter().all(|path| is_listening(path)) {
            return Ok(child);
        }
        let ended = child.try_wait().map_err(StartError::Spawn)?;
        if let Some(status) = ended {
            let mut stderr = String::new();
            if let Some(mut pipe) = child.stderr.take() {
                let _ = pipe.read_to_string(&mut stderr);
            }
            return Err(StartError::Ended {
                status: status.to_string(),
                stderr: stderr.trim().to_owned(),
            });
        }
        if started.elapsed() > START_LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(StartError::Late(START_LIMIT));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether somebody listens on the socket. The file is there a moment before that, and a client that comes
/// in between is refused; a trial connection would be taken for the one client that swtpm serves.
fn is_listening(path: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    let Ok(sockets) = fs::read_to_string("/proc/net/unix") else {
        return path.exists();
    };
    let path = path.to_string_lossy();
    // Num RefCount Protocol Flags Type St Inode Path
    sockets.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        fields.next() == Some(ACCEPTS) && fields.nth(3) == Some(&*path)
    })
}

/// A back end that owns its process, so that a power loss is a real one: the process is killed
/// and started on the same state. Clones share the process.
#[derive(Debug, Clone)]
pub struct SwtpmBackend {
    process: Arc<Mutex<Swtpm>>,
    socket: Arc<Mutex<SwtpmSocket>>,
}

impl SwtpmBackend {
    /// Takes over a process that was started with [`Mode::Sockets`].
    #[must_use]
    pub fn new(process: Swtpm) -> Self {
        let socket = process.client();
        Self {
            process: Arc::new(Mutex::new(process)),
            socket: Arc::new(Mutex::new(socket)),
        }
    }

    /// The process, to cut its power from a test.
    #[must_use]
    pub fn process(&self) -> Arc<Mutex<Swtpm>> {
        Arc::clone(&self.process)
    }
}

impl TpmBackend for SwtpmBackend {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        lock(&self.socket).execute(command, locality)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        lock(&self.socket).reset()
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        let mut process = lock(&self.process);
        process
            .power_on()
            .map_err(|error| BackendError::Restart(error.to_string()))?;
        *lock(&self.socket) = process.client();
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), BackendError> {
        lock(&self.socket).cancel()
    }

    fn disconnect(&mut self) {
        lock(&self.socket).disconnect();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
