//! A trail of several files: nothing is lost between them, at whichever step the power fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit::verify::verify_files;
use assay_host_verifier::audit::{
    AuditError, AuditLog, Closed, Disk, Folder, Head, Record, Settings, Summary, Trail, files,
};
use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::config::{AuditFiles, Config, Keep};
use assay_host_verifier::login::{Denied, LoginId};
use tempfile::TempDir;

use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::site::Site;

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

#[tokio::test]
async fn a_file_that_is_long_enough_is_closed_and_the_chain_goes_on_in_the_next() {
    let archive = Archive::new(Keep::All);
    let log = archive.open();
    archive.write(&log, 0..5).await;
    drop(log);
    let names = ["audit-1-2.jsonl", "audit-3-4.jsonl", "audit.jsonl"];
    assert_eq!(archive.names(), names);
    let whole = archive.verify(&[]).unwrap();
    assert_eq!((whole.head.seq, whole.base), (5, Head::default()));

    // A start goes on behind what is there, also behind a file that has no record yet.
    archive.write(&archive.open(), 5..6).await;
    assert_eq!(archive.names().len(), 4);
    archive.write(&archive.open(), 6..7).await;
    let whole = archive.verify(&[whole.head]).unwrap();
    assert_eq!(whole.head.seq, 7);
    assert_eq!(archive.logins().len(), 7);
}

#[tokio::test]
async fn files_that_are_changed_missing_or_unfinished_are_named() {
    let archive = Archive::new(Keep::All);
    let log = archive.open();
    archive.write(&log, 0..7).await;
    drop(log);
    let file = |name: &str| archive.folder.path().join(name);
    let second = "audit-3-4.jsonl";
    let kept = std::fs::read_to_string(file(second)).unwrap();

    std::fs::write(file(second), kept.replacen("xx", "xy", 1)).unwrap();
    assert_eq!(archive.verify(&[]), Err((second.to_owned(), "chain")));
    std::fs::write(file(second), &kept[..kept.len() - 1]).unwrap();
    assert_eq!(archive.verify(&[]), Err((second.to_owned(), "unfinished")));
    archive.remove(second);
    assert_eq!(
        archive.verify(&[]),
        Err(("audit-5-6.jsonl".to_owned(), "sequence"))
    );
    std::fs::write(file(second), &kept).unwrap();
    assert!(archive.verify(&[]).is_ok());
    archive.remove("audit-1-2.jsonl");
    assert_eq!(
        archive.verify(&[]),
        Err(("audit.jsonl".to_owned(), "beginning"))
    );

    // A service does not go on behind a file that does not end as its name says.
    let newest = "audit-5-6.jsonl";
    std::fs::rename(file(newest), file("audit-5-8.jsonl")).unwrap();
    let refused = AuditLog::open_with(&archive.path(), archive.settings()).unwrap_err();
    assert!(matches!(refused, AuditError::Broken { .. }), "{refused}");
    // Nor on a file that does not follow the newest closed one.
    archive.remove("audit-5-8.jsonl");
    let refused = AuditLog::open_with(&archive.path(), archive.settings()).unwrap_err();
    assert!(matches!(refused, AuditError::Broken { .. }), "{refused}");
}

#[tokio::test]
async fn what_retention_removes_is_anchored_in_what_is_kept() {
    let archive = Archive::new(Keep::Files(2));
    let log = archive.open();
    archive.write(&log, 0..4).await;
    let old = archive.verify(&[]).unwrap().head;
    archive.write(&log, 4..12).await;
    drop(log);
    assert!(archive.names().len() <= 3, "{:?}", archive.names());
    let left = archive.verify(&[]).unwrap();
    assert!(left.base.seq > old.seq, "{left:?}");
    // The last record that was removed is still known, older ones are not.
    assert!(archive.verify(&[left.base, left.head]).is_ok());
    assert_eq!(
        archive.verify(&[old]).map_err(|(_, check)| check),
        Err("removed")
    );

    // Only what an anchor names was removed by retention.
    let oldest = archive.names().remove(0);
    let path = archive.folder.path().join(&oldest);
    let kept = std::fs::read(&path).unwrap();
    archive.remove(&oldest);
    assert_eq!(
        archive.verify(&[]).map_err(|(_, check)| check),
        Err("beginning")
    );
    std::fs::write(&path, kept).unwrap();
    assert!(archive.verify(&[]).is_ok());
    archive.write(&archive.open(), 12..13).await;
    assert!(archive.verify(&[]).is_ok());
}

