//! A board in QEMU with a verifier in this process: no socket, no store, a session that can be as short as a
//! measurement wants.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;
use assay_host_verifier::clock::{Clock, SystemClock};
use assay_host_verifier::config::DEFAULT_LOGIN_TIMEOUT;
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::session::PathTemplate;
use assay_spi_tpm::swtpm::{Mode, Swtpm};

use crate::board::{self, Board};
use crate::manufacture::ManufacturedTpm;
use crate::qemu::{
    CommandEvent, Event, ExitEvent, Launch, OverlayOptions, Qemu, QemuError, events,
};
use crate::scenario::line::Line;
use crate::scenario::local_verifier::{LocalVerifier, Outcome};
use crate::scenario::loopback::{CLUSTER, Sessions, TRUST_DOMAIN};

/// How long one reading of the serial line may take.
const TICK: Duration = Duration::from_millis(5);
/// A machine is killed after this.
const DEADLINE: Duration = Duration::from_secs(300);
/// The overlay's events have ended when none came for this long.
const QUIET: Duration = Duration::from_millis(300);

/// Length of what stands for an SVID.
const SVID_BYTES: usize = 1_300;

/// What a measurement wants of a machine.
#[derive(Debug, Clone)]
pub struct Setup {
    /// An AgentAttestation document.
    pub policy: String,
    /// How long sessions last; the agent logs in again after three quarters of it, or renews after half of it.
    pub session_ttl: Duration,
    /// Which of the two.
    pub sessions: Sessions,
    /// The model's chip, faults and counters.
    pub overlay: OverlayOptions,
    /// Instructions decide the time.
    pub icount: Option<u8>,
    /// Files that are in memory at the start, by address.
    pub loads: Vec<(std::path::PathBuf, u64)>,
}

/// A running board.
pub struct Machine {
    /// The emulator.
    pub qemu: Qemu,
    line: Line<LocalVerifier>,
    serial: UnixStream,
    _swtpm: Swtpm,
    machine: board::Machine,
}

impl Machine {
    /// Starts the board with its TPM; files go to `folder`, which outlives the run.
    ///
    /// # Errors
    ///
    /// When a program is missing or does not start, or the policy is not accepted.
    pub fn start(
        board: &Board,
        image: &Path,
        tpm: &ManufacturedTpm,
        folder: &Path,
        setup: &Setup,
    ) -> Result<Self> {
        let machine = board.manifest.qemu.as_ref();
        let machine = machine.with_context(|| format!("QEMU cannot run boards/{}", board.name))?;
        let mode = if machine.has_spi_tpm() {
            Mode::Sockets
        } else {
            Mode::QemuEmulator
        };
        let swtpm = tpm.start(&folder.join("tpm"), mode).context("swtpm")?;

        let document = PolicyDocument::parse("policy.yaml", &setup.policy)
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        let policies = document
            .build("policy.yaml", Path::new("/"))
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        let key = ChallengeKey::generate()?;
        let record = folder.join("record.bin");
        std::fs::write(&record, provisioning_record(&key)?)?;
        let verifier = Verifier {
            trust_domain: TRUST_DOMAIN.to_owned(),
            clusters: [(CLUSTER.to_owned(), Arc::new(policies.into()))].into(),
            unusable: std::collections::BTreeMap::new(),
            key,
            login_timeout: DEFAULT_LOGIN_TIMEOUT,
            session_ttl: setup.session_ttl,
            path_template: PathTemplate::parse("/node/{{tpm_ek.public_hash}}")
                .context("template")?,
            reattest_after: setup.sessions.reattest_after(setup.session_ttl),
            issues_svids: setup.sessions == Sessions::Renewal,
        };
        let clock = SystemClock::new();
        let mut local = LocalVerifier::new(
            Arc::new(verifier),
            Box::new(SystemRandom),
            Box::new(move || clock.now()),
        );
        // No SVID, but as many bytes as one with an intermediate certificate has.
        local.issue_by(Box::new(|_| vec![0x30; SVID_BYTES]));

        let mut launch = Launch::new(machine, image, &swtpm)
            .overlay(setup.overlay.clone())
            .deadline(DEADLINE)
            .load(&record, board.manifest.provisioning_address);
        for (file, address) in &setup.loads {
            launch = launch.load(file, *address);
        }
        if let Some(shift) = setup.icount {
            launch = launch.icount(shift);
        }
        let qemu = launch.start()?;
        let serial = qemu.serial()?;
        serial.set_read_timeout(Some(TICK))?;
        Ok(Self {
            qemu,
            line: Line::new(local),
            serial,
            _swtpm: swtpm,
            machine: machine.clone(),
        })
    }

