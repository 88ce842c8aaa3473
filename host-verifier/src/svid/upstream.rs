//! An authority above the own ones: a certificate and key that an operator keeps in files, as SPIRE's `disk` upstream authority.
//!
//! The files are read again whenever they are needed, so that they can be replaced while the service runs. What is in them is
//! checked before it is used: that the key is the certificate's, that the certificate may sign, and that it leads to a root.
//! An authority made below it is checked once more against the roots before anybody sees it, path length and name constraints
//! included.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::authority::timestamp;
use super::keys::{LocalKey, Signer};
use crate::crypto::{HashAlgorithm, Legacy, USUAL_MAX_RSA_BITS};
use crate::x509::decode::{self, certificates, pem_blocks, pem_text};
use crate::x509::extensions::KeyUsage;
use crate::x509::policy::{
    ExtendedKeyUsageRule, KeyUsageRule, LeafRole, MAX_INTERMEDIATES, Policy, Profile,
    SubjectAltNameRule,
};
use crate::x509::{Certificate, PathError, TrustStore, validate};

/// The last moment of the calendar.
pub(super) const FOREVER: Timestamp = Timestamp::MAX;
/// Longest key file, bytes.
const MAX_KEY: u64 = 64 * 1024;

/// What is asked of an authority's chain.
const AUTHORITY: Policy = Policy {
    role: LeafRole::Authority,
    extended_key_usage: ExtendedKeyUsageRule::Any,
    key_usage: KeyUsageRule::IfPresent {
        rsa: KeyUsage::KEY_CERT_SIGN,
        ec: KeyUsage::KEY_CERT_SIGN,
    },
    subject_alt_name: SubjectAltNameRule::Any,
    profile: Profile::Lenient,
    max_rsa_bits: USUAL_MAX_RSA_BITS,
    allow_ed25519: false,
    max_intermediates: MAX_INTERMEDIATES,
    legacy: Legacy {
        danger_allow_sha1: false,
        danger_allow_small_rsa: false,
    },
};

/// Why an upstream authority cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// A file cannot be read.
    #[error("upstream authority {path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// What the system, or the reader of certificates, says.
        reason: String,
    },
    /// Everybody can read the key.
    #[error("upstream authority {path}: mode {mode:o} lets everybody in")]
    Exposed {
        /// The key's file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The key's file has no key, or none of a kind that is supported.
    #[error(
        "upstream authority {0}: no private key in PEM of P-256, P-384, or RSA 2048, 3072 or 4096"
    )]
    Key(String),
    /// The key is encrypted.
    #[error("upstream authority {0}: the private key is encrypted")]
    Encrypted(String),
    /// The key is another one's.
    #[error("upstream authority {0}: the private key is not that of the certificate")]
    OtherKey(String),
    /// No root is known for the certificate.
    #[error("upstream authority {0}: the certificate did not sign itself, and no root is named")]
    NoRoot(String),
    /// The chain does not hold.
    #[error("upstream authority: {0}")]
    Path(#[from] PathError),
    /// It ends too soon to sign anything below it.
    #[error("upstream authority: it ends at {0}, too soon for another authority below it")]
    Ending(Timestamp),
}

impl UpstreamError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File { .. } => Some("check the path, and who may read it"),
            Self::Exposed { .. } => {
                Some("chmod 600 the file, and replace the key if others may have read it")
            }
            Self::Key(_) => {
                Some("for example `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`")
            }
            Self::Encrypted(_) => {
                Some("store it without a passphrase: openssl pkey -in KEY -out PLAIN")
            }
            Self::OtherKey(_) => {
                Some("keyFilePath names the key of the first certificate in certFilePath")
            }
            Self::NoRoot(_) => {
                Some("name a file with the root in upstreamAuthority.disk.bundleFilePath")
            }
            Self::Path(PathError::PathLength { .. }) => Some(
                "one authority stands below it: its pathLenConstraint must be at least 1, or absent",
            ),
            Self::Path(_) => {
                Some("certFilePath has the authority first, then its intermediates up to the root")
            }
            Self::Ending(_) => {
                Some("renew its certificate: the files are read again by themselves")
            }
        }
    }
}

/// The files of an upstream authority.
#[derive(Debug)]
pub struct UpstreamDisk {
    certificate: PathBuf,
    key: PathBuf,
    bundle: Option<PathBuf>,
    last: Mutex<Option<([u8; 32], Arc<UpstreamAuthority>)>>,
}

