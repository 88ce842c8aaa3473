//! The real processes: `assayd` on SQLite, a board in QEMU (or on a bench), a software TPM, and a tap on the line.
//!
//! ```text
//!   swtpm ── SPI model in QEMU ── board ELF ══ serial ══ tap ══ unix socket ══ assayd ── events
//! ```
//!
//! The tap only listens: it cuts the bytes of both directions into frames and notes when each went by.

mod event;
mod svid;
mod tap;
mod verifier;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use assay_spi_tpm::interposer::socket::InterposedSocket;
use assay_spi_tpm::interposer::{Interposer, JournalHandle, Mode};
use assay_spi_tpm::swtpm::{Mode as Sockets, Swtpm};

use crate::board::{Board, Machine};
use crate::manufacture::ManufacturedTpm;
use crate::qemu::{Event, ExitEvent, Kicks, Launch, OverlayOptions, Qemu, events};
use crate::scenario::rig::Terms;

pub use event::VerifierEvent;
pub use svid::SvidSeen;
pub use tap::{Seen, Tap};
pub use verifier::{AgentLine, Assayd, program};

/// Longest life of a machine: every scenario of a rig in a row, with a session's length in it.
const DEADLINE: Duration = Duration::from_secs(600);
/// Longest wait for a report of a machine that has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a board is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The model's chip, faults and counters.
    pub overlay: OverlayOptions,
    /// Instructions decide the time, so that runs repeat.
    pub icount: Option<u8>,
    /// How long a session lasts; `None` for an hour.
    pub session: Option<Duration>,
    /// Where the verifier's configuration and data go; `None` for beside everything else.
    pub verifier: Option<PathBuf>,
    /// What the verifier decides by; `None` for the policy that takes the TPM and nothing booted.
    pub policy: Option<String>,
    /// What is registered before the board starts.
    pub references: Vec<Reference>,
    /// Who is on the TPM's bus, from power-on.
    pub interposer: Option<&'static Mode>,
}

/// An image to be registered.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The build.
    pub elf: PathBuf,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A board in QEMU that logs in at an `assayd`.
pub struct Live {
    /// The machine.
    pub qemu: Qemu,
    /// The verifier.
    pub assayd: Assayd,
    /// What went over the line.
    pub tap: Tap,
    /// The software TPM.
    pub swtpm: Swtpm,
    /// What the attacker has seen and done, where there is one.
    pub journal: Option<JournalHandle>,
    relay: Relay,
    machine: Machine,
}

impl Live {
    /// Starts everything; files go to `folder`, which outlives the run.
    ///
    /// # Errors
    ///
    /// When a program is missing or does not start.
    pub fn start(
        board: &Board,
        image: &Path,
        tpm: &ManufacturedTpm,
        folder: &Path,
        options: &Options,
    ) -> Result<Self> {
        let machine = board.manifest.qemu.as_ref();
        let machine = machine.with_context(|| format!("QEMU cannot run boards/{}", board.name))?;
        let mode = if machine.has_spi_tpm() {
            Sockets::Sockets
        } else {
            Sockets::QemuEmulator
        };
        let swtpm = tpm.start(&folder.join("tpm"), mode).context("swtpm")?;
        let mut overlay = options.overlay.clone();
        let journal = match options.interposer {
            None => None,
            Some(mode) => {
                let interposer = Interposer::new(swtpm.client(), mode.script());
                let journal = interposer.journal();
                let socket = folder.join("interposed.sock");
                let socket = InterposedSocket::listen(&socket, interposer).context("socket")?;
                overlay.interposed = Some(socket.path().to_owned());
                Some(journal)
            }
        };
        let assayd = match (&options.policy, &options.verifier) {
            (Some(policy), _) => Assayd::with_policy(policy, folder, AgentLine::Socket)?,
            (None, None) => Assayd::start(tpm, folder, options.session)?,
            (None, Some(own)) => Assayd::start_in(own, folder, tpm, options.session)?,
        };
        for reference in &options.references {
            assayd.register(reference)?;
        }
        let record = assayd.record()?;
        let mut launch = Launch::new(machine, image, &swtpm)
            .overlay(overlay)
            .deadline(DEADLINE)
            .load(&record, board.manifest.provisioning_address);
        if let Some(shift) = options.icount {
            launch = launch.icount(shift);
        }
        let qemu = launch.start()?;
        // Times count from the machine's power-on, not from the build of the overlay before it.
        let now = Instant::now();
        let tap = Tap::new(now.checked_sub(qemu.elapsed()).unwrap_or(now));
        let relay = Relay::new(qemu.serial()?, tap.clone());
        relay.connect(assayd.connect()?)?;
        Ok(Self {
            qemu,
            assayd,
            tap,
            swtpm,
            journal,
            relay,
            machine: machine.clone(),
        })
    }

