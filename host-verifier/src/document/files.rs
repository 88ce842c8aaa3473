//! Which files a document may name.
//!
//! A document that lies on the machine names files as every program's configuration does: whoever wrote it could have read
//! them anyway. A document that was set through the service comes from somebody who may say who logs in, which is not
//! the right to read the service's files. What it names is looked for below one directory that the service's own
//! configuration sets aside for this, and nowhere else.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Watched;
use crate::cloud::Clouds;
use crate::outside::{CredentialError, Credentials, Lent};

/// Where the files are that a document names, and what else the service has for who builds from a document.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    place: Where<'a>,
    /// Absent where nobody runs the service, e.g. in a command that checks a document.
    provided: Option<&'a Provided>,
    trust_domain: Option<&'a str>,
    watched: Option<&'a Watched>,
}

/// What the operator of the service has set up for documents, and no document can change.
#[derive(Debug, Clone, Default)]
pub struct Provided {
    /// What they may have sent, and to whom.
    pub credentials: Arc<Credentials>,
    /// How clouds are asked, and whose signatures are theirs.
    pub clouds: Arc<Clouds>,
}

#[derive(Debug, Clone, Copy)]
enum Where<'a> {
    /// Relative to a directory, which is the document's own; absolute paths are taken as they are.
    Beside(&'a Path),
    /// Below a directory and nowhere else, whatever links there say; `None` for no files at all.
    Below(Option<&'a Path>),
}

/// Why a document may not name a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no directory for it.
    #[error("a document that is set for a cluster names no files here")]
    None,
    /// Absolute, or with `..` in it.
    #[error("{0:?} is not a plain path below configFiles")]
    Outside(String),
    /// A link leads out of the directory, or there is no such file.
    #[error("there is no file {0:?} below configFiles")]
    NotFound(String),
    /// Whoever sets the document also says to whom the secret is sent.
    #[error("a document that is set for a cluster names no file with a secret")]
    Secret,
}

impl FileError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::None => {
                "write certificates into the document as PEM, or set `configFiles` in assayd.yaml"
            }
            Self::Outside(_) => {
                "name the file as it is called below `configFiles`, without `..`, or write certificates into the document as PEM"
            }
            Self::NotFound(_) => {
                "put the file below `configFiles` of every assayd; a link may not lead out of it"
            }
            Self::Secret => {
                "say `credential: NAME`, an entry of `outbound.credentials` in assayd.yaml, which says who may be sent it"
            }
        }
    }
}

impl<'a> Files<'a> {
    /// Those of a document that lies in a directory of its own.
    #[must_use]
    pub const fn beside(directory: &'a Path) -> Self {
        Self::at(Where::Beside(directory))
    }

    /// Those of a document that was set through the service: below a directory, or none.
    #[must_use]
    pub const fn below(directory: Option<&'a Path>) -> Self {
        Self::at(Where::Below(directory))
    }

    const fn at(place: Where<'a>) -> Self {
        Self {
            place,
            provided: None,
            trust_domain: None,
            watched: None,
        }
    }

    /// With what the service has for its documents.
    #[must_use]
    pub const fn provided_by(self, provided: &'a Provided) -> Self {
        Self {
            provided: Some(provided),
            ..self
        }
    }

    /// With the trust domain that the document is for.
    #[must_use]
    pub const fn in_trust_domain(self, name: &'a str) -> Self {
        Self {
            trust_domain: Some(name),
            ..self
        }
    }

    /// Every file that is named is noted in `watched` before it is read.
    #[must_use]
    pub const fn watched_by(self, watched: &'a Watched) -> Self {
        Self {
            watched: Some(watched),
            ..self
        }
    }

    /// The same for a file that lies in `directory` and names others in turn, which is its own business and no policy's.
    #[must_use]
    pub const fn within(self, directory: &'a Path) -> Self {
        Self {
            place: Where::Beside(directory),
            ..self
        }
    }

    /// How clouds are asked, and whose signatures are theirs: as the service has it, or nothing of either where none is behind
    /// the document.
    #[must_use]
    pub fn clouds(self) -> Arc<Clouds> {
        match self.provided {
            Some(provided) => provided.clouds.clone(),
            None => Arc::new(Clouds::unknown()),
        }
    }

