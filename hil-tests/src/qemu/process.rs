//! A running machine. Dropping it ends its process, and only that.

use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::bridge::Bridge;
use super::events::Events;
use super::qmp::Qmp;
use super::{QemuError, io_error};

/// How long QEMU may take to connect its serial line. Usually 40 to 70 ms.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to end when told to.
const END_LIMIT: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(2);

/// A machine that runs.
#[derive(Debug)]
pub struct Qemu {
    child: Arc<Mutex<Child>>,
    serial: UnixStream,
    events: Option<Events>,
    bridge: Option<Bridge>,
    started: Instant,
    folder: TempDir,
    /// Dropping it ends the thread that watches the deadline.
    _deadline: Sender<()>,
}

impl Qemu {
    /// Spawns `command` and accepts its serial line.
    pub(super) fn spawn(
        mut command: Command,
        folder: TempDir,
        listener: &UnixListener,
        events: Option<Events>,
        bridge: Option<Bridge>,
        deadline: Duration,
    ) -> Result<Self, QemuError> {
        let errors = folder.path().join("stderr");
        let sink = File::create(&errors).map_err(io_error("making a file for QEMU's errors"))?;
        let started = Instant::now();
        let child = command.stderr(sink).spawn().map_err(io_error(format!(
            "running {}",
            command.get_program().display()
        )))?;
        let child = Arc::new(Mutex::new(child));
        let connected = accept(listener, &child, &errors).and_then(|serial| {
            // The serial line is connected before the plugin is asked whether it is content.
            if let Some(events) = &events {
                await_overlay(events, &child, &errors)?;
            }
            Ok(serial)
        });
        let serial = match connected {
            Ok(serial) => serial,
            Err(error) => {
                end(&child);
                return Err(error);
            }
        };
        let watched = Arc::clone(&child);
        let (guard, gone) = mpsc::channel::<()>();
        thread::spawn(move || {
            if gone.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
                end(&watched);
            }
        });
        Ok(Self {
            child,
            serial,
            events,
            bridge,
            started,
            folder,
            _deadline: guard,
        })
    }

    /// The board's link. Reads end with the machine.
    ///
    /// # Errors
    /// [`QemuError::Io`] when the handle could not be copied.
    pub fn serial(&self) -> Result<UnixStream, QemuError> {
        self.serial
            .try_clone()
            .map_err(io_error("copying the serial line"))
    }

    /// What the overlay or the bridge reports; `None` for a machine with a TPM of its own.
    #[must_use]
    pub fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    /// Since the process was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Whether it still runs (it does not after its deadline).
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// What QEMU has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.folder.path().join("stderr"))
    }

    /// The monitor.
    ///
    /// # Errors
    /// [`QemuError`].
    pub fn monitor(&self) -> Result<Qmp, QemuError> {
        Qmp::connect(&self.folder.path().join("qmp"))
    }

    /// Presses the board's reset button. The TPM keeps running.
    ///
    /// # Errors
    /// [`QemuError`].
    pub fn reset(&self) -> Result<(), QemuError> {
        self.monitor()?.execute("system_reset")
    }

    /// Ends the machine in an orderly way, so that the overlay or the bridge reports its sums, and returns the exit
    /// status and what is left of the events.
    ///
    /// # Errors
    /// [`QemuError`] when the monitor does not answer; the process is ended all the same.
    pub fn quit(mut self) -> Result<(ExitStatus, Option<Events>), QemuError> {
        self.monitor()?.execute("quit")?;
        let status = wait(&self.child, END_LIMIT)?;
        drop(self.bridge.take());
        Ok((status, self.events.take()))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills and reaps the child, if it still is there.
fn end(child: &Mutex<Child>) {
    let mut child = lock(child);
    let _ = child.kill();
    let _ = child.wait();
}

fn wait(child: &Mutex<Child>, limit: Duration) -> Result<ExitStatus, QemuError> {
    let started = Instant::now();
    loop {
        let state = lock(child)
            .try_wait()
            .map_err(io_error("waiting for QEMU"))?;
        if let Some(status) = state {
            return Ok(status);
        }
        if started.elapsed() > limit {
            return Err(QemuError::Late(limit));
        }
        thread::sleep(TICK);
    }
}

fn accept(
    listener: &UnixListener,
    child: &Mutex<Child>,
    errors: &Path,
) -> Result<UnixStream, QemuError> {
    listener
        .set_nonblocking(true)
        .map_err(io_error("listening for the serial line"))?;
    let started = Instant::now();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream
                .set_nonblocking(false)
                .map_err(io_error("preparing the serial line"))?;
            return Ok(stream);
        }
        if let Ok(Some(status)) = lock(child).try_wait() {
            return Err(QemuError::Ended {
                status: status.to_string(),
                stderr: read(errors),
            });
        }
        if started.elapsed() > START_LIMIT {
            return Err(QemuError::Late(START_LIMIT));
        }
        thread::sleep(TICK);
    }
}

/// Waits for the overlay's first event, or for the end of a QEMU that it refused to serve.
fn await_overlay(events: &Events, child: &Mutex<Child>, errors: &Path) -> Result<(), QemuError> {
    let started = Instant::now();
    while started.elapsed() < START_LIMIT {
        if events.next(Duration::from_millis(20)).is_some() {
            return Ok(());
        }
        if let Ok(Some(status)) = lock(child).try_wait() {
            return Err(QemuError::Ended {
                status: status.to_string(),
                stderr: read(errors),
            });
        }
    }
    Err(QemuError::Late(START_LIMIT))
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
