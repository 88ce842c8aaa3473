//! `assayd` as a process, and what it reports.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Reference, VerifierEvent};
use crate::manufacture::ManufacturedTpm;
use crate::scenario::loopback;
use crate::scenario::rig::Terms;

/// How long `assayd` may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The cluster and the trust domain of a scenario.
pub(super) const CLUSTER: &str = "lab";
const TRUST_DOMAIN: &str = "assay.example";
/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(3_600);
/// Names of files in the run's folder.
const SOCKET: &str = "agents";
const CONFIG: &str = "assayd.yaml";
const LOG: &str = "assayd.log";

/// Where a verifier hears its agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentLine {
    /// A Unix socket in the run's folder, which a tap connects to.
    Socket,
    /// A real serial port.
    Serial {
        /// The device.
        port: String,
        /// Bits per second.
        baud: u32,
    },
}

/// A running `assayd`; ends with its owner.
pub struct Assayd {
    child: Child,
    /// Configuration, data and log.
    folder: PathBuf,
    /// Sockets, whose paths must be short.
    sockets: PathBuf,
    line: AgentLine,
    /// The one that it was started with first.
    policy: String,
    events: Receiver<VerifierEvent>,
    /// The connection that found it listening, for the first agent.
    first: Mutex<Option<UnixStream>>,
}

/// A program of this workspace: beside the running one, where cargo puts all binaries of a profile.
///
/// # Errors
///
/// When it is not built.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("where this program is")?;
    let found = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!("`{name}` is not built: cargo build -p assay-host-verifier --bins")
    })
}

impl Assayd {
    /// Starts a verifier that accepts EKs by `tpm`'s CA and PCRs 0 to 7 as a reset leaves them. A session lasts an hour
    /// unless it is said how long.
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn start(tpm: &ManufacturedTpm, folder: &Path, session: Option<Duration>) -> Result<Self> {
        let policy = loopback::policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
        let session = session.unwrap_or(SESSION);
        Self::on(&policy, folder, folder, AgentLine::Socket, session)
    }

    /// As [`Self::start`], with all that lasts in `folder`, which can be moved after [`Self::settle`], and its sockets in
    /// another.
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn start_in(
        folder: &Path,
        sockets: &Path,
        tpm: &ManufacturedTpm,
        session: Option<Duration>,
    ) -> Result<Self> {
        let cas = ["root.pem", "intermediate.pem"].map(Path::new);
        for (name, ca) in cas.iter().zip([tpm.root_ca(), tpm.intermediate_ca()]) {
            fs::copy(ca, folder.join(name))?;
        }
        let policy = loopback::policy(&cas, true);
        let session = session.unwrap_or(SESSION);
        Self::on(&policy, folder, sockets, AgentLine::Socket, session)
    }

    /// Starts a verifier with a policy document; a session lasts an hour.
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn with_policy(policy: &str, folder: &Path, line: AgentLine) -> Result<Self> {
        Self::on(policy, folder, folder, line, SESSION)
    }

    fn on(
        policy: &str,
        folder: &Path,
        sockets: &Path,
        line: AgentLine,
        session: Duration,
    ) -> Result<Self> {
        let (folder, sockets) = (std::path::absolute(folder)?, std::path::absolute(sockets)?);
        fs::create_dir_all(&folder)?;
        configure(&folder, &sockets, &line, policy, session)?;
        let (child, events) = spawn(&folder, &sockets)?;
        let mut assayd = Self {
            child,
            folder,
            sockets,
            line,
            policy: policy.to_owned(),
            events,
            first: Mutex::new(None),
        };
        assayd.wait_until_it_listens()?;
        Ok(assayd)
    }

    /// Kills it.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again, on the same data, after [`Assayd::stop`].
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn start_again(&mut self) -> Result<()> {
        (self.child, self.events) = spawn(&self.folder, &self.sockets)?;
        self.wait_until_it_listens()
    }

    /// Restarts it, on the same data, with other terms.
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn decide_by(&mut self, terms: &Terms<'_>) -> Result<()> {
        self.stop()?;
        let policy = terms.policy.unwrap_or(&self.policy);
        let session = terms.session.unwrap_or(SESSION);
        configure(&self.folder, &self.sockets, &self.line, policy, session)?;
        self.start_again()
    }

