//! An `assayd` with its API on a port of this machine, and agents that know it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use assay_hil_tests::scenario::live::program;
use serde_json::Value;
use tempfile::TempDir;

/// What takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// A verifier that is set up, running or not.
pub(crate) struct Site {
    folder: TempDir,
    port: u16,
}

/// A process of the test; ends with it.
pub(crate) struct Process {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The first line of the log with this message.
    pub(crate) fn said(&self, message: &str) -> Option<Value> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["msg"] == message)
    }

    /// Waits for a line of the log.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        let mut found = None;
        let log = self.log.clone();
        eventually(&format!("{message:?} in {}", log.display()), || {
            found = self.said(message);
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status}:\n{}", self.log());
            }
            found.is_some()
        });
        found.unwrap()
    }

    /// Ends it as systemd does, and returns its exit status.
    pub(crate) fn stop(&mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code().unwrap()
    }
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(PAUSE);
    }
}

impl Site {
    /// `assayd init`, and a cluster `lab` with this policy document.
    pub(crate) fn set_up(policy: &str) -> Self {
        Self::set_up_with(policy, "")
    }

    /// The same, with more in the verifier's configuration.
    pub(crate) fn set_up_with(policy: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Held until now, so nobody else has been given it; whoever listens next is assayd.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let site = Self { folder, port };
        let made = Command::new(program("assayd").unwrap())
            .args(["init", "--trust-domain", "example.org", "--dir"])
            .arg(site.verifier())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::write(site.verifier().join("lab.yaml"), policy).unwrap();
        let config = site.verifier().join("assayd.yaml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(
            &config,
            format!("{text}\n{more}clusters:\n  lab: lab.yaml\n"),
        )
        .unwrap();
        let mut record = Command::new(program("assay").unwrap());
        record.args(["provision", "record", "--cluster", "lab", "--config"]);
        let made = record
            .arg(&config)
            .arg("--out")
            .arg(site.record())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        site
    }

    /// What an operator does (`assay join-token create`): makes a token, and is shown it once.
    pub(crate) fn join_token(&self, more: &[&str]) -> String {
        let mut create = Command::new(program("assay").unwrap());
        create.args(["join-token", "create", "--cluster", "lab", "--json"]);
        let config = self.verifier().join("assayd.yaml");
        let made = create.arg("--config").arg(config).args(more).output();
        let made = made.unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    /// Puts a token into the file `token`, which nobody else reads.
    pub(crate) fn put_token(&self, token: &str) {
        let path = self.folder.path().join("token");
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("{token}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }

    /// A new join token, in the file `token`.
    pub(crate) fn write_token(&self) {
        self.put_token(&self.join_token(&[]));
    }

    /// `assay session revoke`.
    pub(crate) fn revoke(&self, session: &str) {
        let mut revoke = Command::new(program("assay").unwrap());
        revoke.args(["session", "revoke", session, "--config"]);
        let done = revoke
            .arg(self.verifier().join("assayd.yaml"))
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn verifier(&self) -> PathBuf {
        self.folder.path().join("verifier")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.folder.path().join("provisioning.bin")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.verifier().join("tls/ca.crt")
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// `assayd serve`; returns when it listens.
    pub(crate) fn start(&self, settings: &[&str]) -> Process {
        let log = self.folder.path().join("assayd.log");
        let mut command = Command::new(program("assayd").unwrap());
        command
            .arg("serve")
            .arg("--config")
            .arg(self.verifier().join("assayd.yaml"));
        let api = format!("listeners.api.address=127.0.0.1:{}", self.port);
        let own = [
            api.as_str(),
            "listeners.health.address=127.0.0.1:0",
            "listeners.metrics.address=127.0.0.1:0",
        ];
        for setting in own.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        let mut process = spawn(&mut command, log);
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        eventually("assayd listens", || {
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("assayd has ended with {status}:\n{}", process.log());
            }
            TcpStream::connect(address).is_ok()
        });
        process
    }

    /// The configuration of an agent that offers these methods. `more` is added below `agent`.
    pub(crate) fn agent(&self, attestors: &str, more: &str) -> PathBuf {
        let path = self.folder.path().join("agent.yaml");
        let text = format!(
            "agent:\n  auth:\n    clusterId: lab\n    attestors: {attestors}\n  \
             provisioningRecord: provisioning.bin\n  server:\n    addresses: ['{}']\n    \
             ca: verifier/tls/ca.crt\n{more}",
            self.url()
        );
        fs::write(&path, text).unwrap();
        // Some methods have what may be a secret in it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        path
    }
}

/// A process whose errors go into a file.
pub(crate) fn spawn(command: &mut Command, log: PathBuf) -> Process {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .env("ASSAY_LOG", "debug")
        .spawn()
        .unwrap();
    Process { child, log }
}

/// A command of the agent, to its end.
pub(crate) fn agent(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(program("assay-agent").unwrap());
    command.args(arguments).arg("--config").arg(config);
    command.output().unwrap()
}

/// The same, with its answer in JSON, its exit status and its errors.
pub(crate) fn agent_json(arguments: &[&str], config: &Path) -> (i32, Value, String) {
    let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
    let Output {
        status,
        stdout,
        stderr,
    } = agent(&arguments, config);
    let errors = String::from_utf8(stderr).unwrap();
    let answer = serde_json::from_slice(&stdout);
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {stdout:?}\n{errors}"));
    (status.code().unwrap(), answer, errors)
}

/// `assay-agent run`.
pub(crate) fn run_agent(config: &Path) -> Process {
    let log = config.with_extension("log");
    let mut command = Command::new(program("assay-agent").unwrap());
    command.arg("run").arg("--config").arg(config);
    spawn(&mut command, log)
}

/// The status of a plain request.
pub(crate) fn status(address: &str, path: &str) -> Option<u16> {
    answer(address, path)?.split(' ').nth(1)?.parse().ok()
}

/// All of the answer to a plain request, its head too.
pub(crate) fn page(address: &str, path: &str) -> String {
    answer(address, path).unwrap()
}

fn answer(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
