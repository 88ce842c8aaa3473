//! The file and its writer.
//!
//! One thread writes. What waits for it while it is writing goes out with the next write and shares its `fdatasync`, so
//! that durability is paid once per batch and not once per login.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use tokio::sync::oneshot;

use super::verify::{Head, VerifyError, Walker, read_line};
use super::{MAX_LINE, Record};
use crate::telemetry::health::State;

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
            Self::TooLong(_) | Self::Full => State::Degraded(self.to_string()),
            Self::Closed => State::Dead(self.to_string()),
        }
    }
}

/// What a trail is written to: a file, or in tests one that is full.
pub trait Disk: Send + 'static {
    /// Appends all of `bytes` and returns when they will outlive a power failure.
    ///
    /// # Errors
    ///
    /// The system's; some of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts off everything behind `len` bytes.
    ///
    /// # Errors
    ///
    /// The system's.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl Disk for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

type Answer = oneshot::Sender<Result<Head, AuditError>>;

/// The sending end; cheap to clone. The default writes nothing, for harnesses.
#[derive(Debug, Clone, Default)]
pub struct AuditLog(Option<SyncSender<(Vec<u8>, Answer)>>);

impl AuditLog {
    /// Opens the file, or makes it, and checks it from the first record to the last.
    ///
    /// An end without a line feed is a record that was being written when the power failed. Nobody was answered on
    /// the strength of it, so it is cut off; the second value is how many bytes that were.
    ///
    /// # Errors
    ///
    /// [`AuditError`]. A file that was changed is left as it is, for whoever has to find out.
    pub fn open(path: &Path) -> Result<(Self, u64), AuditError> {
        let (writer, cut) = Writer::open(path)?;
        Ok((Self::start(writer)?, cut))
    }

    /// A trail on a disk with nothing on it; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`AuditError::File`] when there is no thread for it.
    pub fn on(disk: impl Disk, name: &Path) -> Result<Self, AuditError> {
        Self::start(Writer {
            path: name.to_owned(),
            disk,
            head: Head::default(),
            end: 0,
        })
    }

    fn start(writer: Writer<impl Disk>) -> Result<Self, AuditError> {
        let (queue, records) = sync_channel(QUEUE);
        let path = writer.path.clone();
        let spawned = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&records));
        spawned.map_err(|error| failed(&path, &error))?;
        Ok(Self(Some(queue)))
    }

    /// Appends a record and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`AuditError`]; the record is not in the file then, and nobody may be answered on the strength of it.
    pub async fn append(&self, record: &Record) -> Result<(), AuditError> {
        let Some(queue) = &self.0 else {
            return Ok(());
        };
        // A record is made of text and numbers, which always serialize.
        let body = serde_json::to_vec(record).unwrap_or_default();
        if body.len() > MAX_LINE / 2 {
            return Err(AuditError::TooLong(body.len()));
        }
        let (answer, answered) = oneshot::channel();
        queue
            .try_send((body, answer))
            .map_err(|error| match error {
                TrySendError::Full(_) => AuditError::Full,
                TrySendError::Disconnected(_) => AuditError::Closed,
            })?;
        answered
            .await
            .unwrap_or(Err(AuditError::Closed))
            .map(|_| ())
    }
}

fn failed(path: &Path, error: &io::Error) -> AuditError {
    AuditError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

struct Writer<D> {
    path: PathBuf,
    disk: D,
    head: Head,
    /// Where the last whole record ends.
    end: u64,
}

impl Writer<File> {
    fn open(path: &Path) -> Result<(Self, u64), AuditError> {
        let fail = |error: io::Error| failed(path, &error);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(AuditError::Locked(path.display().to_string()));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(fail(error)),
        }
        let mut walker = Walker::default();
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let mut end = 0;
        let cut = loop {
            line.clear();
            let read = read_line(&mut lines, &mut line).map_err(fail)?;
            let Some((b'\n', record)) = line.split_last() else {
                break read;
            };
            walker.take(record).map_err(|error| AuditError::Broken {
                path: path.display().to_string(),
                error,
            })?;
            end += read;
        };
        if cut > 0 {
            file.set_len(end).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        // The file's name must outlive a power failure as its records do.
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(fail)?;
        }
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        let writer = Self {
            path: path.to_owned(),
            disk: file,
            head: walker.head(),
            end,
        };
        Ok((writer, cut))
    }
}

impl<D: Disk> Writer<D> {
    /// Writes until every sender is gone.
    fn run(mut self, records: &Receiver<(Vec<u8>, Answer)>) {
        while let Ok(first) = records.recv() {
            let mut bodies = Vec::new();
            let mut answers = Vec::new();
            let more = std::iter::from_fn(|| records.try_recv().ok());
            for (body, answer) in std::iter::once(first).chain(more).take(BATCH) {
                bodies.push(body);
                answers.push(answer);
            }
            let result = self.write(&bodies);
            for answer in answers {
                // Whoever asked may be gone: its link was closed.
                let _ = answer.send(result.clone());
            }
        }
    }

    /// All of them, or none.
    fn write(&mut self, bodies: &[Vec<u8>]) -> Result<Head, AuditError> {
        let mut head = self.head;
        let mut lines = Vec::new();
        for body in bodies {
            let line = head.line(body);
            head = head.after(&line);
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        match self.disk.append(&lines) {
            Ok(()) => {
                self.head = head;
                self.end += lines.len() as u64;
                Ok(head)
            }
            Err(error) => {
                // A full disk takes half a line; the next record must not be put behind it. Should this fail too,
                // the half line is found, and cut off, at the next start, and until then every append fails here.
                let restored = self.disk.truncate(self.end);
                Err(failed(&self.path, &restored.err().unwrap_or(error)))
            }
        }
    }
}
