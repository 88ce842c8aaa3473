//! The way to the writer.
//!
//! One thread writes. What waits for it while it is writing goes out with the next write and shares its `fdatasync`, so
//! that durability is paid once per batch and not once per login.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

use super::budget::Budget;
use super::disk::{Closed, Disk, Folder};
use super::settings::Settings;
use super::verify::{Head, VerifyError};
use super::writer::Writer;
use super::{MAX_LINE, Record, start};
use crate::telemetry::health::State;
use crate::telemetry::names;

/// Records that may wait for the writer.
const QUEUE: usize = 1024;
/// Most records of one write.
const BATCH: usize = 256;

/// Why there is no audit trail, or a record is not in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be opened, read or written.
    #[error("audit trail {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// A file cannot be closed, or one that need not be kept not removed. Records are written as before.
    #[error("audit trail {path}: not rotated: {reason}")]
    Rotation {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// Another process writes it.
    #[error("audit trail {0}: another process writes it")]
    Locked(String),
    /// What is there is no audit trail, or not as it was written.
    #[error("audit trail {path}: {error}")]
    Broken {
        /// The file.
        path: String,
        /// What does not hold.
        error: VerifyError,
    },
    /// The record is longer than [`MAX_LINE`].
    #[error("audit record of {0} bytes")]
    TooLong(usize),
    /// More records wait than the disk takes.
    #[error("the audit trail cannot keep up")]
    Full,
    /// A note for the writer was not taken in time.
    #[error("{0}: no assayd has recorded it yet")]
    Waiting(String),
    /// The writer cannot take a note for one.
    #[error("{0}: assayd did not take it for a record")]
    Refused(String),
    /// The writer has ended.
    #[error("the audit trail is closed")]
    Closed,
}

