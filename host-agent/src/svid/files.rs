//! Files that others read while they are replaced: each is whole, old or new, and never for the wrong eyes.
//!
//! A file is written beside its place, with its mode from the first byte on, flushed to the disk, and moved there; then the
//! directory is flushed. A key and its certificate are two files: the certificate is moved last, so whoever sees a new
//! certificate finds its key.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Mode;

/// Why a file is not written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct FileError {
    /// Which.
    pub path: String,
    /// What the system says.
    pub source: io::Error,
}

impl FileError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        |source| Self { path, source }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => "let the agent's user write the directory",
            io::ErrorKind::StorageFull => "make room on the file system",
            _ => "look at the directory and the file system that it is on",
        }
    }
}

/// A file to be.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Its name in the directory.
    pub name: &'a str,
    /// What will be in it.
    pub content: &'a [u8],
    /// Who may read it.
    pub mode: Mode,
}

/// Replaces files of one directory, in this order. The directory is made where there is none, for the agent's user and
/// whoever may pass through.
///
/// # Errors
///
/// [`FileError`] for the first that cannot be written. Files before it in the list are new then, the others as they were.
pub fn replace(directory: &Path, files: &[NewFile<'_>]) -> Result<(), FileError> {
    if !directory.is_dir() {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o755).create(directory);
        made.map_err(FileError::at(directory))?;
    }
    // All are written before the first is moved: a disk that is full changes nothing.
    let mut written = Vec::new();
    let result = files.iter().try_for_each(|file| {
        written.push((beside(directory, file.name), directory.join(file.name)));
        let (temporary, _) = written.last().ok_or_else(|| FileError {
            path: file.name.to_owned(),
            source: io::ErrorKind::Other.into(),
        })?;
        write(temporary, file).map_err(FileError::at(temporary))
    });
    let result = result.and_then(|()| {
        written
            .iter()
            .try_for_each(|(from, to)| std::fs::rename(from, to).map_err(FileError::at(to)))
    });
    if let Err(error) = result {
        for (temporary, _) in &written {
            // One that was moved is there no more.
            let _ = std::fs::remove_file(temporary);
        }
        return Err(error);
    }
    flush(directory)
}

/// Removes a file of a directory; that there is none is as well.
///
/// # Errors
///
/// [`FileError`].
pub fn remove(directory: &Path, name: &str) -> Result<(), FileError> {
    let path = directory.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(FileError::at(&path))?,
    }
    flush(directory)
}

fn flush(directory: &Path) -> Result<(), FileError> {
    let flushed = File::open(directory).and_then(|directory| directory.sync_all());
    flushed.map_err(FileError::at(directory))
}

/// Hidden, so that who lists the directory for certificates does not find half of one.
fn beside(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.new"))
}

fn write(path: &Path, file: &NewFile<'_>) -> io::Result<()> {
    // What an agent that was killed left behind. It is not opened: it may be a link.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut out = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // The umask does not decide.
    out.set_permissions(std::fs::Permissions::from_mode(file.mode.0))?;
    out.write_all(file.content)?;
    out.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{NewFile, replace};
    use crate::config::Mode;

    fn file<'a>(name: &'a str, content: &'a str, mode: u32) -> NewFile<'a> {
        NewFile {
            name,
            content: content.as_bytes(),
            mode: Mode(mode),
        }
    }

    #[test]
    fn files_have_their_mode_and_are_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("a/b");
        for content in ["old", "new"] {
            let files = [file("key", content, 0o600), file("svid", content, 0o644)];
            replace(&at, &files).unwrap();
            for (name, mode) in [("key", 0o600), ("svid", 0o644)] {
                let path = at.join(name);
                assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
                let found = path.metadata().unwrap().permissions().mode() & 0o777;
                assert_eq!(found, mode, "{name}");
            }
        }
        assert_eq!(std::fs::read_dir(&at).unwrap().count(), 2, "nothing left");
    }

    #[test]
    fn a_reader_keeps_the_file_that_it_opened() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), &[file("svid", "old", 0o644)]).unwrap();
        let open = std::fs::File::open(dir.path().join("svid")).unwrap();
        replace(dir.path(), &[file("svid", "newer", 0o644)]).unwrap();
        assert_eq!(std::io::read_to_string(open).unwrap(), "old");
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        symlink(&victim, dir.path().join(".key.new")).unwrap();
        replace(dir.path(), &[file("key", "secret", 0o600)]).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    }

    /// The second cannot be written, for there is a directory in its way.
    #[test]
    fn nothing_is_replaced_when_one_of_them_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), &[file("key", "old", 0o600)]).unwrap();
        std::fs::create_dir_all(dir.path().join(".svid.new/x")).unwrap();
        let files = [file("key", "new", 0o600), file("svid", "new", 0o644)];
        let error = replace(dir.path(), &files).unwrap_err();
        assert!(error.to_string().contains(".svid.new"), "{error}");
        let kept = std::fs::read_to_string(dir.path().join("key")).unwrap();
        assert_eq!(kept, "old");
        assert!(!dir.path().join(".key.new").exists(), "no key left behind");
    }
}
