//! Secrets in files: tokens, passwords.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::method::MethodError;

/// Longest secret, bytes.
const MAX: u64 = 16 * 1024;
/// What a secret's file must not let anybody do: others read or change it, its group change it. Its group may read it, so that
/// root can own the secrets of an agent that runs as somebody else.
const FORBIDDEN: u32 = 0o027;

/// Opens a file that somebody else names or makes: opening a pipe would wait for its other end, perhaps for ever. It makes no
/// difference to a regular file; that it is one is for the caller to see.
///
/// # Errors
///
/// The system's.
pub fn open(path: &Path) -> std::io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits());
    let flags = flags.map_err(|_| std::io::ErrorKind::Unsupported)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// What is wrong with a file's permissions when there is a secret in it.
#[must_use]
pub fn exposed(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.permissions().mode() & 0o777;
    (mode & FORBIDDEN != 0).then_some(mode)
}

/// Reads a secret, and refuses one that others may read: it is none.
///
/// # Errors
///
/// What is wrong with the file. Nothing of what is in it.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, MethodError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let what = format!("{shown}: {error}");
        MethodError::new(what, "the agent's user must be able to read it")
    };
    let file = open(path).map_err(unreadable)?;
    // Of the file that was opened, not of one that has its name by now.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let what = format!("{shown}: not a regular file");
        return Err(MethodError::new(what, "name the file itself"));
    }
    if let Some(mode) = exposed(&metadata) {
        let what = format!("{shown}: mode {mode:04o} lets others have the secret");
        return Err(MethodError::new(what, format!("chmod 0400 {shown}")));
    }
    // At once, so that no copy of it is left behind by growing.
    let mut secret = Zeroizing::new(Vec::with_capacity(MAX as usize + 1));
    file.take(MAX + 1)
        .read_to_end(&mut secret)
        .map_err(unreadable)?;
    if secret.len() as u64 > MAX {
        let what = format!("{shown}: longer than {MAX} bytes");
        return Err(MethodError::new(
            what,
            "this is no secret of ours: name another file",
        ));
    }
    Ok(secret)
}

/// As [`read`], for a secret that is text. Blanks and line ends around it are left to the caller.
///
/// # Errors
///
/// As [`read`]; also when it is no UTF-8.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, MethodError> {
    let secret = read(path)?;
    match core::str::from_utf8(&secret) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            let what = format!("{}: not text", path.display());
            Err(MethodError::new(
                what,
                "name the file with the secret as text",
            ))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{MAX, read, read_text};

    fn with_mode(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_is_read_when_only_its_owner_and_group_may() {
        for mode in [0o400, 0o600, 0o640, 0o440] {
            let file = with_mode(b"secret", mode);
            assert_eq!(read(file.path()).unwrap().as_slice(), b"secret");
        }
        for mode in [0o604, 0o602, 0o601, 0o620, 0o644, 0o666] {
            let error = read(with_mode(b"secret", mode).path()).unwrap_err();
            assert!(
                error.what.contains(&format!("{mode:04o}")),
                "{}",
                error.what
            );
            assert!(error.hint.starts_with("chmod 0400"));
        }
    }

    /// Nobody writes to it: whoever waited for that would not come back.
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(read(&path)));
        let error = heard.recv_timeout(std::time::Duration::from_secs(60));
        assert!(
            error
                .unwrap()
                .unwrap_err()
                .what
                .ends_with("not a regular file")
        );
    }

    #[test]
    fn what_is_no_secret_is_told_without_its_contents() {
        let long = with_mode(&vec![b's'; MAX as usize + 1], 0o600);
        assert!(read(long.path()).unwrap_err().what.contains("longer than"));
        let binary = with_mode(&[0xFF, b's', b'e', b'c'], 0o600);
        let error = read_text(binary.path()).unwrap_err();
        assert!(error.what.ends_with("not text") && !error.what.contains("sec\u{0}"));
        assert!(read(tempfile::tempdir().unwrap().path()).is_err());
        assert!(
            read("/nonexistent".as_ref())
                .unwrap_err()
                .what
                .contains("/nonexistent")
        );
    }
}
