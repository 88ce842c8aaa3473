//! Records of other processes: what a command changed in the store becomes a record of the one trail that there is.
//!
//! ```text
//!   audit.notes/0001767225600000-9f….part       being written
//!   audit.notes/0001767225600000-9f….json       an act; gone when it is in the trail
//!   audit.notes/0001767225600000-9f….refused    what the writer cannot take for one, for whoever looks after it
//! ```
//!
//! The trail has one writer, most often a running `assayd`. A command leaves a note in the folder beside the trail, which
//! the writer looks into several times a second, and waits until it is gone; where nobody writes the trail, the command
//! does that itself. The note is durable before the command waits: a record may be late, it is not lost.
//!
//! Whoever can write into that folder can write the store and the trail too; the note's word for who it was is taken.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::act::{Act, ActorKind};
use super::disk::{Names, own};
use super::log::{AuditError, AuditLog, failed};
use super::settings::Settings;
use crate::config::{AuditFiles, Keep};

/// Longest note, bytes.
pub(super) const MAX_NOTE: u64 = 16 * 1024;
/// Most notes that are taken at once.
pub(super) const AT_ONCE: usize = 64;
/// How long a command waits for the writer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// Reads a note.
///
/// # Errors
///
/// Why it is none.
pub(super) fn read(text: &[u8]) -> Result<Act, String> {
    if text.len() as u64 > MAX_NOTE {
        return Err(format!("longer than {MAX_NOTE} bytes"));
    }
    let act: Act = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match act.actor.kind {
        ActorKind::CommandLine => Ok(act),
        // Those come over the API, which writes them itself.
        other => Err(format!("an act by {other:?}")),
    }
}

/// A note that is about to be left: there is room for it before anything is changed.
#[derive(Debug)]
pub struct Ledger {
    names: Names,
    part: PathBuf,
    file: File,
}

impl Ledger {
    /// Opens a note beside the trail that `active` is the file of. `name` makes it unique.
    ///
    /// # Errors
    ///
    /// [`AuditError::File`]: nothing can be recorded, so nothing should be changed.
    pub fn open(active: &Path, name: &str) -> Result<Self, AuditError> {
        let names = Names::of(active);
        let folder = names.notes();
        let fail = |error: io::Error| failed(&folder, &error);
        make(&folder).map_err(fail)?;
        let part = folder.join(format!("{name}.part"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(&part).map_err(fail)?;
        own(&part).map_err(fail)?;
        Ok(Self { names, part, file })
    }

    /// Leaves the note and returns when it is in the trail.
    ///
    /// # Errors
    ///
    /// [`AuditError`]. With [`AuditError::Waiting`] the note is there, and the next writer takes it.
    pub async fn write(mut self, act: &Act) -> Result<(), AuditError> {
        let note = self.part.with_extension("json");
        // Text and numbers always serialize.
        let body = serde_json::to_vec(act).unwrap_or_default();
        let written = self
            .file
            .write_all(&body)
            .and_then(|()| self.file.sync_all())
            .and_then(|()| std::fs::rename(&self.part, &note))
            .and_then(|()| File::open(self.names.notes())?.sync_all());
        written.map_err(|error| failed(&note, &error))?;
        let left = Instant::now();
        while note.exists() {
            // Files are neither closed nor removed by whoever passes by.
            let settings = Settings::from(AuditFiles {
                max_file_size: u64::MAX,
                keep: Keep::All,
            });
            match AuditLog::open_with(&self.names.active(), settings) {
                Ok((log, _)) => {
                    log.take_notes().await?;
                }
                Err(AuditError::Locked(_)) if left.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(AuditError::Locked(_)) => {
                    return Err(AuditError::Waiting(note.display().to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        match self.part.with_extension("refused").exists() {
            false => Ok(()),
            true => Err(AuditError::Refused(note.display().to_string())),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Gone already when it was written.
        let _ = std::fs::remove_file(&self.part);
    }
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => own(folder),
    }
}
