//! Certificates that an operator's configuration names: a file, or PEM in place.

use std::io::Read as _;

use crate::document::{FileError, Files};

use super::{
    Certificate,
    decode::{MAX_FILE_LEN, certificates},
};

/// One entry of a list of certificates: the path of a PEM or DER file, or PEM itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct CertificateSource(pub String);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The document may not name the file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be read, or holds something else. Text for the operator.
    #[error("{0}")]
    Unusable(String),
}

impl CertificateSource {
    /// All certificates of the entry, at least one.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn read(&self, files: Files<'_>) -> Result<Vec<Certificate>, SourceError> {
        certificates(&self.bytes(files)?)
            .map_err(|error| SourceError::Unusable(format!("{}: {error}", self.name())))
    }

    /// The same with a path that is not relative to anything any more.
    #[must_use]
    pub fn beside(&self, directory: &std::path::Path) -> Self {
        match self.is_inline() {
            true => self.clone(),
            false => Self(directory.join(&self.0).display().to_string()),
        }
    }

    /// What messages call the entry.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.is_inline() {
            true => "inline pem",
            false => &self.0,
        }
    }

    fn is_inline(&self) -> bool {
        self.0.contains("-----BEGIN ")
    }

    /// The bytes of the entry.
    pub(crate) fn bytes(&self, files: Files<'_>) -> Result<Vec<u8>, SourceError> {
        if self.is_inline() {
            return Ok(self.0.as_bytes().to_vec());
        }
        let path = files.path(&self.0)?;
        let fail = |error: &dyn core::fmt::Display| {
            SourceError::Unusable(format!("{}: {error}", path.display()))
        };
        let file = std::fs::File::open(&path).map_err(|error| fail(&error))?;
        let mut blob = Vec::new();
        file.take(MAX_FILE_LEN as u64 + 1)
            .read_to_end(&mut blob)
            .map_err(|error| fail(&error))?;
        Ok(blob)
    }
}
