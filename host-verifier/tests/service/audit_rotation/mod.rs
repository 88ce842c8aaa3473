//! A trail of several files.

mod operators;
mod power;
mod retention;

use std::path::PathBuf;
use std::sync::Arc;

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit::verify::verify_files;
use assay_host_verifier::audit::{
    AuditError, AuditLog, Head, Record, Settings, Summary, Trail, files,
};
use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::config::{AuditFiles, Keep};
use assay_host_verifier::login::{Denied, LoginId};
use tempfile::TempDir;

/// A trail in a folder of its own, with a settable clock.
struct Archive {
    folder: TempDir,
    clock: Arc<ManualClock>,
    keep: Keep,
}

/// Bytes at which files are closed: two of the records below.
const SIZE: u64 = 500;

impl Archive {
    fn new(keep: Keep) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap())),
            keep,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn settings(&self) -> Settings {
        Settings {
            files: AuditFiles {
                max_file_size: SIZE,
                keep: self.keep,
            },
            clock: self.clock.clone(),
        }
    }

    /// Opens it; who wrote it last may still be closing it.
    fn open(&self) -> AuditLog {
        loop {
            match AuditLog::open_with(&self.path(), self.settings()) {
                Ok((log, _)) => return log,
                Err(AuditError::Locked(_)) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn record(&self, number: u8) -> Record {
        let login = LoginId([number; 16]);
        let denied = Denied::new(Some(login), DenyCode::REFUSED, "x".repeat(100));
        Record::denied(self.clock.now().wall, "desk", &denied, &Trail::default()).unwrap()
    }

    /// Writes records, and waits for what that brings with it.
    async fn write(&self, log: &AuditLog, numbers: std::ops::Range<u8>) {
        for number in numbers {
            log.append(&self.record(number)).await.unwrap();
        }
        log.tend().await.unwrap();
    }

    fn verify(&self, heads: &[Head]) -> Result<Summary, (String, &'static str)> {
        let files = files::open(&self.path()).unwrap();
        verify_files(files, heads).map_err(|(path, error)| {
            let name = path.file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), error.check())
        })
    }

    fn names(&self) -> Vec<String> {
        let opened = files::open(&self.path()).unwrap();
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        opened.into_iter().map(|(path, _)| name(path)).collect()
    }

    /// Logins in all files.
    fn logins(&self) -> Vec<String> {
        let mut logins = Vec::new();
        for (path, _) in files::open(&self.path()).unwrap() {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                logins.extend(record["login_id"].as_str().map(str::to_owned));
            }
        }
        logins
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }
}
