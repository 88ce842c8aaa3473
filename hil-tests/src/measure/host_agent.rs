//! The agent of hosts against `assayd`, both optimised, each a process of its own, over TLS on loopback: how much memory it
//! holds, and how soon after its start it has an SVID.
//!
//! The method is `custom_jwt` with the issuer's key in the policy: a proof that needs neither a TPM nor a network. So the SVID's
//! key is made in software, and what is measured is the agent's own part: its start, two requests over TLS 1.3, two
//! signatures of the verifier verified, the files written and flushed to the disk.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::service::agent::CLUSTER;
use super::service::assayd::{Assayd, Site, field};

const ISSUER: &str = "https://issuer.bench.example";
/// The node has no TPM that would name it.
const NAMED: &str = "session: {pathTemplate: /host}\n";
/// An SVID that is not there after this does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked for it: a thousandth of the target.
const PAUSE: Duration = Duration::from_micros(200);
/// After the SVID: until the agent rests.
const SETTLE: Duration = Duration::from_secs(1);

/// What the agent takes. All names begin with `agent_`: they stand at the top of the benchmark's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostAgentReport {
    /// Resident memory of `assay-agent run` at rest after its first SVID.
    pub agent_memory: Memory,
    /// From the start of the process to the SVID's file, milliseconds by the clock.
    pub agent_first_svid_ms: Spread,
    /// Of it, the agent's own processor time.
    pub agent_first_svid_cpu_ms: Spread,
    /// `assay-agent login`, from its start to its end, milliseconds by the clock.
    pub agent_login_ms: Spread,
    /// Starts that were measured, of either command.
    pub agent_starts: u64,
}

/// Resident memory, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// All of it: the two below.
    pub resident: u64,
    /// Its own: heap, stacks, changed data.
    pub anonymous: u64,
    /// Pages of its program and libraries, which the system can drop and share.
    pub file: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// Several measurements of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least: what a machine takes that does nothing else.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of times.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn of(times: &[Duration]) -> Result<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let ms = |time: Option<&Duration>| {
            let time = time.context("nothing was measured")?;
            anyhow::Ok((time.as_secs_f64() * 1e4).round() / 10.0)
        };
        Ok(Self {
            median: ms(sorted.get(sorted.len() / 2))?,
            least: ms(sorted.first())?,
            most: ms(sorted.last())?,
        })
    }
}

/// Measures `starts` starts of the agent in `programs`, where `assayd` and `assay` lie too.
///
/// # Errors
///
/// When a program is missing, the service does not start, or a login is refused.
pub fn measure(
    programs: &Path,
    starts: u64,
    progress: &mut dyn FnMut(&str),
) -> Result<HostAgentReport> {
    progress("starting the agent of hosts against assayd");
    let folder = tempfile::Builder::new()
        .prefix("agent-")
        .tempdir_in(programs)?;
    let rig = Rig::new(programs, folder.path())?;
    let (mut took, mut ran, mut logins, mut memory) = (vec![], vec![], vec![], None::<Memory>);
    for _ in 0..starts {
        let start = rig.run()?;
        took.push(start.took);
        ran.push(start.ran);
        // The most of all starts.
        let known = memory.filter(|known| known.resident > start.memory.resident);
        memory = known.or(Some(start.memory));
        logins.push(rig.login()?);
    }
    let report = HostAgentReport {
        agent_memory: memory.context("nothing was measured")?,
        agent_first_svid_ms: Spread::of(&took)?,
        agent_first_svid_cpu_ms: Spread::of(&ran)?,
        agent_login_ms: Spread::of(&logins)?,
        agent_starts: starts,
    };
    progress(&format!(
        "  first SVID after {} ms, {} bytes resident",
        report.agent_first_svid_ms.median, report.agent_memory.resident
    ));
    Ok(report)
}

/// One start of `assay-agent run`.
struct Start {
    took: Duration,
    ran: Duration,
    memory: Memory,
}

/// A service, and an agent that it lets in.
struct Rig {
    agent: PathBuf,
    folder: PathBuf,
    _assayd: Assayd,
}

