//! The key that signs challenges, and that nodes are provisioned with.

use std::path::Path;
use std::sync::Arc;

use assay_common::login::{RenewDigest, Transcript, challenge_message, renewal_message};
use assay_common::protocol::message::SIGNATURE_LEN;
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::crypto::seal::{KEY_LEN, SealError, SealingKey};
use crate::crypto::sha256;
use crate::random::SecureRandom;

/// Name of the key's file in the data directory: PKCS#8, DER, mode 0600.
pub const FILE: &str = "challenge-key.p8";

/// Why there is no challenge key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("challenge key {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no PKCS#8 P-256 key.
    #[error("challenge key {0}: not a P-256 key in PKCS#8")]
    Invalid(String),
    /// Others can read the file.
    #[error("challenge key {path}: mode {mode:o} lets others read it")]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// No key could be made.
    #[error("could not make a challenge key")]
    Generate,
}

/// What the key that seals the keys of login states is derived for (RFC 5869, info), and what it seals.
/// What the key is derived for that seals a login's evidence (RFC 5869, info).
pub const EVIDENCE_LABEL: &[u8] = b"assay/evidence/v1";
const STATE_KEY_LABEL: &[u8] = b"assay/login-state-key/v1";

/// An ECDSA P-256 key, and what is derived from it. Clones are the same key.
#[derive(Clone)]
pub struct ChallengeKey {
    pair: Arc<EcdsaKeyPair>,
    /// Seals the keys of login states in the store. All verifiers that share the challenge key have it.
    wrapping: Arc<SealingKey>,
    /// Seals what of a login's evidence lets its reader in.
    evidence: Arc<SealingKey>,
}

impl core::fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ChallengeKey({})", hex::encode(self.public()))
    }
}

/// The signature could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("could not sign a challenge")]
pub struct SignError;

impl ChallengeKey {
    /// A new key that is stored nowhere.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generate`].
    pub fn generate() -> Result<Self, KeyError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .ok()
            .and_then(Self::of)
            .ok_or(KeyError::Generate)
    }

    fn of(pair: EcdsaKeyPair) -> Option<Self> {
        let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
        let secret = Salt::new(HKDF_SHA256, &[]).extract(private.as_ref());
        let derived = |label: &[u8]| {
            let mut key = Zeroizing::new([0; KEY_LEN]);
            secret
                .expand(&[label], HKDF_SHA256)
                .and_then(|okm| okm.fill(key.as_mut_slice()))
                .ok()?;
            Some(Arc::new(SealingKey::from(key)))
        };
        Some(Self {
            wrapping: derived(STATE_KEY_LABEL)?,
            evidence: derived(EVIDENCE_LABEL)?,
            pair: Arc::new(pair),
        })
    }

    /// The key of a data directory; made when there is none yet.
    ///
    /// # Errors
    ///
    /// [`KeyError`]. A damaged file is not replaced: nodes pin the key that it held.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, KeyError> {
        let path = data_dir.join(FILE);
        match Self::load(&path) {
            Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::create(&path)
            }
            other => other,
        }
    }

    /// The key of a data directory, where there is one; nothing is made.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn existing(data_dir: &Path) -> Result<Self, KeyError> {
        Self::load(&data_dir.join(FILE))
    }

    fn load(path: &Path) -> Result<Self, KeyError> {
        let der = Zeroizing::new(std::fs::read(path).map_err(|source| file(path, source))?);
        check_mode(path)?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .ok()
            .and_then(Self::of)
            .ok_or_else(|| KeyError::Invalid(path.display().to_string()))
    }

    fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::generate()?;
        let der = key.pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
        // Written aside and linked into place: a crash leaves no half key, and of two processes that start at once
        // the first one's key stays.
        let aside = path.with_extension(format!("{}.new", std::process::id()));
        let result =
            write_private(&aside, der.as_ref()).and_then(|()| std::fs::hard_link(&aside, path));
        let _ = std::fs::remove_file(&aside);
        match result {
            Ok(()) => Ok(key),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(file(path, error)),
        }
    }

    /// The public key: an uncompressed SEC1 point, 65 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Names the verifiers that share the key, in what they share: SHA-256 of the public key.
    #[must_use]
    pub fn family(&self) -> [u8; 32] {
        sha256(&[self.public()])
    }

    /// The key that seals what of a login's evidence lets its reader in (see `audit::sealed`).
    #[must_use]
    pub fn evidence_key(&self) -> &SealingKey {
        &self.evidence
    }

    /// Seals a key of login states for the store, which holds it by this number.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn wrap_state_key(
        &self,
        number: u64,
        key: &[u8; KEY_LEN],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        self.wrapping
            .seal(&state_key_of(number), key.to_vec(), random)
    }

    /// Opens what [`Self::wrap_state_key`] has sealed; `None` for anything else.
    #[must_use]
    pub fn unwrap_state_key(&self, number: u64, untrusted: &[u8]) -> Option<SealingKey> {
        let key = self.wrapping.open(&state_key_of(number), untrusted)?;
        let key: [u8; KEY_LEN] = key.as_slice().try_into().ok()?;
        Some(SealingKey::from(Zeroizing::new(key)))
    }

    /// Signs a challenge together with the transcript before it.
    ///
    /// # Errors
    ///
    /// [`SignError`].
    pub fn sign(&self, before: &Transcript, body: &[u8]) -> Result<[u8; SIGNATURE_LEN], SignError> {
        self.sign_message(&challenge_message(before, body).concat())
    }

    /// Signs a renewal together with the message that asked for it.
    ///
    /// # Errors
    ///
    /// [`SignError`].
    pub fn sign_renewal(
        &self,
        asked: &RenewDigest,
        body: &[u8],
    ) -> Result<[u8; SIGNATURE_LEN], SignError> {
        self.sign_message(&renewal_message(asked, body).concat())
    }

    /// Signs a message whose beginning says what it is for: every kind has a label of its own.
    fn sign_message(&self, message: &[u8]) -> Result<[u8; SIGNATURE_LEN], SignError> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message)
            .map_err(|_| SignError)?;
        signature.as_ref().try_into().map_err(|_| SignError)
    }
}

