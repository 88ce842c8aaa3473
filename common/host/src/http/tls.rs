//! Whom requests to other services trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

/// Where systems keep the authorities that everybody trusts: Debian and Alpine, Fedora, SUSE.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// The authorities that servers' certificates must come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those in a PEM file, and no others.
    File(PathBuf),
    /// Those in a PEM text, and no others.
    Pem(Arc<str>),
    /// Those of the system.
    System,
}

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("{0}: no certificate")]
    Empty(String),
    /// A certificate in it cannot be an authority's.
    #[error("{path}: {source}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The system keeps none where it is looked for.
    #[error("no authorities of the system in {}", SYSTEM.join(", "))]
    NoSystem,
    /// The library has no such cryptography.
    #[error("{0}")]
    Library(rustls::Error),
}

impl RootsError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoSystem => "install the package `ca-certificates`, or name the authority's file",
            Self::Library(_) => "this build is broken",
            _ => "name a PEM file with the certificate of the server's authority",
        }
    }
}

/// TLS 1.3 and 1.2, names and chains verified, no certificate of our own.
///
/// # Errors
///
/// [`RootsError`].
pub fn config(roots: &Roots) -> Result<ClientConfig, RootsError> {
    let store = match roots {
        Roots::File(path) => of_file(path, false)?,
        Roots::Pem(pem) => store(
            "pinned",
            CertificateDer::pem_slice_iter(pem.as_bytes()),
            false,
        )?,
        Roots::System => {
            let mut paths = SYSTEM.map(Path::new).into_iter();
            of_file(
                paths
                    .find(|path| path.exists())
                    .ok_or(RootsError::NoSystem)?,
                true,
            )?
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(RootsError::Library)?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A connection is for one request, so there is nothing to resume.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn of_file(path: &Path, lenient: bool) -> Result<RootCertStore, RootsError> {
    let shown = path.display().to_string();
    let certificates = CertificateDer::pem_file_iter(path);
    let certificates = certificates.map_err(|source| RootsError::File {
        path: shown.clone(),
        source,
    })?;
    store(&shown, certificates, lenient)
}

/// Systems ship authorities that this library does not read; in what somebody named, each must be one.
fn store(
    shown: &str,
    certificates: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
    lenient: bool,
) -> Result<RootCertStore, RootsError> {
    let path = shown.to_owned();
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|source| RootsError::File {
            path: path.clone(),
            source,
        })?;
        match store.add(certificate) {
            Err(source) if !lenient => return Err(RootsError::Certificate { path, source }),
            _ => {}
        }
    }
    match store.is_empty() {
        true => Err(RootsError::Empty(path)),
        false => Ok(store),
    }
}
