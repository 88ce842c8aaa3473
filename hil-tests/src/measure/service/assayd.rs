//! One `assayd`, a process of its own, and what the kernel says it has used.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use assay_host_verifier::login::ChallengeKey;
use serde_json::Value;

use super::agent::CLUSTER;
use super::http::Target;

/// A service that does not listen after this has a reason to.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);
/// `USER_HZ`, which Linux has at 100 on every architecture that Rust's standard library runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Limits that protect a service from one peer, and all of this load is from one.
const LIMITS: [&str; 3] = [
    "limits.api.connectionsPerPeer=4096",
    "limits.api.requestsPerSecond=1000000",
    "limits.api.requestsInFlight=4096",
];

/// A site: configuration, certificates, store, and the clusters' policy.
pub struct Site {
    program: PathBuf,
    folder: PathBuf,
}

impl Site {
    /// `assayd init` in `folder`, and a cluster whose nodes have EK certificates of `makers` and all PCRs zero.
    ///
    /// # Errors
    ///
    /// When the program fails.
    pub fn set_up(program: &Path, folder: &Path, makers: &[String]) -> Result<Self> {
        let list: Vec<_> = makers
            .iter()
            .map(|path| serde_json::json!(path).to_string())
            .collect();
        let zero = "0".repeat(64);
        let policy = format!(
            "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: bench\n      requiredAttestors:\n\
             \x20       - type: tpm_ek\n          config:\n            manufacturerCAs: [{}]\n\
             \x20       - type: tpm_quote\n          config:\n            bank: sha256\n            pcrs:\n\
             \x20             0: \"{zero}\"\n              7: \"{zero}\"\n",
            list.join(", ")
        );
        Self::with_policy(program, folder, &policy, "")
    }

    /// `assayd init` in `folder`, and a cluster with this policy document; `more` stands in the configuration too.
    ///
    /// # Errors
    ///
    /// When the program fails.
    pub fn with_policy(program: &Path, folder: &Path, policy: &str, more: &str) -> Result<Self> {
        let made = Command::new(program)
            .args(["init", "--trust-domain", "bench.example", "--dir"])
            .arg(folder.join("site"))
            .output()
            .with_context(|| program.display().to_string())?;
        ensure!(
            made.status.success(),
            "assayd init: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let site = Self {
            program: program.to_owned(),
            folder: folder.join("site"),
        };
        std::fs::write(site.folder.join("bench.yaml"), policy)?;
        let path = site.configuration();
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(
            &path,
            format!("{text}\n{more}clusters:\n  {CLUSTER}: bench.yaml\n"),
        )?;
        Ok(site)
    }

    /// Writes what nodes are provisioned with, by the `assay` beside the service's program.
    ///
    /// # Errors
    ///
    /// When the program fails.
    pub fn provision(&self, out: &Path) -> Result<()> {
        let assay = self.program.with_file_name("assay");
        let made = Command::new(&assay)
            .args(["provision", "record", "--cluster", CLUSTER, "--config"])
            .arg(self.configuration())
            .arg("--out")
            .arg(out)
            .output()
            .with_context(|| assay.display().to_string())?;
        ensure!(
            made.status.success(),
            "assay provision record: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(())
    }

    /// SQLite's file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("data/assay.sqlite")
    }

    /// The first administrator's token.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn token(&self) -> Result<String> {
        let token = std::fs::read_to_string(self.folder.join("admin.token"))?;
        Ok(token.trim().to_owned())
    }

    /// The key that nodes pin.
    ///
    /// # Errors
    ///
    /// When there is none yet: the first start makes it.
    pub fn verifier_key(&self) -> Result<Vec<u8>> {
        let key = ChallengeKey::existing(&self.folder.join("data")).context("challenge key")?;
        Ok(key.public().to_vec())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("assayd.yaml")
    }

    /// `assayd serve`; returns when it listens.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn start(&self) -> Result<Assayd> {
        let log = self.folder.join("assayd.log");
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.configuration());
        for listener in ["api", "health", "metrics"] {
            command.arg("--set");
            command.arg(format!("listeners.{listener}.address=127.0.0.1:0"));
        }
        for limit in LIMITS {
            command.args(["--set", limit]);
        }
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        let mut assayd = Assayd {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            started_in: Duration::ZERO,
        };
        assayd.address = assayd.wait_for(&log, started)?;
        assayd.started_in = started.elapsed();
        Ok(assayd)
    }

    /// The folder of its certificate, its key, and the CA.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.folder.join("tls")
    }

    /// How clients reach the service.
    ///
    /// # Errors
    ///
    /// When its CA's certificate cannot be read.
    pub fn target(&self, assayd: &Assayd) -> Result<Target> {
        Target::new(assayd.address, &self.tls().join("ca.crt"))
    }
}