impl Rig {
    fn new(programs: &Path, folder: &Path) -> Result<Self> {
        let agent = programs.join("assay-agent");
        ensure!(agent.is_file(), "{} is not built", agent.display());
        let key = Ed25519KeyPair::generate()?;
        let site = Site::with_policy(&programs.join("assayd"), folder, &policy(&key), NAMED)?;
        site.provision(&folder.join("provisioning.bin"))?;
        let assayd = site.start()?;
        let config = format!(
            "agent:\n  auth:\n    clusterId: {CLUSTER}\n    attestors: [{{type: custom_jwt, config: {{tokenPath: token}}}}]\n  \
             provisioningRecord: provisioning.bin\n  output: {{directory: svid}}\n  server:\n    \
             addresses: ['https://localhost:{}']\n    ca: {}\n",
            assayd.address().port(),
            json!(site.tls().join("ca.crt")),
        );
        std::fs::write(folder.join("agent.yaml"), config)?;
        secret(&folder.join("token"), &token(&key)?)?;
        Ok(Self {
            agent,
            folder: folder.to_owned(),
            _assayd: assayd,
        })
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.agent);
        command.arg(name).arg("--config");
        command.arg(self.folder.join("agent.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn run(&self) -> Result<Start> {
        let files = self.folder.join("svid");
        if files.exists() {
            std::fs::remove_dir_all(&files)?;
        }
        let log = self.folder.join("agent.log");
        let mut command = self.command("run");
        command.stderr(std::fs::File::create(&log)?);
        let began = Instant::now();
        let mut agent = Agent(command.spawn()?);
        // Files are moved to their names when they are whole, the SVID's last.
        let svid = files.join("svid.pem");
        while !svid.exists() {
            let ended = agent.0.try_wait()?;
            if ended.is_some() || began.elapsed() > PATIENCE {
                bail!("the agent has no SVID: {}", std::fs::read_to_string(&log)?);
            }
            std::thread::sleep(PAUSE);
        }
        let took = began.elapsed();
        let ran = agent.ran()?;
        std::thread::sleep(SETTLE);
        let memory = agent.memory()?;
        agent.stop()?;
        Ok(Start { took, ran, memory })
    }

    fn login(&self) -> Result<Duration> {
        let began = Instant::now();
        let output = self.command("login").stderr(Stdio::piped()).output()?;
        let took = began.elapsed();
        ensure!(
            output.status.success(),
            "assay-agent login: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(took)
    }
}

/// A running agent; ends with the value.
struct Agent(Child);

impl Agent {
    fn proc(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0.id());
        std::fs::read_to_string(&path).context(path)
    }

    /// Processor time of all its threads: the first field of `schedstat`, nanoseconds. `proc(5)`'s `stat` counts hundredths of
    /// seconds, which are too coarse here.
    fn ran(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            sum += first.parse::<u64>().context("schedstat")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    fn memory(&self) -> Result<Memory> {
        Memory::of(&self.proc("status")?)
    }

    fn stop(mut self) -> Result<()> {
        let told = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()?;
        ensure!(told.success(), "kill: {told}");
        let status = self.0.wait()?;
        ensure!(status.success(), "the agent has ended with {status}");
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Memory {
    /// Out of `/proc/PID/status`.
    ///
    /// # Errors
    ///
    /// When a line is missing.
    pub fn of(status: &str) -> Result<Self> {
        let bytes = |name: &str| {
            let kibibytes = field(status, name).with_context(|| name.to_owned())?;
            anyhow::Ok(kibibytes * 1024)
        };
        let (anonymous, file) = (bytes("RssAnon:")?, bytes("RssFile:")?);
        Ok(Self {
            resident: anonymous + file,
            anonymous,
            file,
            peak: bytes("VmHWM:")?,
        })
    }
}

fn policy(key: &Ed25519KeyPair) -> String {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key())});
    let jwks = json!(json!({"keys": [jwk]}).to_string());
    format!(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: bench\n      requiredAttestors:\n\
         \x20       - type: custom_jwt\n          config: {{issuer: {ISSUER:?}, audience: assay-bench, jwks: {jwks}}}\n"
    )
}

fn token(key: &Ed25519KeyPair) -> Result<String> {
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": ISSUER,
        "aud": "assay-bench",
        "sub": "node-17",
        "iat": now - 10,
        "exp": now + 86_400,
    });
    let header = json!({"alg": "EdDSA", "typ": "JWT"});
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = key.sign(signed.as_bytes());
    Ok(format!("{signed}.{}", b64(signature)))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A file for nobody else.
fn secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_sum_of_what_is_its_own_and_what_is_files() {
        let status = "Name:\tassay-agent\nVmHWM:\t 9000 kB\nVmRSS:\t 8000 kB\nRssAnon:\t 2000 kB\nRssFile:\t 6000 kB\n";
        let memory = Memory::of(status).ok();
        let wanted = Memory {
            resident: 8_192_000,
            anonymous: 2_048_000,
            file: 6_144_000,
            peak: 9_216_000,
        };
        assert_eq!(memory, Some(wanted));
        assert!(Memory::of("RssAnon: 1 kB").is_err());
    }

    #[test]
    fn a_spread_is_of_what_was_measured() {
        let times = [30, 10, 20].map(Duration::from_millis);
        let spread = Spread::of(&times).ok();
        let wanted = Spread {
            median: 20.0,
            least: 10.0,
            most: 30.0,
        };
        assert_eq!(spread, Some(wanted));
        assert!(Spread::of(&[]).is_err());
    }
}
