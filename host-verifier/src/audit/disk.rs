//! Where a trail is written: one file that grows, and beside it those that were closed.
//!
//! ```text
//!   audit-1-4711.jsonl        closed: records 1 to 4711
//!   audit-4712-9000.jsonl     closed
//!   audit.jsonl               written: begins with record 9001, which follows the last line of the file before
//!   audit.lock                held by whoever writes
//!   audit.rotate              there while somebody asks for a rotation
//!   audit.notes/              what other processes have done, for the writer to record
//!   audit.next                an empty file that is about to be written; left over after a crash
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::MAX_LINE;
use super::notes::MAX_NOTE;

/// A file that was closed, by the numbers of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Closed {
    /// Its first record.
    pub first: u64,
    /// Its last.
    pub last: u64,
}

/// What a trail is written to: files in a folder, or in tests something that fails.
///
/// Only `append` and `truncate` are needed for a trail of one file.
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

    /// Makes an empty file beside the one that is written. Nothing is lost when it fails.
    ///
    /// # Errors
    ///
    /// The system's.
    fn prepare(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives the file that is written the name of a closed one. It is still the one that is written.
    ///
    /// # Errors
    ///
    /// The system's; the name is what it was then.
    fn close(&mut self, _: Closed) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Writes to the file that was prepared from now on.
    ///
    /// # Errors
    ///
    /// The system's; the file that was closed is written still, under its old name.
    fn begin(&mut self, _: Closed) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns when names that were given or taken away will outlive a power failure.
    ///
    /// # Errors
    ///
    /// The system's.
    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The closed files, the oldest first.
    ///
    /// # Errors
    ///
    /// The system's.
    fn closed(&mut self) -> io::Result<Vec<Closed>> {
        Ok(Vec::new())
    }

    /// The last line of a closed file, without its line feed.
    ///
    /// # Errors
    ///
    /// The system's, or that the file does not end with a line.
    fn last_line(&mut self, _: Closed) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a closed file.
    ///
    /// # Errors
    ///
    /// The system's.
    fn remove(&mut self, _: Closed) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether somebody asks for a rotation; `done` withdraws the question.
    ///
    /// # Errors
    ///
    /// The system's.
    fn asked(&mut self, _done: bool) -> io::Result<bool> {
        Ok(false)
    }

    /// At most `limit` notes that other processes have left, the oldest first, each with its name.
    ///
    /// # Errors
    ///
    /// The system's.
    fn notes(&mut self, _limit: usize) -> io::Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }

    /// Takes a note away, because it is in the trail, or puts it aside, because it cannot be.
    ///
    /// # Errors
    ///
    /// The system's.
    fn noted(&mut self, _name: &str, _good: bool) -> io::Result<()> {
        Ok(())
    }

    /// Finds out whether something can be written, without writing to the trail.
    ///
    /// # Errors
    ///
    /// The system's.
    fn probe(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The names of a trail's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    folder: PathBuf,
    stem: String,
    extension: String,
}

impl Names {
    /// By the file that is written.
    #[must_use]
    pub fn of(active: &Path) -> Self {
        let text =
            |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let extension = text(active.extension()).map(|extension| format!(".{extension}"));
        Self {
            folder: active.parent().unwrap_or(Path::new("")).to_owned(),
            stem: text(active.file_stem()).unwrap_or_default(),
            extension: extension.unwrap_or_default(),
        }
    }

    /// The file that is written.
    #[must_use]
    pub fn active(&self) -> PathBuf {
        self.folder.join(format!("{}{}", self.stem, self.extension))
    }

    /// The name of a closed file.
    #[must_use]
    pub fn file_name(&self, closed: Closed) -> String {
        let Closed { first, last } = closed;
        format!("{}-{first}-{last}{}", self.stem, self.extension)
    }

    /// A closed file.
    #[must_use]
    pub fn closed(&self, closed: Closed) -> PathBuf {
        self.folder.join(self.file_name(closed))
    }

    /// What asks for a rotation as long as it is there.
    #[must_use]
    pub fn request(&self) -> PathBuf {
        self.beside("rotate")
    }

    /// The folder that other processes leave notes in.
    #[must_use]
    pub fn notes(&self) -> PathBuf {
        self.beside("notes")
    }

    fn beside(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.stem))
    }

    /// The closed files that are there, the oldest first. Names that are not as they are given here are somebody else's.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn list(&self) -> io::Result<Vec<Closed>> {
        let folder = match self.folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => &self.folder,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            let Some(numbers) = name.to_str().and_then(|name| {
                let rest = name.strip_prefix(&self.stem)?.strip_prefix('-')?;
                rest.strip_suffix(&self.extension)?.split_once('-')
            }) else {
                continue;
            };
            if let (Ok(first), Ok(last)) = (numbers.0.parse(), numbers.1.parse()) {
                let closed = Closed { first, last };
                if name.to_str() == Some(self.file_name(closed).as_str()) {
                    found.push(closed);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Opens a file of a trail for its owner only.
fn open(path: &Path, new: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    options.create_new(new);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    own(path)?;
    Ok(file)
}

/// What the superuser makes belongs to whom its folder belongs to, or the service could not go on with it.
pub(super) fn own(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, lchown};
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let (made, folder) = (std::fs::symlink_metadata(path)?, std::fs::metadata(folder)?);
        if made.uid() == 0 && folder.uid() != 0 {
            return lchown(path, Some(folder.uid()), Some(folder.gid()));
        }
    }
    Ok(())
}