    /// Waits for the verifier's word on the next login or renewal.
    ///
    /// # Errors
    ///
    /// When none comes in time, with what is known of the reason.
    pub fn finish(
        &self,
        limit: Duration,
        each: &mut dyn FnMut(&VerifierEvent),
    ) -> Result<VerifierEvent> {
        let end = Instant::now() + limit;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if !self.qemu.is_running() {
                bail!("QEMU has ended: {}", self.qemu.stderr().trim());
            }
            let Some(event) = self.assayd.event(left.min(Duration::from_millis(200))) else {
                continue;
            };
            each(&event);
            if event.is_end() {
                return Ok(event);
            }
        }
        bail!(
            "no decision within {limit:?}; the line saw: {}",
            self.tap.summary()
        );
    }

    /// Takes the verifier away, resets the board, and starts the verifier again, on the same data, once the board has
    /// said hello so many times.
    ///
    /// # Errors
    ///
    /// When the board does not say hello within `limit`, or the verifier does not start.
    pub fn absent_verifier(&mut self, hellos: usize, limit: Duration) -> Result<()> {
        self.assayd.stop()?;
        self.relay.disconnect();
        self.qemu.reset()?;
        self.tap.clone().wait_for_hellos(hellos, limit)?;
        self.assayd.start_again()?;
        self.relay.connect(self.assayd.connect()?)
    }

    /// Restarts the verifier, on the same data, with other terms.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn decide_by(&mut self, terms: &Terms<'_>) -> Result<()> {
        self.relay.disconnect();
        self.assayd.decide_by(terms)?;
        self.relay.connect(self.assayd.connect()?)
    }

    /// Ends the run. What the board did in it was done with its watchdog kicked in time, where the overlay has one; the longest
    /// time without a kick is returned.
    ///
    /// # Errors
    ///
    /// When QEMU does not end as told, or the watchdog ran out or was about to.
    pub fn end(self) -> Result<Option<Kicks>> {
        self.end_with_sums().map(|(kicks, _)| kicks)
    }

    /// As [`Live::end`], with what the overlay or the bridge sums up.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn end_with_sums(self) -> Result<(Option<Kicks>, Option<ExitEvent>)> {
        let (_status, events) = self.qemu.quit()?;
        let last = events.and_then(|events| events.rest(LAST_WORDS).pop());
        let exit = last.and_then(|event| match event {
            Event::Exit(exit) => Some(exit),
            _ => None,
        });
        Ok((events::kicked(&self.machine, exit.as_ref())?, exit))
    }

    /// The TPM commands that the overlay or the bridge saw since the last call; waits so long for more.
    #[must_use]
    pub fn commands(&self, wait: Duration) -> Vec<crate::qemu::CommandEvent> {
        let events = self.qemu.events().map(|events| events.rest(wait));
        events
            .into_iter()
            .flatten()
            .filter_map(|event| match event {
                Event::Command(command) => Some(command),
                _ => None,
            })
            .collect()
    }
}

/// Carries bytes between the board's line and whichever verifier is connected, past the tap. A verifier may go and
/// another come while the board goes on; what the board says meanwhile is lost, as on a port that nobody has open.
#[derive(Clone)]
struct Relay {
    board: Arc<UnixStream>,
    verifier: Arc<Mutex<Option<UnixStream>>>,
    tap: Tap,
}

impl Relay {
    fn new(board: UnixStream, tap: Tap) -> Self {
        let relay = Self {
            board: Arc::new(board),
            verifier: Arc::default(),
            tap,
        };
        let outward = relay.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A closed end is the run's end, not an error.
            while let Ok(read @ 1..) = (&*outward.board).read(&mut buffer) {
                let bytes = buffer.get(..read).unwrap_or_default();
                outward.tap.hear(true, bytes);
                if let Some(verifier) = &mut *outward.lock() {
                    let _ = verifier.write_all(bytes);
                }
            }
        });
        relay
    }

    fn connect(&self, verifier: UnixStream) -> Result<()> {
        let mut inward = verifier.try_clone()?;
        *self.lock() = Some(verifier);
        let relay = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = inward.read(&mut buffer) {
                let bytes = buffer.get(..read).unwrap_or_default();
                relay.tap.hear(false, bytes);
                if (&*relay.board).write_all(bytes).is_err() {
                    break;
                }
            }
        });
        Ok(())
    }

    /// Nobody listens any more; the board's bytes go past the tap and are lost.
    fn disconnect(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.verifier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