impl UpstreamDisk {
    /// Names the files; none is read yet. `bundle` holds the roots, and may be left out when the certificate signed itself or
    /// its file ends in the root.
    #[must_use]
    pub fn new(certificate: PathBuf, key: PathBuf, bundle: Option<PathBuf>) -> Self {
        Self {
            certificate,
            key,
            bundle,
            last: Mutex::default(),
        }
    }

    /// What the files hold, if it can be used at `now`. They are read each time and looked into only when they have changed.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`].
    pub fn load(&self, now: Timestamp) -> Result<Arc<UpstreamAuthority>, UpstreamError> {
        let certificate = read(&self.certificate, decode::MAX_FILE_LEN as u64)?;
        let key = read_key(&self.key)?;
        let bundle = match &self.bundle {
            None => Zeroizing::default(),
            Some(path) => read(path, decode::MAX_FILE_LEN as u64)?,
        };
        let mut digest = [0; 32];
        let lengths = [&certificate, &key].map(|part| part.len().to_be_bytes());
        let parts: Vec<&[u8]> = lengths
            .iter()
            .map(|len| len.as_slice())
            .chain([&**certificate, &**key, &**bundle])
            .collect();
        digest.copy_from_slice(HashAlgorithm::Sha256.hash(&parts).as_ref());
        let last = self.last().clone();
        let authority = match last {
            Some((seen, authority)) if seen == digest => authority,
            _ => Arc::new(self.parse(&certificate, &key, &bundle)?),
        };
        authority.check_itself(now)?;
        *self.last() = Some((digest, authority.clone()));
        Ok(authority)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<([u8; 32], Arc<UpstreamAuthority>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parse(
        &self,
        certificate: &[u8],
        key: &[u8],
        bundle: &[u8],
    ) -> Result<UpstreamAuthority, UpstreamError> {
        let mut chain = parse_certificates(&self.certificate, certificate)?;
        let signer = parse_key(&self.key, key)?;
        let roots = match &self.bundle {
            Some(path) => parse_certificates(path, bundle)?,
            None => {
                let roots = chain.iter().filter(|c| c.is_self_signed());
                roots.cloned().collect()
            }
        };
        if roots.is_empty() {
            return Err(UpstreamError::NoRoot(shown(&self.certificate)));
        }
        // A file of certificates is never empty.
        let issuer = chain
            .first()
            .cloned()
            .ok_or_else(|| UpstreamError::NoRoot(shown(&self.certificate)))?;
        if issuer.key() != Ok(signer.public_key()) {
            return Err(UpstreamError::OtherKey(shown(&self.key)));
        }
        chain.retain(|c| !roots.iter().any(|root| root.der() == c.der()));
        let join = |all: &[Certificate]| -> Vec<u8> {
            all.iter().flat_map(|c| c.der()).copied().collect()
        };
        Ok(UpstreamAuthority {
            chain: join(&chain),
            roots: join(&roots),
            store: TrustStore::new(roots, chain),
            issuer,
            signer,
        })
    }
}

/// An upstream authority that was read.
#[derive(Debug)]
pub struct UpstreamAuthority {
    issuer: Certificate,
    signer: LocalKey,
    chain: Vec<u8>,
    roots: Vec<u8>,
    store: TrustStore,
}

impl UpstreamAuthority {
    /// Its key.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        &self.signer
    }

    /// Its `Name`, DER.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.issuer.subject().raw()
    }

    /// Its subject key identifier, if it has one.
    #[must_use]
    pub fn key_identifier(&self) -> Option<&[u8]> {
        self.issuer.extensions().subject_key_identifier.as_deref()
    }

    /// Its certificate and those between it and a root, one DER after the other; empty when it is a root.
    #[must_use]
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// The roots, one DER after the other.
    #[must_use]
    pub fn roots(&self) -> &[u8] {
        &self.roots
    }