fn state_key_of(number: u64) -> Vec<u8> {
    [STATE_KEY_LABEL, &number.to_be_bytes()].concat()
}

fn file(path: &Path, source: std::io::Error) -> KeyError {
    KeyError::File {
        path: path.display().to_string(),
        source,
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut out = options.open(path)?;
    out.write_all(bytes)?;
    out.sync_all()
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)
        .map_err(|source| file(path, source))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyError::Exposed {
            path: path.display().to_string(),
            mode: mode & 0o777,
        })
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{ChallengeKey, FILE, KeyError};
    use assay_common::login::{Transcript, challenge_message};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn the_key_of_a_data_directory_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = ChallengeKey::load_or_create(dir.path()).unwrap();
        let again = ChallengeKey::load_or_create(dir.path()).unwrap();
        assert_eq!(first.public(), again.public());
        assert_eq!(
            (first.public().len(), first.public().first()),
            (65, Some(&4))
        );
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [FILE]);
    }

    #[test]
    fn a_signature_fits_its_transcript_and_body_only() {
        let key = ChallengeKey::generate().unwrap();
        let before = Transcript::new();
        let signature = key.sign(&before, b"body").unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public());
        let good = challenge_message(&before, b"body").concat();
        assert!(public.verify(&good, &signature).is_ok());
        let other = challenge_message(&before, b"bodz").concat();
        assert!(public.verify(&other, &signature).is_err());
    }

    #[test]
    fn a_damaged_key_is_reported_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        super::write_private(&dir.path().join(FILE), b"damaged").unwrap();
        assert!(matches!(
            ChallengeKey::load_or_create(dir.path()),
            Err(KeyError::Invalid(_))
        ));
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"damaged");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        ChallengeKey::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            ChallengeKey::load_or_create(dir.path()),
            Err(KeyError::Exposed { mode: 0o640, .. })
        ));
    }
}