/// Removes a file that may not be there.
fn discard(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Files in a folder.
#[derive(Debug)]
pub struct Folder {
    names: Names,
    file: File,
    next: Option<File>,
    /// Locked as long as it is open. The trail's own file cannot be: it is another one after a rotation.
    _lock: File,
}

impl Folder {
    /// Opens or makes the file that is written; `None` when another process writes this trail.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(active: &Path) -> io::Result<Option<Self>> {
        let names = Names::of(active);
        let lock = open(&names.beside("lock"), false)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        // Of a process that ended in the middle of a rotation, or of whoever asked it for one.
        discard(&names.beside("next"))?;
        discard(&names.request())?;
        let mut folder = Self {
            file: open(active, false)?,
            names,
            next: None,
            _lock: lock,
        };
        // The file's name must outlive a power failure as its records do.
        folder.sync_names()?;
        Ok(Some(folder))
    }

    /// What is in the file that is written.
    pub(super) fn contents(&mut self) -> io::Result<&File> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(&self.file)
    }
}

impl Disk for Folder {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_data()
    }

    fn prepare(&mut self) -> io::Result<()> {
        let path = self.names.beside("next");
        discard(&path)?;
        let next = open(&path, true)?;
        next.sync_all()?;
        self.next = Some(next);
        Ok(())
    }

    fn close(&mut self, closed: Closed) -> io::Result<()> {
        let path = self.names.closed(closed);
        // Only who holds the lock gives names, so nothing comes between these two.
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(self.names.active(), path)
    }

    fn begin(&mut self, closed: Closed) -> io::Result<()> {
        let next = self.next.take().ok_or(io::ErrorKind::NotFound)?;
        match std::fs::rename(self.names.beside("next"), self.names.active()) {
            Ok(()) => {
                self.file = next;
                Ok(())
            }
            Err(error) => {
                std::fs::rename(self.names.closed(closed), self.names.active())?;
                Err(error)
            }
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        match self.names.folder.as_os_str().is_empty() {
            true => File::open(".")?.sync_all(),
            false => File::open(&self.names.folder)?.sync_all(),
        }
    }

    fn closed(&mut self) -> io::Result<Vec<Closed>> {
        self.names.list()
    }

    fn last_line(&mut self, closed: Closed) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.names.closed(closed))?;
        let longest = MAX_LINE as u64 + 2;
        let from = file.metadata()?.len().saturating_sub(longest);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.take(longest).read_to_end(&mut end)?;
        let last = end
            .strip_suffix(b"\n")
            .map(|rest| rest.rsplit(|byte| *byte == b'\n').next());
        match last.flatten() {
            Some(line) if !line.is_empty() => Ok(line.to_vec()),
            _ => Err(io::Error::other("it does not end with a record")),
        }
    }

    fn remove(&mut self, closed: Closed) -> io::Result<()> {
        std::fs::remove_file(self.names.closed(closed))
    }

    fn asked(&mut self, done: bool) -> io::Result<bool> {
        match done {
            true => discard(&self.names.request()).map(|()| false),
            false => self.names.request().try_exists(),
        }
    }

    fn notes(&mut self, limit: usize) -> io::Result<Vec<(String, Vec<u8>)>> {
        let folder = self.names.notes();
        let mut names = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .filter(|name: &io::Result<String>| {
                    name.as_ref().map_or(true, |name| name.ends_with(".json"))
                })
                .collect::<io::Result<Vec<_>>>()?,
        };
        // They begin with the time.
        names.sort_unstable();
        names.truncate(limit);
        let read = names.into_iter().map(|name| {
            let mut text = Vec::new();
            let file = File::open(folder.join(&name))?;
            file.take(MAX_NOTE + 1).read_to_end(&mut text)?;
            Ok((name, text))
        });
        read.collect()
    }

    fn noted(&mut self, name: &str, good: bool) -> io::Result<()> {
        let path = self.names.notes().join(name);
        match good {
            true => discard(&path),
            false => std::fs::rename(&path, path.with_extension("refused")),
        }
    }

    fn probe(&mut self) -> io::Result<()> {
        let path = self.names.beside("probe");
        discard(&path)?;
        let mut file = open(&path, true)?;
        // As much as a batch of ordinary records: a disk that is full to the last block takes an empty file.
        let written = file
            .write_all(&[0; 64 * 1024])
            .and_then(|()| file.sync_all());
        let removed = discard(&path);
        written.and(removed)
    }
}
