//! Files that were read once, and whether they are still the same.
//!
//! Revocation lists and bundles of authorities are renewed by whoever publishes them, and the document that names them stays
//! as it is. What was built of them is built anew when one has changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files as they were before they were read.
#[derive(Debug, Default)]
pub struct Watched(Mutex<BTreeMap<PathBuf, Option<Stamp>>>);

/// What tells a file from another one in its place, and from itself with other contents. The time of the last change of the
/// inode is in it because the one of the contents can be set by whoever copies a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Links are followed. `None`: there is no such file, or nobody lets us look.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        file: (metadata.dev(), metadata.ino()),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

impl Watched {
    /// Notes a file that is about to be read. Of one that is noted twice, the first time counts.
    pub(super) fn note(&self, path: &Path) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = files.entry(path.to_owned());
        entry.or_insert_with(|| stamp(path));
    }

    /// Takes over what another one noted.
    pub fn adopt(&self, other: &Self) {
        let theirs = other.0.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = theirs.clone();
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, stamp) in theirs {
            files.entry(path).or_insert(stamp);
        }
    }

    /// Whether one of them is no longer what it was. Asks the file system, so not for a thread that serves others.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let files = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        files.iter().any(|(path, then)| stamp(path) != *then)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Watched;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_written_replaced_linked_elsewhere_or_removed_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let watch = || {
            let watched = Watched::default();
            watched.note(&at("link"));
            assert!(!watched.has_changed());
            watched
        };
        std::fs::write(at("one"), "1").unwrap();
        std::fs::write(at("two"), "2").unwrap();
        symlink("one", at("link")).unwrap();

        let watched = watch();
        std::fs::write(at("one"), "longer").unwrap();
        assert!(watched.has_changed());
        // What was noted first counts.
        watched.note(&at("link"));
        assert!(watched.has_changed());

        // The same length and, as `cp -p` would have it, the same time.
        let watched = watch();
        let time = std::fs::metadata(at("one")).unwrap().modified().unwrap();
        let new = std::fs::File::create(at("new")).unwrap();
        std::fs::write(at("new"), "shorte").unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(at("new"), at("one")).unwrap();
        assert!(watched.has_changed());

        let watched = watch();
        symlink("two", at("other")).unwrap();
        std::fs::rename(at("other"), at("link")).unwrap();
        assert!(watched.has_changed());

        let watched = watch();
        let adopting = Watched::default();
        adopting.adopt(&watched);
        std::fs::remove_file(at("two")).unwrap();
        assert!(watched.has_changed() && adopting.has_changed());
    }
}
