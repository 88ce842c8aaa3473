//! Certificates that an operator's configuration names: a file, or PEM in place.

use std::{io::Read as _, path::Path};

use super::{
    Certificate,
    decode::{MAX_FILE_LEN, certificates},
};

/// One entry of a list of certificates: the path of a PEM or DER file, or PEM itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct CertificateSource(pub String);

impl CertificateSource {
    /// All certificates of the entry, at least one. Paths are relative to `base`.
    ///
    /// # Errors
    /// Text for the operator: the file cannot be read, or what is in it.
    pub fn read(&self, base: &Path) -> Result<Vec<Certificate>, String> {
        if self.0.contains("-----BEGIN ") {
            return certificates(self.0.as_bytes()).map_err(|error| format!("inline pem: {error}"));
        }
        let path = base.join(&self.0);
        let fail = |error: &dyn core::fmt::Display| format!("{}: {error}", path.display());
        let file = std::fs::File::open(&path).map_err(|error| fail(&error))?;
        let mut blob = Vec::new();
        file.take(MAX_FILE_LEN as u64 + 1)
            .read_to_end(&mut blob)
            .map_err(|error| fail(&error))?;
        certificates(&blob).map_err(|error| fail(&error))
    }
}
