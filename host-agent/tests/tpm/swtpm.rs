//! A software TPM per test.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assay_host_agent::tpm::TpmPlace;
use tempfile::TempDir;

/// A process that ends with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what a process brings about.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what}: not so after 20 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn start(
    program: &str,
    args: &[&str],
    folder: &std::path::Path,
    env: &[(&str, &str)],
) -> Running {
    let child = Command::new(program)
        .args(args)
        .envs(env.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap_or_else(|error| panic!("{program}: {error} (`./x setup` installs it)")))
}

pub(crate) struct Swtpm {
    pub(crate) folder: TempDir,
    process: Running,
}

impl Swtpm {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let args = [
            "socket",
            "--tpm2",
            "--tpmstate",
            "dir=state",
            "--server",
            "type=unixio,path=tpm",
            "--ctrl",
            "type=unixio,path=tpm.ctrl",
            "--flags",
            "not-need-init,startup-clear",
        ];
        let process = start("swtpm", &args, folder.path(), &[]);
        let tpm = Self { folder, process };
        until("swtpm", || {
            tpm.path("tpm").exists() && tpm.path("tpm.ctrl").exists()
        });
        tpm
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn place(&self) -> TpmPlace {
        format!("swtpm:path={}", self.path("tpm").display())
            .parse()
            .unwrap()
    }

    /// Stops or goes on, so that it is there and does not answer.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.0.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }
}
