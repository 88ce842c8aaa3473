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

/// Whether somebody listens on a socket: its file is there before that.
fn listens(path: &str) -> bool {
    // Flags of a socket that accepts connections: `__SO_ACCEPTCON` (proc(5), /proc/net/unix).
    const ACCEPTS: &str = "00010000";
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.get(3) == Some(&ACCEPTS) && words.last() == Some(&path)
    })
}

pub(crate) struct Swtpm {
    pub(crate) folder: TempDir,
    process: Running,
}

impl Swtpm {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("state")).unwrap();
        let args = [
            "socket",
            "--tpm2",
            "--tpmstate",
            &format!("dir={}", path("state")),
            "--server",
            &format!("type=unixio,path={}", path("tpm")),
            "--ctrl",
            &format!("type=unixio,path={}", path("tpm.ctrl")),
            "--flags",
            "not-need-init,startup-clear",
        ];
        let process = start("swtpm", &args, folder.path(), &[]);
        let (data, control) = (path("tpm"), path("tpm.ctrl"));
        until("swtpm", || listens(&data) && listens(&control));
        Self { folder, process }
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