#[tokio::test]
async fn files_are_kept_as_long_as_their_last_record_is_young() {
    let archive = Archive::new(Keep::For(Duration::from_secs(3600)));
    let log = archive.open();
    archive.write(&log, 0..2).await;
    archive.clock.advance(Duration::from_secs(3000));
    archive.write(&log, 2..4).await;
    archive.clock.advance(Duration::from_secs(599));
    log.tend().await.unwrap();
    assert_eq!(archive.names().len(), 3);
    // Nobody logs in, and still the first file goes when its time has come.
    archive.clock.advance(Duration::from_secs(2));
    log.tend().await.unwrap();
    assert_eq!(archive.names(), ["audit-3-4.jsonl", "audit.jsonl"]);
    let left = archive.verify(&[]).unwrap();
    assert_eq!(
        (left.base.seq, left.head.seq),
        (2, 5),
        "the fifth is the anchor"
    );
}

/// What happens to the disk: counted, and from the given one on nothing happens any more.
struct Stops {
    inner: Folder,
    count: Arc<AtomicUsize>,
    /// The step at which the process ends, and whether that step was still done.
    stop: (usize, bool),
}

impl Stops {
    fn step<T>(&mut self, does: impl FnOnce(&mut Folder) -> io::Result<T>) -> io::Result<T> {
        let (stop, done) = self.stop;
        let now = self.count.fetch_add(1, Ordering::SeqCst);
        if now < stop {
            return does(&mut self.inner);
        }
        if now == stop && done {
            does(&mut self.inner)?;
        }
        Err(io::Error::other("the process has ended"))
    }
}

impl Disk for Stops {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.step(|disk| disk.append(bytes))
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.step(|disk| disk.truncate(len))
    }
    fn prepare(&mut self) -> io::Result<()> {
        self.step(Disk::prepare)
    }
    fn close(&mut self, closed: Closed) -> io::Result<()> {
        self.step(|disk| disk.close(closed))
    }
    fn begin(&mut self, closed: Closed) -> io::Result<()> {
        self.step(|disk| disk.begin(closed))
    }
    fn sync_names(&mut self) -> io::Result<()> {
        self.step(Disk::sync_names)
    }
    fn closed(&mut self) -> io::Result<Vec<Closed>> {
        self.step(Disk::closed)
    }
    fn last_line(&mut self, closed: Closed) -> io::Result<Vec<u8>> {
        self.step(|disk| disk.last_line(closed))
    }
    fn remove(&mut self, closed: Closed) -> io::Result<()> {
        self.step(|disk| disk.remove(closed))
    }
    fn asked(&mut self, done: bool) -> io::Result<bool> {
        self.step(|disk| disk.asked(done))
    }
}

/// Writes until the process ends; the numbers of records that were acknowledged.
async fn until_it_ends(archive: &Archive, stop: (usize, bool)) -> (Vec<u8>, bool) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let log = AuditLog::through(&archive.path(), archive.settings(), move |inner| Stops {
        inner,
        count: counted,
        stop,
    })
    .unwrap();
    let mut acknowledged = Vec::new();
    for number in 0..5 {
        if log.append(&archive.record(number)).await.is_err() {
            break;
        }
        acknowledged.push(number);
    }
    (acknowledged, count.load(Ordering::SeqCst) <= stop.0)
}

