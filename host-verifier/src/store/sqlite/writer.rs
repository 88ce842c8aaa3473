//! One writer for the whole service: what waits is written together, so that the disk is waited for once per batch
//! and not once per login.
//!
//! It has a thread and a connection of its own: a statement then costs what SQLite does for it, and no trip between
//! threads.

use std::path::Path;
use std::thread;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use super::BUSY;
use super::batch::{self, Write, Written};
use crate::store::{NodeRecord, StoreError};

/// Most jobs that wait; whoever comes then waits for a place.
const QUEUE: usize = 1024;
/// Most jobs of one transaction: it holds the write lock, and a purge or the command line waits for that.
const BATCH: usize = 256;
/// Statements that are kept compiled; the writer has fewer.
const STATEMENTS: usize = 32;
/// Pages in the log, of 4 KiB, at which SQLite brings them into the file. A page that many logins have changed is
/// brought over once; a start after a power failure reads at most this much.
const CHECKPOINT: u32 = 8_000;
/// Bytes that the log keeps when all of it has been brought over.
const LOG: u32 = 64 * 1024 * 1024;

/// Pages that are kept in memory, as SQLite counts it: KiB, negative. What logins touch of a store with many sessions
/// fits; the default of 2 MiB does not hold the upper floors of its indexes.
const CACHE: i64 = -32 * 1024;

type Done<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Write(Write, Done<Written>),
    Node(String, Done<Option<NodeRecord>>),
}

/// The way to the writer. It ends when the last of these is gone and the queue is empty.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl core::fmt::Debug for Writer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Writer(..)")
    }
}

impl Writer {
    /// Starts a writer on a file that is there. The second value is answered when it has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be opened, or there is no thread.
    pub(super) fn start(path: &Path) -> Result<(Self, oneshot::Receiver<()>), StoreError> {
        let connection = open(path)?;
        let path = path.to_owned();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (ended, end) = oneshot::channel();
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                run(&path, connection, receiver);
                let _ = ended.send(());
            })
            .map_err(|error| StoreError::Database(error.into()))?;
        Ok((Self(sender), end))
    }

    /// Queues a write and waits until it is durable. Whoever stops waiting does not take the write back.
    pub(super) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.ask(|done| Job::Write(write, done)).await
    }

    /// The node with this EK, as it is before the writes that wait.
    pub(super) async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.ask(|done| Job::Node(ek_hash.to_owned(), done)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        let sent = self.0.send(job(done)).await;
        sent.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    // The pool has made the file, and its mode; this must not make another.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The log itself is chosen already, and kept in the file. It is synced with each transaction.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "journal_size_limit", LOG)?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    Ok(connection)
}

fn run(path: &Path, mut connection: Connection, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    let (mut writes, mut waiting) = (Vec::new(), Vec::new());
    while queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
        for job in jobs.drain(..) {
            match job {
                // Answered before the disk is waited for.
                Job::Node(ek_hash, done) => {
                    let _ = done.send(batch::node_of(&connection, &ek_hash));
                }
                Job::Write(write, done) => {
                    writes.push(write);
                    waiting.push(done);
                }
            }
        }
        if writes.is_empty() {
            continue;
        }
        match batch::run(&mut connection, &writes) {
            Ok(written) => {
                for (done, written) in waiting.drain(..).zip(written) {
                    let _ = done.send(Ok(written));
                }
            }
            // One that cannot be written must not take the others with it: each is tried by itself.
            Err(_) => {
                // A connection that has seen a disk fail need not be trusted with the rest.
                if let Ok(fresh) = open(path) {
                    connection = fresh;
                }
                for (write, done) in writes.iter().zip(waiting.drain(..)) {
                    let written = batch::run(&mut connection, core::slice::from_ref(write));
                    let written = written.and_then(|mut all| all.pop().ok_or(StoreError::Closed));
                    let _ = done.send(written);
                }
            }
        }
        writes.clear();
    }
    drop(connection);
}
