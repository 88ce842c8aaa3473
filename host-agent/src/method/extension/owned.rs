//! Whose an executable is: what the agent starts runs as the agent, so nobody else may be able to make it another.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::method::MethodError;

const OTHERS_WRITE: u32 = 0o022;
/// In a directory with it only the owner of a file, or the directory's, moves or removes it (`inode(7)`).
const STICKY: u32 = 0o1000;

/// Looks whether an executable can be started and whether it, and every directory on the way to it, is root's or the agent's
/// user's and nobody else's to change. Answers with its path without links: that is the one that was looked at, whatever a
/// link says a moment later.
pub(super) fn look(path: &Path) -> Result<PathBuf, MethodError> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        MethodError::new(
            format!("{}: {error}", path.display()),
            "name the executable",
        )
    };
    let real = path.canonicalize();
    let real = real.map_err(|error| unreadable(path, &error))?;
    let shown = real.display();
    let metadata = real.metadata();
    let metadata = metadata.map_err(|error| unreadable(&real, &error))?;
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & 0o111 == 0 {
        let what = format!("{shown}: not an executable file");
        return Err(MethodError::new(what, format!("chmod 0755 {shown}")));
    }
    let own = rustix::process::geteuid().as_raw();
    fits(&real, &metadata, own)?;
    for directory in real.ancestors().skip(1) {
        let metadata = directory.metadata();
        let metadata = metadata.map_err(|error| unreadable(directory, &error))?;
        fits(directory, &metadata, own)?;
    }
    Ok(real)
}

fn fits(path: &Path, metadata: &Metadata, own: u32) -> Result<(), MethodError> {
    let shown = path.display();
    let owner = metadata.uid();
    if owner != 0 && owner != own {
        let what = format!("{shown}: user {owner} owns it and can change it");
        return Err(MethodError::new(what, format!("chown root {shown}")));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let kept = metadata.is_dir() && mode & STICKY != 0;
    if mode & OTHERS_WRITE != 0 && !kept {
        let what = format!("{shown}: mode {mode:04o} lets others change it");
        return Err(MethodError::new(what, format!("chmod go-w {shown}")));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use super::super::tests::set_mode;
    use super::{fits, look};

    fn executable(dir: &Path) -> PathBuf {
        let path = dir.join("inner/program");
        std::fs::create_dir(dir.join("inner")).unwrap();
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        set_mode(&path, 0o755);
        path
    }

    #[test]
    fn whoever_may_write_it_or_a_directory_above_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = executable(dir.path());
        let inner = path.parent().unwrap();
        assert_eq!(look(&path).unwrap(), path.canonicalize().unwrap());
        for (at, sound) in [(path.as_path(), 0o755), (inner, 0o755), (dir.path(), 0o700)] {
            for others in [0o020, 0o002] {
                set_mode(at, sound | others);
                let error = look(&path).unwrap_err();
                let what = format!("{}: mode {:04o} lets", at.display(), sound | others);
                assert!(error.what.starts_with(&what), "{error:?}");
                assert!(error.hint.starts_with("chmod go-w "));
            }
            set_mode(at, sound);
        }
        // As /tmp is: what is another's stays where it is.
        set_mode(inner, 0o1777);
        assert!(look(&path).is_ok());
        set_mode(&path, 0o1757);
        assert!(look(&path).is_err(), "for a file it means nothing");
    }

    #[test]
    fn another_users_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = executable(dir.path());
        let metadata = path.metadata().unwrap();
        let own = std::os::unix::fs::MetadataExt::uid(&metadata);
        assert!(fits(&path, &metadata, own).is_ok());
        // Root's is everybody's; so as root it is given away first.
        if own == 0 {
            std::os::unix::fs::chown(&path, Some(4242), None).unwrap();
        }
        let metadata = path.metadata().unwrap();
        let error = fits(&path, &metadata, 4243).unwrap_err();
        assert!(
            error.what.contains("owns it and can change it"),
            "{error:?}"
        );
        assert!(error.hint.starts_with("chown root "));
    }

    #[test]
    fn a_link_is_followed_before_it_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = executable(dir.path());
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(look(&link).unwrap(), path.canonicalize().unwrap());
        set_mode(path.parent().unwrap(), 0o777);
        assert!(look(&link).is_err());
    }
}