    /// The trust domain that the document is for, where that is known.
    #[must_use]
    pub const fn trust_domain(self) -> Option<&'a str> {
        self.trust_domain
    }

    /// The path of the file that a document calls `name`.
    ///
    /// # Errors
    ///
    /// [`FileError`]. A name that is not allowed is refused before anything is looked at, so that the answer says
    /// nothing about what is there.
    pub fn path(self, name: &str) -> Result<PathBuf, FileError> {
        let directory = match self.place {
            Where::Beside(base) => {
                let path = base.join(name);
                self.note(&path);
                return Ok(path);
            }
            Where::Below(None) => return Err(FileError::None),
            Where::Below(Some(directory)) => directory,
        };
        let relative = Path::new(name);
        let plain = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || name.contains('\0') || !plain {
            return Err(FileError::Outside(name.to_owned()));
        }
        // As it is named: a link that leads to another file by then is a change.
        let named = directory.join(relative);
        self.note(&named);
        let not_found = |_| FileError::NotFound(name.to_owned());
        let real = named.canonicalize().map_err(not_found)?;
        let directory = directory.canonicalize().map_err(not_found)?;
        // A pipe or a device could keep the service waiting for ever.
        if !real.starts_with(&directory) || !real.is_file() {
            return Err(FileError::NotFound(name.to_owned()));
        }
        Ok(real)
    }

    fn note(self, path: &Path) {
        if let Some(watched) = self.watched {
            watched.note(path);
        }
    }

    /// The path of a file with a secret that is sent to somebody whom the document names as well. Not for a document that
    /// was set through the service: who sets it could have the secret sent to himself.
    ///
    /// # Errors
    ///
    /// [`FileError::Secret`], whatever the name; otherwise as [`Self::path`].
    pub fn secret(self, name: &str) -> Result<PathBuf, FileError> {
        match self.place {
            Where::Below(_) => Err(FileError::Secret),
            Where::Beside(_) => self.path(name),
        }
    }

    /// The credential `name`, if it may be sent to `url`.
    ///
    /// # Errors
    ///
    /// [`CredentialError`].
    pub fn credential(self, name: &str, url: &str) -> Result<Lent, CredentialError> {
        let known = self.provided.ok_or(CredentialError::NoService)?;
        known.credentials.lend(name, url)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{FileError, Files};
    use std::path::Path;

    #[test]
    fn a_document_on_the_machine_names_files_as_it_likes() {
        let files = Files::beside(Path::new("/etc/assay"));
        assert_eq!(
            files.path("../ca.pem").unwrap(),
            Path::new("/etc/assay/../ca.pem")
        );
        assert_eq!(files.path("/ca.pem").unwrap(), Path::new("/ca.pem"));
    }

    #[test]
    fn a_document_that_was_set_names_files_of_one_directory_only() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("files");
        std::fs::create_dir_all(below.join("vendor")).unwrap();
        for file in ["secret", "files/ca.pem", "files/vendor/ca.pem"] {
            std::fs::write(dir.path().join(file), file).unwrap();
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, below.join(name)).unwrap();
        };
        link("../secret", "out");
        link("..", "up");
        link("vendor/ca.pem", "in");
        link("nothing", "dangling");
        let files = Files::below(Some(&below));
        for (name, content) in [
            ("ca.pem", "files/ca.pem"),
            ("vendor/ca.pem", "files/vendor/ca.pem"),
            ("in", "files/vendor/ca.pem"),
        ] {
            let path = files.path(name).unwrap();
            assert_eq!(std::fs::read_to_string(path).unwrap(), content);
        }
        let secret = dir.path().join("secret");
        for name in [
            "../secret",
            "vendor/../../secret",
            "./ca.pem",
            "",
            "ca.pem\0",
            secret.to_str().unwrap(),
        ] {
            let refused = FileError::Outside(name.to_owned());
            assert_eq!(files.path(name), Err(refused), "{name:?}");
        }
        for name in ["out", "up/secret", "dangling", "none.pem", "vendor"] {
            let refused = FileError::NotFound(name.to_owned());
            assert_eq!(files.path(name), Err(refused), "{name:?}");
        }
        assert_eq!(Files::below(None).path("ca.pem"), Err(FileError::None));
        // A file that is there is no file for a secret.
        assert_eq!(files.secret("ca.pem"), Err(FileError::Secret));
    }
}
