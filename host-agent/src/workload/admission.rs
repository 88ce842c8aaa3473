//! Which processes get the node's identity: the first entry of the configuration whose selectors all fit.

use super::peer::{Peer, PeerError};
use crate::config::{Selector, WorkloadEntry};

/// What is looked at of a process.
pub trait Attested {
    /// Its user.
    fn uid(&self) -> u32;
    /// Its group.
    fn gid(&self) -> u32;
    /// The path of its executable.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    fn path(&self) -> Result<std::path::PathBuf, PeerError>;
    /// The SHA-256 of its executable.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    fn sha256(&self) -> Result<[u8; 32], PeerError>;
}

impl Attested for Peer {
    fn uid(&self) -> u32 {
        self.uid
    }

    fn gid(&self) -> u32 {
        self.gid
    }

    fn path(&self) -> Result<std::path::PathBuf, PeerError> {
        self.executable()
    }

    fn sha256(&self) -> Result<[u8; 32], PeerError> {
        self.executable_sha256()
    }
}

/// Why a process gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// No entry fits.
    #[error("no entry of `workloads` fits")]
    NoEntry,
    /// Whether one fits could not be found out.
    #[error("{0}")]
    Unknown(#[from] PeerError),
}

/// The entry that a process gets the identity by.
///
/// # Errors
///
/// [`NotAdmitted`]. What cannot be found out fits nothing; it is told when nothing else fits either.
pub fn admit<'e>(
    entries: &'e [WorkloadEntry],
    process: &impl Attested,
) -> Result<&'e WorkloadEntry, NotAdmitted> {
    let mut unknown = None;
    for entry in entries {
        match fits(entry, process) {
            Ok(true) => return Ok(entry),
            Ok(false) => {}
            Err(error) => unknown = Some(error),
        }
    }
    Err(unknown.map_or(NotAdmitted::NoEntry, NotAdmitted::Unknown))
}

/// Selectors are in the order of what they cost, so that a large executable is read for a process that fits otherwise.
fn fits(entry: &WorkloadEntry, process: &impl Attested) -> Result<bool, PeerError> {
    for selector in &entry.selectors {
        let fits = match selector {
            Selector::Uid(uid) => process.uid() == *uid,
            Selector::Gid(gid) => process.gid() == *gid,
            Selector::Path(path) => process.path()? == *path,
            Selector::Sha256(digest) => process.sha256()? == *digest,
        };
        if !fits {
            return Ok(false);
        }
    }
    // An entry without selectors is refused with the configuration; here it fits nobody.
    Ok(!entry.selectors.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Attested, NotAdmitted, admit};
    use crate::config::{Selector, WorkloadEntry};
    use crate::workload::peer::PeerError;

    struct Process {
        closed: bool,
    }

    impl Attested for Process {
        fn uid(&self) -> u32 {
            33
        }

        fn gid(&self) -> u32 {
            34
        }

        fn path(&self) -> Result<PathBuf, PeerError> {
            match self.closed {
                false => Ok("/usr/sbin/nginx".into()),
                true => Err(PeerError::Unknown(
                    "its executable",
                    std::io::ErrorKind::PermissionDenied.into(),
                )),
            }
        }

        fn sha256(&self) -> Result<[u8; 32], PeerError> {
            self.path().map(|_| [7; 32])
        }
    }

    fn entry(name: &str, selectors: Vec<Selector>) -> WorkloadEntry {
        WorkloadEntry {
            name: name.to_owned(),
            hint: String::new(),
            selectors,
        }
    }

    #[test]
    fn every_selector_of_an_entry_has_to_fit() {
        let all = vec![
            Selector::Uid(33),
            Selector::Gid(34),
            Selector::Path("/usr/sbin/nginx".into()),
            Selector::Sha256([7; 32]),
        ];
        let process = Process { closed: false };
        assert!(admit(&[entry("all", all.clone())], &process).is_ok());
        let wrong = [
            Selector::Uid(0),
            Selector::Gid(33),
            Selector::Path("/usr/sbin/nginx2".into()),
            Selector::Path("/usr/sbin".into()),
            Selector::Sha256([8; 32]),
        ];
        for selector in wrong {
            let mut selectors = all.clone();
            selectors.push(selector.clone());
            let admitted = admit(&[entry("one", selectors)], &process).is_ok();
            assert!(!admitted, "{selector:?}");
        }
    }

    #[test]
    fn the_first_entry_that_fits_counts_and_an_empty_one_fits_nobody() {
        let process = Process { closed: false };
        let entries = [
            entry("nobody", vec![]),
            entry("root", vec![Selector::Uid(0)]),
            entry("web", vec![Selector::Uid(33)]),
        ];
        let admitted = admit(&entries, &process)
            .ok()
            .map(|entry| entry.name.as_str());
        assert_eq!(admitted, Some("web"));
        assert!(matches!(admit(&[], &process), Err(NotAdmitted::NoEntry)));
    }

    #[test]
    fn what_cannot_be_found_out_fits_nothing_but_bars_no_other_entry() {
        let process = Process { closed: true };
        let path = entry("path", vec![Selector::Path("/usr/sbin/nginx".into())]);
        let admitted = admit(core::slice::from_ref(&path), &process);
        assert!(matches!(admitted, Err(NotAdmitted::Unknown(_))));
        let entries = [path, entry("web", vec![Selector::Uid(33)])];
        assert!(admit(&entries, &process).is_ok());
    }
}