    /// Ends it for good; its configuration then names nothing outside its folder.
    ///
    /// # Errors
    ///
    /// When it cannot be killed, or the configuration cannot be written.
    pub fn settle(&mut self) -> Result<()> {
        self.stop()?;
        for left in ["events", SOCKET] {
            let _ = fs::remove_file(self.folder.join(left));
        }
        configure(
            &self.folder,
            Path::new(""),
            &self.line,
            &self.policy,
            SESSION,
        )
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("assayd ended ({status}): {}", self.log().trim());
            }
            match self.line {
                AgentLine::Socket => {
                    if let Ok(stream) = UnixStream::connect(self.socket()) {
                        self.first = Mutex::new(Some(stream));
                        return Ok(());
                    }
                    // The socket is a file that appears; nothing announces it.
                    thread::park_timeout(Duration::from_millis(5));
                }
                AgentLine::Serial { .. } => {
                    if self
                        .event(Duration::from_millis(100))
                        .is_some_and(|event| event.step == "link_open")
                    {
                        return Ok(());
                    }
                }
            }
        }
        bail!(
            "assayd does not listen after {START_LIMIT:?}: {}",
            self.log().trim()
        )
    }

    /// A connection as an agent's line has it.
    ///
    /// # Errors
    ///
    /// When `assayd` is gone.
    pub fn connect(&self) -> Result<UnixStream> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        first.map_or_else(
            || UnixStream::connect(self.socket()).context("connecting to assayd"),
            Ok,
        )
    }

    /// Where agents connect.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.sockets.join(SOCKET)
    }

    /// The provisioning record for its nodes, made by `assay provision record`.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub fn record(&self) -> Result<PathBuf> {
        let out = self.folder.join("record.bin");
        let output = Command::new(program("assay")?)
            .args(["provision", "record", "--cluster", CLUSTER, "--config"])
            .arg(self.config())
            .arg("--out")
            .arg(&out)
            .output()
            .context("assay")?;
        if !output.status.success() {
            bail!(
                "assay provision record: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(out)
    }

    /// Registers an image, by `assay image register`. An emulator's flash reads 0 where nothing was written.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub fn register(&self, image: &Reference) -> Result<()> {
        let output = Command::new(program("assay")?)
            .args(["image", "register", "--erased", "00"])
            .args(["--name", &image.name, "--version", &image.version])
            .arg("--config")
            .arg(self.config())
            .arg(&image.elf)
            .output()
            .context("assay")?;
        if !output.status.success() {
            bail!(
                "assay image register: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// The next event, if one comes in time.
    #[must_use]
    pub fn event(&self, limit: Duration) -> Option<VerifierEvent> {
        self.events.recv_timeout(limit).ok()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }
}

impl Drop for Assayd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes `assayd`'s files.
fn configure(
    folder: &Path,
    sockets: &Path,
    line: &AgentLine,
    policy: &str,
    session: Duration,
) -> Result<()> {
    fs::write(folder.join("policy.yaml"), policy)?;
    let listener = match line {
        AgentLine::Socket => format!("unix:\n    - path: {}", sockets.join(SOCKET).display()),
        AgentLine::Serial { port, baud } => {
            format!("serial:\n    - path: {port}\n      baud: {baud}")
        }
    };
    let yaml = format!(
        "trustDomain: {TRUST_DOMAIN}\ndataDir: data\nlisteners:\n  {listener}\nclusters:\n  {CLUSTER}: policy.yaml\nsession:\n  ttl: {}s\n",
        session.as_secs(),
    );
    fs::write(folder.join(CONFIG), yaml)?;
    Ok(())
}

fn spawn(folder: &Path, sockets: &Path) -> Result<(Child, Receiver<VerifierEvent>)> {
    let events = sockets.join("events");
    // Left over from the process before.
    let _ = fs::remove_file(&events);
    let listener = UnixListener::bind(&events)?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join(LOG))?;
    let child = Command::new(program("assayd")?)
        .arg("--config")
        .arg(folder.join(CONFIG))
        .arg("--events")
        .arg(&events)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("assayd")?;
    Ok((child, receive(listener)))
}

fn receive(listener: UnixListener) -> Receiver<VerifierEvent> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else {
            return;
        };
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if let Ok(event) = serde_json::from_str(&line)
                && sender.send(event).is_err()
            {
                return;
            }
        }
    });
    receiver
}