    /// The first moment at which its certificate, or one above it, is no longer valid.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        let above = self
            .store
            .intermediates()
            .iter()
            .chain(self.store.anchors());
        let end = above
            .map(|c| c.not_after())
            .fold(self.issuer.not_after(), Ord::min);
        timestamp(end)
    }

    /// Whether its own chain holds, and leaves room for an authority below it.
    fn check_itself(&self, now: Timestamp) -> Result<(), UpstreamError> {
        let itself = Arc::new(self.issuer.clone());
        let anchored = self.store.anchors().iter().any(|c| c.der() == itself.der());
        if anchored && !itself.is_self_signed() {
            // A root that somebody else signed has nothing above it here. What stands below it is checked when it is made.
            let at = now.into();
            if at > itself.not_after() {
                return Err(UpstreamError::Path(PathError::Expired {
                    subject: itself.subject().to_string(),
                    not_after: itself.not_after(),
                    at,
                }));
            }
            return check_depth(&[itself]);
        }
        let chain = validate(&itself, &[], &self.store, &AUTHORITY, now.into())?;
        let above = chain.issuers().iter().filter(|c| c.der() != itself.der());
        let all: Vec<_> = [&itself].into_iter().chain(above).cloned().collect();
        check_depth(&all)
    }

    /// Whether a certificate that it signed leads to a root, with everything that stands above it.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Path`].
    pub fn check(&self, der: &[u8], now: Timestamp) -> Result<(), UpstreamError> {
        let certificate = Certificate::from_der(der).map_err(|error| UpstreamError::File {
            path: "certificate below it".to_owned(),
            reason: error.to_string(),
        })?;
        let chain = validate(&certificate, &[], &self.store, &AUTHORITY, now.into())?;
        check_depth(chain.issuers())
    }
}

/// Whether SVIDs below an own authority below these, the nearest first, are within everybody's path length. The validator
/// counts intermediates, and what it is shown here is the end of a path; for an SVID it is not.
fn check_depth(issuers: &[Arc<Certificate>]) -> Result<(), UpstreamError> {
    for (found, issuer) in (1..).zip(issuers) {
        let constraints = issuer.extensions().basic_constraints;
        match constraints.and_then(|constraints| constraints.path_len) {
            Some(allowed) if allowed < found => {
                return Err(UpstreamError::Path(PathError::PathLength {
                    subject: issuer.subject().to_string(),
                    allowed,
                    found,
                }));
            }
            _ => {}
        }
    }
    Ok(())
}

fn parse_certificates(path: &Path, blob: &[u8]) -> Result<Vec<Certificate>, UpstreamError> {
    certificates(blob).map_err(|error| UpstreamError::File {
        path: shown(path),
        reason: error.to_string(),
    })
}

fn parse_key(path: &Path, blob: &[u8]) -> Result<LocalKey, UpstreamError> {
    let none = || UpstreamError::Key(shown(path));
    let text = pem_text(blob).ok_or_else(none)?;
    if text.contains("ENCRYPTED") {
        return Err(UpstreamError::Encrypted(shown(path)));
    }
    let mut found = None;
    for block in pem_blocks(text).map_err(|_| none())? {
        let contents = Zeroizing::new(block.contents);
        // openssl writes `EC PARAMETERS` before an `EC PRIVATE KEY`.
        if block.label.ends_with("PRIVATE KEY") {
            let key = LocalKey::from_pem_block(block.label, &contents).ok_or_else(none)?;
            if found.replace(key).is_some() {
                return Err(none());
            }
        }
    }
    found.ok_or_else(none)
}

fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let meta = std::fs::metadata(path).map_err(|error| failed(path, &error))?;
        let mode = meta.permissions().mode();
        // A group may read it: secrets are often mounted so. Nobody else may, and only its owner may replace it.
        if mode & 0o027 != 0 {
            return Err(UpstreamError::Exposed {
                path: shown(path),
                mode: mode & 0o777,
            });
        }
    }
    read(path, MAX_KEY)
}

fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
    let file = std::fs::File::open(path).map_err(|error| failed(path, &error))?;
    let meta = file.metadata().map_err(|error| failed(path, &error))?;
    if !meta.is_file() || meta.len() > limit {
        return Err(UpstreamError::File {
            path: shown(path),
            reason: format!("not a regular file of at most {limit} bytes"),
        });
    }
    // Room for all of it at once: a buffer that grows leaves copies of a key behind.
    let room = usize::try_from(meta.len()).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(path, &error))?;
    Ok(bytes)
}

fn failed(path: &Path, error: &std::io::Error) -> UpstreamError {
    UpstreamError::File {
        path: shown(path),
        reason: error.to_string(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