#[tokio::test]
async fn whichever_step_is_the_last_nothing_that_was_acknowledged_is_lost() {
    for done in [false, true] {
        let mut ends = 0;
        loop {
            let archive = Archive::new(Keep::All);
            let (acknowledged, whole) = until_it_ends(&archive, (ends, done)).await;
            let log = archive.open();
            let found = archive.logins();
            for number in &acknowledged {
                let login = LoginId([*number; 16]).to_string();
                assert!(found.contains(&login), "step {ends}, done {done}: {number}");
            }
            archive.write(&log, 20..23).await;
            let verified = archive
                .verify(&[])
                .unwrap_or_else(|error| panic!("step {ends}, done {done}: {error:?}"));
            assert!(verified.head.seq >= acknowledged.len() as u64 + 3);
            if whole {
                break;
            }
            ends += 1;
        }
        assert!(ends > 12, "{ends} steps");
    }
}

#[tokio::test]
async fn whichever_step_of_a_removal_is_the_last_what_is_left_is_whole() {
    for done in [false, true] {
        let mut ends = 0;
        loop {
            let archive = Archive::new(Keep::Files(1));
            let (acknowledged, whole) = until_it_ends(&archive, (ends, done)).await;
            let log = archive.open();
            let left = archive
                .verify(&[])
                .unwrap_or_else(|error| panic!("step {ends}, done {done}: {error:?}"));
            // What is gone was removed by retention: it is before the base, and all behind it is there.
            let found = archive.logins();
            let newest = acknowledged
                .last()
                .map(|number| LoginId([*number; 16]).to_string());
            assert!(
                newest.is_none_or(|newest| found.contains(&newest)),
                "step {ends}"
            );
            archive.write(&log, 20..22).await;
            assert!(
                archive.verify(&[left.head]).is_ok()
                    || archive.verify(&[]).unwrap().base.seq > left.head.seq
            );
            if whole {
                break;
            }
            ends += 1;
        }
        assert!(ends > 18, "{ends} steps");
    }
}

/// A disk that is full for a while, and on which nothing can be cut off then.
struct Stubborn {
    inner: Folder,
    full: Arc<std::sync::atomic::AtomicBool>,
}

impl Disk for Stubborn {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            false => self.inner.append(bytes),
            true => {
                self.inner.append(&bytes[..bytes.len() / 2])?;
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            false => self.inner.truncate(len),
            true => Err(io::ErrorKind::StorageFull.into()),
        }
    }
    fn probe(&mut self) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            false => self.inner.probe(),
            true => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

#[tokio::test]
async fn half_a_record_that_could_not_be_cut_off_is_before_the_next_one_is_written() {
    let archive = Archive::new(Keep::All);
    let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&full);
    let log = AuditLog::through(&archive.path(), archive.settings(), |inner| Stubborn {
        inner,
        full: seen,
    })
    .unwrap();
    archive.write(&log, 0..1).await;
    full.store(true, Ordering::SeqCst);
    assert!(log.append(&archive.record(1)).await.is_err());
    // No login comes to a verifier that is not ready, so it finds out by itself.
    assert!(matches!(log.tend().await, Err(AuditError::File { .. })));
    full.store(false, Ordering::SeqCst);
    log.tend().await.unwrap();
    archive.write(&log, 2..3).await;
    let whole = archive.verify(&[]).unwrap();
    assert_eq!((whole.head.seq, whole.unfinished), (2, 0));
    let left: Vec<_> = std::fs::read_dir(archive.folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(!left.iter().any(|name| name == "audit.probe"), "{left:?}");
}

#[tokio::test]
async fn a_closed_file_is_never_written_over() {
    let archive = Archive::new(Keep::All);
    let log = archive.open();
    let victim = archive.folder.path().join("audit-1-1.jsonl");
    archive.write(&log, 0..1).await;
    std::fs::write(&victim, "somebody else's").unwrap();
    assert!(matches!(
        log.rotate().await,
        Err(AuditError::Rotation { .. })
    ));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "somebody else's");
    // Records are written as before.
    archive.write(&log, 1..2).await;
    std::fs::remove_file(&victim).unwrap();
    assert_eq!(archive.verify(&[]).unwrap().head.seq, 2);
}

