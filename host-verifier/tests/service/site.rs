//! A folder with a configuration, and the real programs over it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use assay_common::identity::Provisioning;
use assay_common::protocol::{FrameDecoder, FrameKind, MAX_VERIFIER_PACKET, write_frame};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{Agent, Answer};
use crate::fake_tpm::FakeTpm;

/// A directory with a configuration for the given TPMs.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
}

impl Site {
    pub(crate) fn new(tpms: &[&FakeTpm]) -> Self {
        Self::with(tpms, "")
    }

    /// With more keys of the configuration.
    pub(crate) fn with(tpms: &[&FakeTpm], keys: &str) -> Self {
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::write(
            site.path("assayd.yaml"),
            format!("trustDomain: example.org\ndataDir: data\nlisteners:\n  unix:\n    - path: agent.sock\nclusters:\n  lab: lab.yaml\n{keys}"),
        )
        .unwrap();
        let policy = format!(
            "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: rack\n      requiredAttestors:\n        - type: tpm_ek\n          config: {{allowedHashes: [{}]}}\n        - type: tpm_quote\n          config: {{anyValue: [0, 7]}}\n",
            crate::desk::hashes(tpms)
        );
        std::fs::write(site.path("lab.yaml"), policy).unwrap();
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn assay(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(arguments)
            .env("ASSAYD_CONFIG", self.path("assayd.yaml"))
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.assay(&[arguments, &["--output", "json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts assayd, which must not come up; what it says.
    pub(crate) fn refused(&self) -> Output {
        let output = crate::processes::assayd(&["--config", "assayd.yaml"], self.dir.path());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        output
    }

    /// Starts assayd and waits until it says that it is ready.
    pub(crate) fn serve(&self) -> Daemon {
        self.serve_logging("info")
    }

    /// With another filter for the log.
    pub(crate) fn serve_logging(&self, filter: &str) -> Daemon {
        // What a killed process left is no sign of life.
        let _ = std::fs::remove_file(self.path("agent.sock"));
        let _ = std::fs::remove_file(self.path("notify.sock"));
        let notified = UnixDatagram::bind(self.path("notify.sock")).unwrap();
        notified
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_assayd"))
            .arg("--config")
            .arg(self.path("assayd.yaml"))
            .args(["--events", "-"])
            .env("ASSAY_LOG", filter)
            .env("NOTIFY_SOCKET", self.path("notify.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let daemon = Daemon { process };
        let mut said = [0; 64];
        let length = notified.recv(&mut said).expect("assayd comes up");
        assert!(said[..length].starts_with(b"READY=1"), "{said:?}");
        daemon
    }

    pub(crate) fn wait_for_socket(&self) {
        let began = Instant::now();
        while !self.path("agent.sock").exists() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "assayd does not come up"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends one message over a connection of its own; the answer.
    pub(crate) fn ask(&self, message: &[u8]) -> Vec<u8> {
        let mut line = std::os::unix::net::UnixStream::connect(self.path("agent.sock")).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        exchange(&mut line, message)
    }

    /// A whole login over the socket, as the provisioning record says.
    pub(crate) fn login(&self, tpm: &FakeTpm) -> Answer {
        let output = self.assay(&[
            "provision",
            "record",
            "--cluster",
            "lab",
            "--out",
            "record.bin",
        ]);
        assert!(output.status.success(), "{output:?}");
        let record = std::fs::read(self.path("record.bin")).unwrap();
        let record = Provisioning::read(&record).unwrap();
        assert_eq!(
            (record.cluster, record.trust_domain),
            ("lab", "example.org")
        );
        let mut agent = Agent::new(record.verifier_key);
        let mut line = std::os::unix::net::UnixStream::connect(self.path("agent.sock")).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let hello = agent.hello();
        let mut answer = agent.hear(&exchange(&mut line, &hello));
        while let Answer::Asked(asked) = answer {
            let proofs = agent.answer(tpm, &asked);
            answer = agent.hear(&exchange(&mut line, &proofs));
        }
        answer
    }
}

fn exchange(line: &mut std::os::unix::net::UnixStream, message: &[u8]) -> Vec<u8> {
    write_frame(FrameKind::MESSAGE, message, &mut |bytes| {
        line.write_all(bytes)
    })
    .unwrap();
    let mut decoder = FrameDecoder::<MAX_VERIFIER_PACKET>::new();
    let mut byte = [0];
    loop {
        std::io::Read::read_exact(line, &mut byte).unwrap();
        if let Some(Ok(FrameKind::MESSAGE)) = decoder.push(byte[0]) {
            return decoder.body().to_vec();
        }
    }
}

pub(crate) struct Daemon {
    pub(crate) process: Child,
}

impl Daemon {
    /// SIGTERM; (exit status, events, log lines).
    pub(crate) fn terminate(mut self) -> (std::process::ExitStatus, Vec<Value>, Vec<Value>) {
        let stdout = self.process.stdout.take().unwrap();
        let stderr = self.process.stderr.take().unwrap();
        let lines = |reader: Box<dyn std::io::Read + Send>| {
            std::thread::spawn(move || {
                let lines = BufReader::new(reader).lines();
                lines
                    .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
                    .collect::<Vec<Value>>()
            })
        };
        let (events, log) = (lines(Box::new(stdout)), lines(Box::new(stderr)));
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.process.wait().unwrap();
        (status, events.join().unwrap(), log.join().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
