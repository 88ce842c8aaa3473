//! Secrets in files: tokens, passwords.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::method::MethodError;

/// Longest secret, bytes.
const MAX: u64 = 16 * 1024;
/// What a secret's file must not let anybody do: others read or change it, its group change it. Its group may read it, so that
/// root can own the secrets of an agent that runs as somebody else.
const FORBIDDEN: u32 = 0o027;

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
    let file = File::open(path).map_err(unreadable)?;
    // Of the file that was opened, not of one that has its name by now.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let what = format!("{shown}: not a regular file");
        return Err(MethodError::new(what, "name the file itself"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & FORBIDDEN != 0 {
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
