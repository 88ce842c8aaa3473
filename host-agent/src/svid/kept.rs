//! The SVID's key in a file (`keyFile`), the same for every login: a verifier that binds an instance to the key which logged in
//! first (`tofu`) takes no other, also after this machine was started anew.

use std::path::Path;

use super::bundle::pem;
use super::files::{self, NewFile};
use super::key::SvidKey;
use crate::config::Mode;
use crate::key::pem::private_key;
use crate::method::MethodError;
use crate::secret;

/// The key in the file, or a new one that is in it from now on.
///
/// # Errors
///
/// [`MethodError`]. A file that is there and cannot be used is never replaced: the verifier may know its key.
pub fn key(path: &Path) -> Result<SvidKey, MethodError> {
    // A link that leads nowhere is there as well.
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path),
        _ => read(path),
    }
}

fn read(path: &Path) -> Result<SvidKey, MethodError> {
    let text = secret::read_text(path)?;
    let wrong = || {
        MethodError::new(
            format!("{}: no P-256 key in PKCS #8, PEM", path.display()),
            "name the file that the agent wrote; remove it only if an operator evicts the node as well",
        )
    };
    let (label, der) = private_key(&text).map_err(|_| wrong())?;
    if label != "PRIVATE KEY" {
        return Err(wrong());
    }
    SvidKey::from_pkcs8(&der).map_err(|_| wrong())
}

fn make(path: &Path) -> Result<SvidKey, MethodError> {
    let failed = |what: &dyn core::fmt::Display| {
        MethodError::new(
            what.to_string(),
            "the agent's user must be able to write there",
        )
    };
    let key = SvidKey::generate().map_err(|error| failed(&error))?;
    let der = key.to_pkcs8().map_err(|error| failed(&error))?;
    let text = zeroize::Zeroizing::new(pem("PRIVATE KEY", &der));
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        let what = format!("{}: no name of a file", path.display());
        return Err(MethodError::new(what, "name a file"));
    };
    let file = NewFile {
        name,
        content: text.as_bytes(),
        mode: Mode(0o600),
    };
    // On the disk before the verifier knows of it.
    files::replace(folder(path), &[file]).map_err(|error| failed(&error))?;
    Ok(key)
}

/// Where the file is. The parent of a bare name is the empty path, which stands for no directory.
pub(crate) fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Whether a file that is there can be used.
///
/// # Errors
///
/// As [`key`]; nothing is made.
pub(crate) fn look(path: &Path) -> Result<(), MethodError> {
    read(path).map(drop)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{folder, key};

    #[test]
    fn a_bare_name_is_of_a_file_in_the_working_directory() {
        use std::path::Path;
        for (path, wanted) in [
            ("k.key", "."),
            ("./k.key", "."),
            ("a/k.key", "a"),
            ("/k.key", "/"),
        ] {
            assert_eq!(folder(Path::new(path)), Path::new(wanted), "{path}");
        }
    }

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state").join("key.pem");
        let made = key(&path).unwrap().to_pkcs8().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(key(&path).unwrap().to_pkcs8().unwrap(), made);
        // OpenSSL reads what was written.
        let read = std::process::Command::new("openssl")
            .args(["pkey", "-noout", "-check", "-in"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(read.status.success(), "{read:?}");
    }

    #[test]
    fn a_file_that_cannot_be_used_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let link = dir.path().join("link.pem");
        std::os::unix::fs::symlink(dir.path().join("gone"), &link).unwrap();
        key(&link).unwrap_err();
        assert!(!dir.path().join("gone").exists());
        std::fs::write(&path, "no key").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = key(&path).unwrap_err();
        assert!(error.what.contains("no P-256 key"), "{}", error.what);
        assert_eq!(std::fs::read(&path).unwrap(), b"no key");
        // Neither one that others may read, nor one of another curve.
        let made = dir.path().join("made.pem");
        key(&made).unwrap();
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = key(&made).unwrap_err();
        assert!(error.what.contains("0644"), "{}", error.what);
        let other = dir.path().join("p384.pem");
        let run = std::process::Command::new("openssl")
            .args(["genpkey", "-algorithm", "EC", "-pkeyopt"])
            .args(["ec_paramgen_curve:P-384", "-out"])
            .arg(&other)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        key(&other).unwrap_err();
    }
}
