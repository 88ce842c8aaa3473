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
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::manufacture::ManufacturedTpm;
use crate::scenario::loopback;

/// How long `assayd` may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The cluster and the trust domain of a scenario.
pub(super) const CLUSTER: &str = "lab";
const TRUST_DOMAIN: &str = "assay.example";

/// One line of `assayd --events`.
#[derive(Debug, Clone, Deserialize)]
pub struct VerifierEvent {
    /// Which step.
    pub step: String,
    /// `ok` or `failed`.
    pub outcome: String,
    /// The method, where there is one.
    pub method: Option<String>,
    /// For whoever reads along.
    #[serde(default)]
    pub detail: String,
    /// The category of a denial.
    pub code: Option<String>,
    /// The policy that won.
    pub policy: Option<String>,
    /// What the policy's attestors vouch for.
    pub attributes: Option<Map<String, Value>>,
    /// The identity.
    pub spiffe_id: Option<String>,
    /// The session.
    pub session: Option<Value>,
}

impl VerifierEvent {
    /// Whether it ends a login.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.step.as_str(), "granted") || (self.step == "denied" && self.code.is_some())
    }

    /// Whether it is a grant.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.step == "granted"
    }
}

/// A running `assayd`; ends with its owner.
pub struct Assayd {
    child: Child,
    config: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    events: Receiver<VerifierEvent>,
    /// The connection that found it listening, for the first agent.
    first: Mutex<Option<UnixStream>>,
}

/// A program of this workspace: beside the running one, where cargo puts all binaries of a profile.
fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("where this program is")?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("`{name}` is not built: cargo build -p assay-host-verifier --bins"))
}

impl Assayd {
    /// Starts a verifier that accepts EKs by `tpm`'s CA and PCRs 0 to 7 as a reset leaves them.
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn start(tpm: &ManufacturedTpm, folder: &Path) -> Result<Self> {
        let policy = loopback::policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
        Self::with_policy(&policy, folder)
    }

    /// Starts a verifier with a policy document.
    ///
    /// # Errors
    ///
    /// When it does not start, with its log.
    pub fn with_policy(policy: &str, folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        fs::create_dir_all(&folder)?;
        let (socket, config) = (folder.join("agents"), folder.join("assayd.yaml"));
        fs::write(folder.join("policy.yaml"), policy)?;
        let yaml = format!(
            "trustDomain: {TRUST_DOMAIN}\ndataDir: {}\nlisteners:\n  unix:\n    - path: {}\nclusters:\n  {CLUSTER}: policy.yaml\nsession:\n  ttl: 1h\n",
            folder.join("data").display(),
            socket.display(),
        );
        fs::write(&config, yaml)?;

        let listener = UnixListener::bind(folder.join("events"))?;
        let log = folder.join("assayd.log");
        let child = Command::new(program("assayd")?)
            .arg("--config")
            .arg(&config)
            .arg("--events")
            .arg(folder.join("events"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("assayd")?;
        let first = Mutex::new(None);
        let mut assayd = Self { child, config, socket, log, events: receive(listener), first };
        assayd.wait_until_it_listens()?;
        Ok(assayd)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Ok(stream) = UnixStream::connect(&self.socket) {
                self.first = Mutex::new(Some(stream));
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("assayd ended ({status}): {}", self.log().trim());
            }
            // The socket is a file that appears; nothing announces it.
            thread::park_timeout(Duration::from_millis(5));
        }
        bail!("assayd does not listen after {START_LIMIT:?}: {}", self.log().trim())
    }

    /// A connection as an agent's line has it.
    ///
    /// # Errors
    ///
    /// When `assayd` is gone.
    pub fn connect(&self) -> Result<UnixStream> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(|| UnixStream::connect(&self.socket).context("connecting to assayd"), Ok)
    }

    /// Where agents connect.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The provisioning record for its nodes, made by `assay provision record`.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub fn record(&self) -> Result<PathBuf> {
        let out = self.config.with_file_name("record.bin");
        let output = Command::new(program("assay")?)
            .args(["provision", "record", "--cluster", CLUSTER, "--config"])
            .arg(&self.config)
            .arg("--out")
            .arg(&out)
            .output()
            .context("assay")?;
        if !output.status.success() {
            bail!("assay provision record: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(out)
    }

    /// The next event, if one comes in time.
    #[must_use]
    pub fn event(&self, limit: Duration) -> Option<VerifierEvent> {
        self.events.recv_timeout(limit).ok()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }
}

impl Drop for Assayd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receive(listener: UnixListener) -> Receiver<VerifierEvent> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
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
