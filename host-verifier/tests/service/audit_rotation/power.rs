//! Nothing is lost between the files, at whichever step the power fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay_host_verifier::audit::{AuditError, AuditLog, Closed, Disk, Folder};
use assay_host_verifier::config::Keep;
use assay_host_verifier::login::LoginId;

use super::Archive;

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