    /// Carries the line between the board and the verifier until `done`.
    ///
    /// # Errors
    ///
    /// When that takes longer than `limit` or the machine ends, with what the verifier saw.
    pub fn run(&mut self, limit: Duration, done: &dyn Fn(&LocalVerifier) -> bool) -> Result<()> {
        let started = Instant::now();
        while !self.line.with_peer(|verifier| done(verifier)) {
            if started.elapsed() > limit {
                bail!(
                    "not there after {limit:?}; the verifier saw {}",
                    self.summary()
                );
            }
            if !self.qemu.is_running() {
                bail!("QEMU has ended: {}", self.qemu.stderr());
            }
            self.carry()?;
        }
        Ok(())
    }

    /// How logins ended so far.
    #[must_use]
    pub fn summary(&self) -> String {
        let names = self.line.with_peer(|verifier| {
            let names = verifier.outcomes.iter().map(|outcome| match outcome {
                Outcome::Granted(_) => "granted".to_owned(),
                Outcome::Renewed(_) => "renewed".to_owned(),
                Outcome::Denied(denied) => format!("denied ({})", denied.detail),
                Outcome::Trouble(trouble) => format!("{trouble:?}"),
                Outcome::Panic(text) => format!("panic ({text})"),
            });
            names.collect::<Vec<_>>()
        });
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        }
    }

    /// Lets the agent come to rest; returns the TPM commands since the last rest, none without a model.
    ///
    /// # Errors
    ///
    /// When the line fails.
    pub fn come_to_rest(&mut self) -> Result<Vec<CommandEvent>> {
        let events = self.rest()?;
        let commands = events.into_iter().filter_map(|event| match event {
            Event::Command(command) => Some(command),
            _ => None,
        });
        Ok(commands.collect())
    }

    /// What the overlay told until it told nothing for a while.
    fn rest(&mut self) -> Result<Vec<Event>> {
        let mut seen = Vec::new();
        loop {
            let until = Instant::now() + QUIET;
            let before = seen.len();
            while Instant::now() < until {
                self.carry()?;
            }
            let Some(events) = self.qemu.events() else {
                return Ok(seen);
            };
            seen.extend(std::iter::from_fn(|| events.next(Duration::ZERO)));
            if seen.len() == before {
                return Ok(seen);
            }
        }
    }

    /// Ends the machine; returns the TPM commands it sent and the model's sums, empty and `None` without a model.
    ///
    /// # Errors
    ///
    /// When QEMU does not end as told, or the board did not kick its watchdog in time.
    pub fn quit(mut self) -> Result<(Vec<CommandEvent>, Option<ExitEvent>)> {
        // The agent may still be flushing its keys: let it come to rest.
        let mut seen = self.rest()?;
        let (_status, events) = self.qemu.quit()?;
        seen.extend(events.iter().flat_map(|events| events.rest(QUIET)));
        let mut commands = Vec::new();
        let mut exit = None;
        for event in seen {
            match event {
                Event::Command(command) => commands.push(command),
                Event::Exit(sums) => exit = Some(sums),
                _ => {}
            }
        }
        events::kicked(&self.machine, exit.as_ref())?;
        Ok((commands, exit))
    }

    /// One reading of the line, and the verifier's answer to it.
    fn carry(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        let read = match self.serial.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error).context("the board's line"),
        };
        let heard = buffer.get(..read).unwrap_or_default();
        embedded_io::Write::write_all(&mut self.line, heard)?;
        loop {
            let written = embedded_io::Read::read(&mut self.line, &mut buffer)?;
            if written == 0 {
                return Ok(());
            }
            self.serial
                .write_all(buffer.get(..written).unwrap_or_default())
                .context("the board's line")?;
        }
    }

    /// Reads `len` bytes of the machine's memory at `address`.
    ///
    /// # Errors
    ///
    /// [`QemuError`] when the monitor refuses.
    pub fn memory(&self, address: u64, len: u64, folder: &Path) -> Result<Vec<u8>> {
        let file = folder.join("memory.bin");
        self.qemu
            .monitor()?
            .save_memory(address, len, &file)
            .map_err(|error: QemuError| error)?;
        std::fs::read(&file).with_context(|| file.display().to_string())
    }
}

fn provisioning_record(key: &ChallengeKey) -> Result<Vec<u8>> {
    let provisioning = Provisioning {
        cluster: CLUSTER,
        trust_domain: TRUST_DOMAIN,
        verifier_key: key.public(),
    };
    let mut record = vec![0; MAX_RECORD];
    let len = provisioning.write(&mut record)?;
    record.truncate(len);
    Ok(record)
}
