//! TLS of the API: the server's certificate, who signs client certificates, and both anew when their files change.
//!
//! # Why a session is never resumed where clients have certificates
//!
//! A resumed session brings the client's identity of the first handshake with it, unchecked against the authorities and the
//! time of now (SPIRE, fixed in 1.14.3). So neither tickets nor a session cache exist then: every connection proves
//! its certificate. For the same reason an identity is taken only while the authorities are those that it was verified
//! by ([`Tls::client_cas`]).

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::config::TlsFiles;
use crate::document::DocumentError;
use crate::telemetry::names;
use crate::x509::Certificate;

/// How often the files are looked at.
pub const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// Longest file, bytes: some hundred authorities.
const MAX_FILE: u64 = 1024 * 1024;

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it is named for.
    #[error("{path}: {reason}")]
    Content {
        /// Which.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Others can read the key.
    #[error("{path}: mode {mode:o} lets everybody read the key")]
    Exposed {
        /// The key's file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The certificate and the key do not make a server.
    #[error("{certificate} and {key}: {reason}")]
    Pair {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// What rustls says.
        reason: String,
    },
}

impl TlsError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => {
                "check the path, and whether the user that runs assayd may read it"
            }
            Self::Content { .. } => {
                "PEM is asked for: `-----BEGIN CERTIFICATE-----`, or a private key that is not encrypted"
            }
            Self::Exposed { .. } => {
                "chmod 600 the file; if others may have read it, replace key and certificate"
            }
            Self::Pair { .. } => "the first certificate of the file must be that of the key",
        }
    }
}

/// What the files say now.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// SHA-256 over all that was read.
    digest: [u8; 32],
    client_cas: Option<[u8; 32]>,
    not_after: Timestamp,
}

/// The TLS side of a listener. Connections keep what they began with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<Current>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let material = Material::read(files)?;
        Ok(Self {
            current: RwLock::new(Arc::new(material.build(files)?)),
            files: files.clone(),
        })
    }

    /// Reads the files as [`Self::load`] does; `file` is what names them, whose place for each an error has.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn check(file: &str, files: &TlsFiles) -> Result<(), DocumentError> {
        let error = match Self::load(files) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let about = match &error {
            TlsError::File { path, .. }
            | TlsError::Content { path, .. }
            | TlsError::Exposed { path, .. } => path.as_str(),
            TlsError::Pair { .. } => "",
        };
        let [certificate, key, client_cas] = files.places;
        let is = |path: &Path| path.display().to_string() == about;
        let at = match &files.client_cas {
            _ if is(&files.key) => key,
            Some(path) if is(path) => client_cas,
            _ => certificate,
        };
        let told = DocumentError::new(file, format!("listeners.api.tls: {error}"));
        Err(told.at(at).hint(error.hint()))
    }

    /// What the next connection is served with, and [`Self::client_cas`] that belongs to it.
    #[must_use]
    pub fn connection(&self) -> (Arc<ServerConfig>, Option<[u8; 32]>) {
        let current = self.current();
        (current.config.clone(), current.client_cas)
    }

    /// SHA-256 of the file with the authorities of client certificates; `None` when none are asked for.
    #[must_use]
    pub fn client_cas(&self) -> Option<[u8; 32]> {
        self.current().client_cas
    }

    /// The file of the server's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.files.certificate
    }

    /// When the first certificate of the server's chain ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.current().not_after
    }

    fn current(&self) -> Arc<Current> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Reads the files again; true when they had changed. What cannot be used leaves all as it was.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn reload(&self) -> Result<bool, TlsError> {
        let material = Material::read(&self.files)?;
        if material.digest() == self.current().digest {
            return Ok(false);
        }
        let new = Arc::new(material.build(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }

    /// Reloads whenever the files change, until `stop`; `told` hears of the certificate at the beginning and after every
    /// look. A pair that does not fit is logged once, and tried again: who replaces two files is caught between them.
    pub async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>, told: impl Fn(&Self)) {
        let mut logged = String::new();
        loop {
            told(&self);
            tokio::select! {
                () = tokio::time::sleep(RELOAD_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let tls = self.clone();
            // Files may lie on a network.
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else {
                continue;
            };
            match reloaded {
                Ok(false) => logged.clear(),
                Ok(true) => {
                    logged.clear();
                    let certificate = self.files.certificate.display();
                    let not_after = self.not_after();
                    tracing::info!(%certificate, %not_after, "{}", names::TLS_RELOADED);
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != logged {
                        let hint = error.hint();
                        tracing::error!(%error, hint, "{}", names::TLS_NOT_RELOADED);
                        logged = text;
                    }
                }
            }
        }
    }
}

/// The files' contents.
struct Material {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_cas: Option<Vec<u8>>,
}

impl Material {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        refuse_exposed(&files.key)?;
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: Zeroizing::new(read(&files.key)?),
            client_cas: files.client_cas.as_deref().map(read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let parts = [
            sha256(&self.certificate),
            sha256(&self.key),
            self.client_cas.as_deref().map_or([0; 32], sha256),
        ];
        sha256(parts.concat())
    }

    fn build(&self, files: &TlsFiles) -> Result<Current, TlsError> {
        let content = |path: &Path, reason: String| TlsError::Content {
            path: path.display().to_string(),
            reason,
        };
        let chain = certificates(&files.certificate, &self.certificate)?;
        let not_after = chain
            .first()
            .ok_or_else(|| content(&files.certificate, "no certificate in it".to_owned()))
            .and_then(|leaf| {
                Certificate::from_der(leaf)
                    .map_err(|error| content(&files.certificate, error.to_string()))
            })?
            .not_after();
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| content(&files.key, error.to_string()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pair = |error: rustls::Error| TlsError::Pair {
            certificate: files.certificate.display().to_string(),
            key: files.key.display().to_string(),
            reason: error.to_string(),
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(pair)?;
        let builder = match (&files.client_cas, &self.client_cas) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path, pem)? {
                    roots
                        .add(authority)
                        .map_err(|error| content(path, error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build()
                        .map_err(|error| content(path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // TLS 1.2 without it lets a man in the middle join two handshakes (RFC 7627).
        config.require_ems = true;
        if self.client_cas.is_some() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Current {
            config: Arc::new(config),
            digest: self.digest(),
            client_cas: self.client_cas.as_deref().map(sha256),
            not_after: Timestamp::from_second(not_after.0).unwrap_or(Timestamp::MAX),
        })
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let reason = match read {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => "no certificate in it".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(TlsError::Content {
        path: path.display().to_string(),
        reason,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::File {
        path: path.display().to_string(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(fail)?;
    // A pipe would keep the service from starting for ever.
    if !meta.is_file() {
        return Err(fail(io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(fail(io::Error::other(format!(
            "longer than {MAX_FILE} bytes"
        ))));
    }
    Ok(bytes)
}

fn refuse_exposed(path: &Path) -> Result<(), TlsError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode()) & 0o777;
        if mode & 0o007 != 0 {
            return Err(TlsError::Exposed {
                path: path.display().to_string(),
                mode,
            });
        }
    }
    Ok(())
}

fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref());
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}
