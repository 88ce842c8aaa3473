//! Keys made from the secret of an activated credential.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::Transcript;

/// Length of the activated secret and of the session secret, bytes.
pub const SECRET_LEN: usize = 32;

const PROOF_LABEL: &[u8] = b"assay/proof/v1";
const GRANT_LABEL: &[u8] = b"assay/grant/v1";
const SEAL_LABEL: &[u8] = b"assay/seal/v1";

/// A grant that was not made for this login, or not by whoever made the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SealError;

impl core::fmt::Display for SealError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the grant was not made for this login")
    }
}

impl core::error::Error for SealError {}

/// The activated secret and what is made from it. Wiped when dropped.
pub struct LoginKeys {
    secret: [u8; SECRET_LEN],
}

impl Drop for LoginKeys {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl core::fmt::Debug for LoginKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LoginKeys(..)")
    }
}

impl LoginKeys {
    /// Keys from the secret that a credential held.
    #[must_use]
    pub const fn new(secret: [u8; SECRET_LEN]) -> Self {
        Self { secret }
    }

    /// The answer to a credential: shows that the secret is known, and in which login, without telling it.
    #[must_use]
    pub fn proof(&self, transcript: &Transcript) -> [u8; 32] {
        let mut key = self.key(PROOF_LABEL, transcript);
        let proof = hmac(&key, &[transcript.as_bytes()]);
        key.zeroize();
        proof
    }

    /// Whether `untrusted` is the proof for this transcript; constant time.
    #[must_use]
    pub fn proof_fits(&self, transcript: &Transcript, untrusted: &[u8; 32]) -> bool {
        self.proof(transcript).ct_eq(untrusted).into()
    }

    /// Seals a session secret for whoever holds the activated secret. The transcript includes the last proofs.
    ///
    /// The mask is used for one secret only: it depends on the transcript, which never repeats.
    #[must_use]
    pub fn seal_secret(
        &self,
        transcript: &Transcript,
        secret: &[u8; SECRET_LEN],
    ) -> [u8; SECRET_LEN] {
        let mut sealed = self.key(SEAL_LABEL, transcript);
        for (byte, plain) in sealed.iter_mut().zip(secret) {
            *byte ^= plain;
        }
        sealed
    }

    /// Authenticates a grant. The transcript includes the last proofs.
    #[must_use]
    pub fn grant_tag(&self, transcript: &Transcript, body: &[u8]) -> [u8; 32] {
        let mut key = self.key(GRANT_LABEL, transcript);
        let tag = hmac(&key, &[transcript.as_bytes(), body]);
        key.zeroize();
        tag
    }

    /// Checks a grant's tag in constant time.
    ///
    /// # Errors
    ///
    /// [`SealError`] when it does not fit; nothing of the body may be used then.
    pub fn check_grant(
        &self,
        transcript: &Transcript,
        body: &[u8],
        tag: &[u8; 32],
    ) -> Result<(), SealError> {
        if self.grant_tag(transcript, body).ct_eq(tag).into() {
            Ok(())
        } else {
            Err(SealError)
        }
    }

    /// The session secret out of a grant whose tag was checked.
    #[must_use]
    pub fn open_secret(
        &self,
        transcript: &Transcript,
        sealed: &[u8; SECRET_LEN],
    ) -> [u8; SECRET_LEN] {
        self.seal_secret(transcript, sealed)
    }

    fn key(&self, label: &[u8], transcript: &Transcript) -> [u8; 32] {
        hmac(&self.secret, &[label, transcript.as_bytes()])
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&(*key).into_key());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC takes a block-sized key here: shorter keys are padded with zeros (RFC 2104 section 2), which `new` of a
/// slice does as well, but with an error case that cannot happen.
trait IntoKey {
    fn into_key(self) -> hmac::digest::Key<Hmac<Sha256>>;
}

impl IntoKey for [u8; 32] {
    fn into_key(self) -> hmac::digest::Key<Hmac<Sha256>> {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (slot, byte) in block.iter_mut().zip(self) {
            *slot = byte;
        }
        block
    }
}