impl AuditError {
    /// What a failed append says of the trail as a whole.
    #[must_use]
    pub fn health(&self) -> State {
        match self {
            Self::File { .. } | Self::Locked(_) | Self::Broken { .. } => {
                State::Failing(self.to_string())
            }
            // Of one record, or of a moment.
            Self::TooLong(_)
            | Self::Full
            | Self::Rotation { .. }
            | Self::Waiting(_)
            | Self::Refused(_) => State::Degraded(self.to_string()),
            Self::Closed => State::Dead(self.to_string()),
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// What the writer is asked for.
enum Job {
    Record(Vec<u8>, Answer<()>),
    Rotate(Answer<Option<Closed>>),
    Tend(Answer<()>),
    Notes(Answer<usize>),
}

/// The sending end; cheap to clone. The default writes nothing, for harnesses.
#[derive(Debug, Clone, Default)]
pub struct AuditLog {
    queue: Option<SyncSender<Job>>,
    refused: Arc<Budget>,
}

impl AuditLog {
    /// Opens a trail, or begins it, and goes on behind its last record.
    ///
    /// The file that is written is checked from its first record to its last; those that were closed only where it
    /// follows them, so that a start takes no longer the older a trail is. An end without a line feed is a record that was
    /// being written when the power failed. Nobody was answered on the strength of it, so it is cut off; the second
    /// value is how many bytes that were.
    ///
    /// # Errors
    ///
    /// [`AuditError`]. A file that was changed is left as it is, for whoever has to find out.
    pub fn open_with(path: &Path, settings: Settings) -> Result<(Self, u64), AuditError> {
        let (writer, cut) = start::open(path, settings)?;
        Ok((Self::start(writer)?, cut))
    }

    /// [`AuditLog::open_with`] the settings that are the default.
    ///
    /// # Errors
    ///
    /// [`AuditError`].
    pub fn open(path: &Path) -> Result<(Self, u64), AuditError> {
        Self::open_with(path, Settings::default())
    }

    /// A trail on a disk with nothing on it; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`AuditError::File`] when there is no thread for it.
    pub fn on(disk: impl Disk, name: &Path) -> Result<Self, AuditError> {
        let settings = Settings::default();
        Self::start(start::writer(name, disk, settings, Head::default(), 1, 0))
    }

    /// A trail in a folder that `disk` speaks for; like [`AuditLog::open_with`].
    ///
    /// # Errors
    ///
    /// [`AuditError`].
    pub fn through<D: Disk>(
        path: &Path,
        settings: Settings,
        disk: impl FnOnce(Folder) -> D,
    ) -> Result<Self, AuditError> {
        let (writer, _) = start::open(path, settings)?;
        Self::start(writer.with(disk))
    }

    fn start(writer: Writer<impl Disk>) -> Result<Self, AuditError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let path = writer.path.clone();
        let spawned = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || run(writer, &jobs));
        spawned.map_err(|error| failed(&path, &error))?;
        Ok(Self {
            queue: Some(queue),
            refused: Arc::default(),
        })
    }

    /// Appends a record and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`AuditError`]; the record is not in the file then, and nobody may be answered on the strength of it.
    pub async fn append(&self, record: &impl Serialize) -> Result<(), AuditError> {
        // A record is made of text and numbers, which always serialize.
        let body = serde_json::to_vec(record).unwrap_or_default();
        if body.len() > MAX_LINE / 2 {
            return Err(AuditError::TooLong(body.len()));
        }
        self.ask(|answer| Job::Record(body, answer))
            .await
            .map(|_| ())
    }

    /// Whether a refusal may be recorded with what was said in it; `now` is on the monotonic clock.
    pub(crate) fn may_keep(&self, record: &Record, now: Duration) -> bool {
        let bytes = record.evidence_len();
        // Beside the rest of a record, which is not as long, it has to fit.
        bytes < MAX_LINE / 4 && self.refused.take(&record.link, bytes, now)
    }

    /// Closes the file that is written and begins the next; `None` when there is nothing in it yet.
    ///
    /// # Errors
    ///
    /// [`AuditError`]; records are written to the file as before then.
    pub async fn rotate(&self) -> Result<Option<Closed>, AuditError> {
        self.ask(Job::Rotate).await.map(Option::flatten)
    }

    /// Does what is to be done every few seconds: looks whether a disk that failed takes records again, rotates if
    /// `assay audit rotate` asks for it, and removes files that need not be kept.
    ///
    /// # Errors
    ///
    /// [`AuditError`].
    pub async fn tend(&self) -> Result<(), AuditError> {
        self.ask(Job::Tend).await.map(|_| ())
    }

    /// Records what other processes have left beside the trail; how many records that were.
    ///
    /// # Errors
    ///
    /// [`AuditError`]; what is not in the trail is still there.
    pub async fn take_notes(&self) -> Result<usize, AuditError> {
        self.ask(Job::Notes).await.map(Option::unwrap_or_default)
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<Option<T>, AuditError> {
        let Some(queue) = &self.queue else {
            return Ok(None);
        };
        let (answer, answered) = oneshot::channel();
        queue.try_send(job(answer)).map_err(|error| match error {
            TrySendError::Full(_) => AuditError::Full,
            TrySendError::Disconnected(_) => AuditError::Closed,
        })?;
        answered.await.unwrap_or(Err(AuditError::Closed)).map(Some)
    }
}

pub(super) fn failed(path: &Path, error: &io::Error) -> AuditError {
    AuditError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

/// Writes until every sender is gone. Whoever asked may be gone too: its link was closed.
fn run(mut writer: Writer<impl Disk>, jobs: &Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        match job {
            Job::Record(body, answer) => {
                let (mut bodies, mut answers) = (vec![body], vec![answer]);
                while bodies.len() < BATCH {
                    match jobs.try_recv() {
                        Ok(Job::Record(body, answer)) => {
                            bodies.push(body);
                            answers.push(answer);
                        }
                        other => {
                            next = other.ok();
                            break;
                        }
                    }
                }
                let result = writer.write(&bodies).map(|_| ());
                for answer in answers {
                    let _ = answer.send(result.clone());
                }
                if let Err(error) = writer.rotate_when_long() {
                    tracing::error!(%error, "{}", names::AUDIT_ROTATION_FAILED);
                }
            }
            Job::Rotate(answer) => {
                let _ = answer.send(writer.rotate());
            }
            Job::Tend(answer) => {
                let _ = answer.send(writer.tend());
            }
            Job::Notes(answer) => {
                let _ = answer.send(writer.take_notes());
            }
        }
    }
}
