//! One writer for the whole service: what waits is written together, so that the disk is waited for once per batch
//! and not once per login.

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::batch::{self, Write, Written};
use crate::store::StoreError;

/// Most writes that wait; whoever comes then waits for a place.
const QUEUE: usize = 1024;
/// Most writes of one transaction: it holds the write lock, and a purge or the command line waits for that.
const BATCH: usize = 256;

struct Job {
    write: Write,
    done: oneshot::Sender<Result<Written, StoreError>>,
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
    /// Starts a writer on a connection of its own.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there is none.
    pub(super) async fn start(
        options: SqliteConnectOptions,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let connection = options.connect().await?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(write_all(options, connection, receiver));
        Ok((Self(sender), task))
    }

    /// Queues a write and waits until it is durable. Whoever stops waiting does not take the write back.
    pub(super) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let (done, written) = oneshot::channel();
        let job = Job { write, done };
        self.0.send(job).await.map_err(|_| StoreError::Closed)?;
        written.await.map_err(|_| StoreError::Closed)?
    }
}

async fn write_all(
    options: SqliteConnectOptions,
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Job>,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        let writes: Vec<_> = jobs.iter().map(|job| &job.write).collect();
        match batch::run(&mut connection, &writes).await {
            Ok(written) => {
                for (job, written) in jobs.drain(..).zip(written) {
                    let _ = job.done.send(Ok(written));
                }
            }
            // One that cannot be written must not take the others with it: each is tried by itself.
            Err(_) => {
                for job in jobs.drain(..) {
                    // On a full disk SQLite ends a transaction by itself, and the connection goes on counting it as
                    // open: nothing would ever be written over it again.
                    if let Ok(fresh) = options.connect().await {
                        connection = fresh;
                    }
                    let written = batch::run(&mut connection, &[&job.write]).await;
                    let written = written.and_then(|mut all| all.pop().ok_or(StoreError::Closed));
                    let _ = job.done.send(written);
                }
            }
        }
    }
    let _ = sqlx::Connection::close(connection).await;
}