/// A running service; ends with the value.
pub struct Assayd {
    child: Child,
    address: SocketAddr,
    started_in: Duration,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Processor time of all threads, user and system, seconds.
    pub cpu: f64,
    /// Of it, the threads that write the store.
    pub store: f64,
    /// Of it, the thread that writes the audit trail.
    pub audit: f64,
    /// Resident memory, bytes.
    pub resident: u64,
    /// Bytes that went to the disk on its account.
    pub written: u64,
}

impl Assayd {
    /// From its start until it listened.
    #[must_use]
    pub const fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Where its API listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_for(&mut self, log: &Path, started: Instant) -> Result<SocketAddr> {
        loop {
            let text = std::fs::read_to_string(log)?;
            if let Some(address) = listening(&text) {
                return Ok(address);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("assayd has ended ({status}): {text}");
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "assayd does not listen: {text}"
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// What it has used.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn usage(&self) -> Result<Usage> {
        let read = |name: &str| {
            let path = format!("/proc/{}/{name}", self.pid());
            std::fs::read_to_string(&path).context(path)
        };
        Ok(Usage {
            cpu: cpu_seconds(&read("stat")?).context("/proc/PID/stat")?,
            store: self.threads(&["store", "sqlx-sqlite-wor"])?,
            audit: self.threads(&["audit"])?,
            resident: field(&read("status")?, "VmRSS:").context("VmRSS")? * 1024,
            written: field(&read("io")?, "write_bytes:").context("write_bytes")?,
        })
    }

    /// Processor time of the threads with these names, seconds.
    fn threads(&self, names: &[&str]) -> Result<f64> {
        let mut seconds = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let folder = task?.path();
            // One that has ended meanwhile is none of these.
            let Ok(name) = std::fs::read_to_string(folder.join("comm")) else {
                continue;
            };
            if names.contains(&name.trim_end()) {
                let stat = std::fs::read_to_string(folder.join("stat"))?;
                seconds += cpu_seconds(&stat).context("/proc/PID/task/TID/stat")?;
            }
        }
        Ok(seconds)
    }

    /// Ends it as an operator would, and waits.
    ///
    /// # Errors
    ///
    /// When it ends otherwise.
    pub fn stop(mut self) -> Result<()> {
        let told = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()?;
        ensure!(told.success(), "kill: {told}");
        let status = self.child.wait()?;
        ensure!(status.success(), "assayd has ended with {status}");
        Ok(())
    }
}

impl Drop for Assayd {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the API listens, by the service's log.
fn listening(log: &str) -> Option<SocketAddr> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line.get("listener").and_then(Value::as_str) == Some("api"))
        .and_then(|line| line.get("address")?.as_str()?.parse().ok())
}

/// utime and stime: the 14th and 15th field, counted behind the name, which may have spaces. `proc(5)`
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

pub(in crate::measure) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_spaces() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (assayd) S 1 2"), None);
    }

    #[test]
    fn the_address_is_that_of_the_api() {
        let log = "started\n{\"listener\":\"health\",\"address\":\"127.0.0.1:1\"}\n\
                   {\"listener\":\"api\",\"address\":\"127.0.0.1:2\"}\n";
        assert_eq!(listening(log), Some(SocketAddr::from(([127, 0, 0, 1], 2))));
    }

    #[test]
    fn fields_of_proc_are_found_by_name() {
        assert_eq!(field("VmHWM: 9 kB\nVmRSS:\t 12 kB\n", "VmRSS:"), Some(12));
    }
}