#[test]
fn a_rotation_is_asked_for_by_command_with_and_without_the_service() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    granted(site.login(&tpm));
    granted(site.login(&tpm));
    let rotated = site.json(&["audit", "rotate"]);
    assert_eq!(rotated["closed"], "audit-1-2.jsonl");
    assert!(site.json(&["audit", "rotate"])["closed"].is_null());
    granted(site.login(&tpm));
    let verified = site.json(&["audit", "verify"]);
    assert_eq!(
        (&verified["records"], &verified["files"]),
        (&3.into(), &2.into())
    );
    let head = verified["head"].as_str().unwrap().to_owned();
    let listed = site.json(&["audit", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(
        (&listed[0]["seq"], &listed[2]["seq"]),
        (&3.into(), &1.into())
    );
    let oldest = listed[2]["login_id"].as_str().unwrap();
    assert_eq!(site.json(&["audit", "show", oldest])[0]["seq"], 1);
    assert_eq!(daemon.terminate().0.code(), Some(0));

    assert_eq!(site.json(&["audit", "rotate"])["closed"], "audit-3-3.jsonl");
    let daemon = site.serve();
    granted(site.login(&tpm));
    let verified = site.json(&["audit", "verify", "--head", &head]);
    assert_eq!(
        (&verified["records"], &verified["files"]),
        (&4.into(), &3.into())
    );
    // A copy of a closed file alone lacks what is before it, unless it is the first.
    let data = site.path("data");
    let alone = |name: &str| {
        let copy = site.path("copy.jsonl");
        std::fs::copy(data.join(name), &copy).unwrap();
        let output = site.assay(&["audit", "verify", "--file", copy.to_str().unwrap()]);
        output.status.code()
    };
    assert_eq!(
        (alone("audit-1-2.jsonl"), alone("audit-3-3.jsonl")),
        (Some(0), Some(1))
    );
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_place() {
    let parse = |audit: &str| {
        let policy = "{section: AgentAttestation, schema: v1, spec: {policies: [{name: a, requiredAttestors: [{type: tpm_ek, config: {allowedHashes: [\"00\"]}}]}]}}".replace("\"00\"", &format!("\"{}\"", "00".repeat(32)));
        let text = format!(
            "trustDomain: example.org\ndataDir: data\nclusters:\n  lab: {policy}\naudit: {audit}\n"
        );
        Config::parse("assayd.yaml", &text, Path::new("")).map(|config| config.audit)
    };
    let default = parse("{}").unwrap();
    assert_eq!(
        default,
        AuditFiles {
            max_file_size: 256 << 20,
            keep: Keep::All
        }
    );
    let own = parse("{maxFileSize: 1GiB, keepFiles: 12}").unwrap();
    assert_eq!(
        own,
        AuditFiles {
            max_file_size: 1 << 30,
            keep: Keep::Files(12)
        }
    );
    let aged = parse("{keepFor: 2160h}").unwrap();
    assert_eq!(aged.keep, Keep::For(Duration::from_secs(2160 * 3600)));
    for (audit, said) in [
        ("{maxFileSize: 100}", "is no size"),
        ("{maxFileSize: 1MB}", "is no size"),
        ("{maxFileSize: 18446744073709551615GiB}", "is no size"),
        ("{maxFileSize: 1KiB}", "1KiB is out of range"),
        ("{keepFiles: 0}", "0 is out of range"),
        ("{keepFor: 10m}", "600s is out of range"),
        (
            "{keepFiles: 1, keepFor: 1h}",
            "keepFiles and keepFor together",
        ),
        ("{keepfiles: 1}", "unknown field"),
    ] {
        let error = parse(audit).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("assayd.yaml:5:") && text.contains(said),
            "{text}"
        );
    }
}
