//! What the overlay reports while a machine runs: one JSON line per event, see the overlay's `report`. A bridge, which
//! is in this process, reports the same without the lines.

use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::QemuError;
use crate::board::{Machine, TpmSource};

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The overlay is loaded, or the bridge serves.
    Start {
        /// The chip.
        personality: String,
        /// Version of the plugin interface; 0 for a bridge.
        plugin_api: u32,
    },
    /// A TPM command ended.
    Command(CommandEvent),
    /// The machine passed the stop address.
    Span {
        /// Instructions since the start address.
        instructions: u64,
    },
    /// The microcontroller's watchdog ran out; a reset follows.
    WatchdogBite {
        /// The machine's virtual time, ns.
        at_ns: u64,
        /// The longest time without a kick so far, µs.
        longest_gap_us: u64,
    },
    /// The microcontroller was reset.
    SystemReset,
    /// QEMU ended in an orderly way.
    Exit(ExitEvent),
}

/// One TPM command, from the end of the one before to its own end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct CommandEvent {
    /// Number, from 1.
    pub n: u32,
    /// Name, such as "GetRandom".
    pub name: String,
    /// TPM_CC.
    pub code: Option<u32>,
    /// TPM_RC; `None` when the command was abandoned.
    pub rc: Option<u32>,
    /// Length of the command, bytes.
    pub command_len: u64,
    /// Length of the response, bytes.
    pub response_len: u64,
    /// Bytes clocked on SPI.
    pub bytes: u64,
    /// Falls of chip select.
    pub chip_selects: u64,
    /// Reads of STS.
    pub polls: u64,
    /// Submissions aborted before this one.
    pub aborts: u32,
    /// Uses of responseRetry.
    pub retries: u32,
    /// Real time of the software TPM, µs.
    pub tpm_us: u64,
    /// The machine's virtual time at the end, ns; a bridge gives the real time since its start.
    pub at_ns: u64,
    /// SPI bytes since power-on.
    pub total_bytes: u64,
    /// Falls of chip select since power-on.
    pub total_chip_selects: u64,
    /// Instructions since power-on; 0 when they are not counted.
    pub instructions: u64,
    /// Lowest address written in the watched range.
    pub stack_lowest: Option<u64>,
}

/// The sums at the end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExitEvent {
    /// SPI bytes.
    pub bytes: u64,
    /// Falls of chip select.
    pub chip_selects: u64,
    /// Wait bytes.
    pub wait_bytes: u64,
    /// Reads of STS.
    pub polls: u64,
    /// TPM commands.
    pub commands: u32,
    /// TPM resets.
    pub resets: u32,
    /// Faults that showed.
    pub faults: u64,
    /// Bytes clocked without chip select.
    pub stray_bytes: u64,
    /// Instructions; 0 when they are not counted.
    pub instructions: u64,
    /// Lowest address written in the watched range.
    pub stack_lowest: Option<u64>,
    /// Words that the board has had from the overlay's random number generator.
    #[serde(default)]
    pub noise_words: u64,
    /// How the board kicked the overlay's watchdog; `None` where there is none, or it was never started.
    #[serde(default)]
    pub watchdog: Option<Kicks>,
    /// What of its flash the board had closed until the next reset.
    #[serde(default)]
    pub closed: Vec<ClosedFlash>,
    /// Something of it was closed when the link was up already.
    #[serde(default)]
    pub closed_late: bool,
    /// Alarms of its timer that were set late, as it was told to.
    #[serde(default)]
    pub late_alarms: u32,
}

/// A part of the flash that is closed until the next reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ClosedFlash {
    /// Address of its first byte.
    pub address: u64,
    /// Bytes.
    pub len: u64,
    /// Nothing there can be written or erased.
    pub to_writes: bool,
    /// Nothing there can be read or executed.
    pub to_reads: bool,
}

/// How a watchdog was kicked, in the guest's time without what it spent in the models of the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Kicks {
    /// The longest time without one, µs.
    pub longest_gap_us: u64,
    /// How long the watchdog waits, µs, as it was last set.
    pub limit_us: u64,
    /// How often it ran out.
    pub bites: u32,
}

impl Kicks {
    /// Whether it never ran out, and never had less than half of its time left: its oscillator may run a third fast, and
    /// who takes that long on this machine has no time to spare on a board.
    #[must_use]
    pub const fn in_time(&self) -> bool {
        self.bites == 0 && self.longest_gap_us < self.limit_us / 2
    }
}

/// Whether a board kicked its watchdog in time; `None` of one that has none here.
///
/// # Errors
/// [`QemuError::Watchdog`] with what is known, also when the board never started it.
pub(crate) fn kicked(
    machine: &Machine,
    exit: Option<&ExitEvent>,
) -> Result<Option<Kicks>, QemuError> {
    if machine.tpm != TpmSource::Overlay {
        return Ok(None);
    }
    let kicks = exit.and_then(|exit| exit.watchdog);
    match kicks {
        Some(kicks) if kicks.in_time() => Ok(Some(kicks)),
        other => Err(QemuError::Watchdog(other)),
    }
}

/// Receives the events of one machine.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    stop: Arc<AtomicBool>,
}

impl Events {
    /// Takes events from whoever connects to `listener` first.
    ///
    /// # Errors
    /// What the operating system said when the listener could not be prepared.
    pub fn from(listener: UnixListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let ended = Arc::clone(&stop);
        thread::spawn(move || {
            let Some(stream) = accept(&listener, &ended) else {
                return;
            };
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { return };
                // A line that is cut off by a killed QEMU is no event.
                let Ok(event) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { receiver, stop })
    }

    /// Events from this process.
    pub(super) fn channel() -> (Sender<Event>, Self) {
        let (sender, receiver) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        (sender, Self { receiver, stop })
    }

    /// The next event, waiting at most `limit`; `None` when none came or the machine is gone.
    #[must_use]
    pub fn next(&self, limit: Duration) -> Option<Event> {
        self.receiver.recv_timeout(limit).ok()
    }

    /// Every event until the machine is gone, waiting at most `limit` for each.
    #[must_use]
    pub fn rest(&self, limit: Duration) -> Vec<Event> {
        std::iter::from_fn(|| self.next(limit)).collect()
    }

    /// Waits for the end of a command with this name, at most `limit` for each event before it.
    #[must_use]
    pub fn command(&self, name: &str, limit: Duration) -> Option<CommandEvent> {
        loop {
            match self.next(limit)? {
                Event::Command(command) if command.name == name => return Some(command),
                _ => {}
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn accept(listener: &UnixListener, ended: &AtomicBool) -> Option<UnixStream> {
    while !ended.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).ok()?;
            return Some(stream);
        }
        thread::sleep(Duration::from_millis(2));
    }
    None
}
