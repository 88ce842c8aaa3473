//! Sealing of short secrets for oneself: a fresh key for every message.
//!
//! One AES-GCM key must not seal more than 2^32 messages under random nonces (NIST SP 800-38D, section 8.3), which a busy
//! service can reach. So each message has a key of its own, HKDF-SHA-256 (RFC 5869) of the long key with a random 256-bit
//! salt that travels in front, and AES-256-GCM uses it once, with a nonce of zeros.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::random::{RandomError, SecureRandom, bytes};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of the salt in front of a sealed message.
const SALT_LEN: usize = 32;

/// A message could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// See [`RandomError`].
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The library fails.
    #[error("a message could not be sealed")]
    Library,
}

/// A key that seals any number of messages.
pub struct SealingKey(Zeroizing<[u8; KEY_LEN]>);

impl core::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

impl From<Zeroizing<[u8; KEY_LEN]>> for SealingKey {
    fn from(key: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self(key)
    }
}

impl SealingKey {
    /// Seals `text`, in place so that no copy of it is left behind. What `about` says is not in the result and must be
    /// said again when it is opened; it begins with a label of the use.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn seal(
        &self,
        about: &[u8],
        mut text: Vec<u8>,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let salt: [u8; SALT_LEN] = bytes(random)?;
        let sealed = self
            .message_key(&salt, about)
            .ok_or(SealError::Library)?
            .seal_in_place_append_tag(zeros(), Aad::from(about), &mut text);
        sealed.map_err(|_| SealError::Library)?;
        Ok([salt.as_slice(), &text].concat())
    }

    /// Opens what this key has sealed about the same; `None` for anything else.
    #[must_use]
    pub fn open(&self, about: &[u8], untrusted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, sealed) = untrusted.split_first_chunk::<SALT_LEN>()?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let length = self
            .message_key(salt, about)?
            .open_in_place(zeros(), Aad::from(about), &mut text)
            .ok()?
            .len();
        text.truncate(length);
        Some(text)
    }

    fn message_key(&self, salt: &[u8; SALT_LEN], about: &[u8]) -> Option<LessSafeKey> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Salt::new(HKDF_SHA256, salt)
            .extract(self.0.as_slice())
            .expand(&[about], HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .ok()?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).ok()?;
        Some(LessSafeKey::new(key))
    }
}

/// The nonce of a key that seals one message.
fn zeros() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{SealError, SealingKey};
    use crate::random::{RandomError, SecureRandom, SeededRandom};
    use zeroize::Zeroizing;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from(Zeroizing::new([byte; 32]))
    }

    /// Made with Python's `cryptography`: HKDF(SHA256, 32, salt, b"about").derive(bytes([7]) * 32) as the key of AESGCM,
    /// a nonce of zeros, b"text" with b"about" as associated data; the salt is bytes(range(32)).
    const SEALED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fd56cd16f03e1f04e616717eb3bce4ea4adc533b9";

    #[test]
    fn what_another_implementation_sealed_is_opened() {
        let sealed = hex::decode(SEALED).unwrap();
        assert_eq!(key(7).open(b"about", &sealed).unwrap().as_slice(), b"text");
    }

    #[test]
    fn nothing_else_is_opened() {
        let random = SeededRandom::new(1);
        let sealed = key(7).seal(b"about", b"text".to_vec(), &random).unwrap();
        assert!(key(7).open(b"about", &sealed).is_some());
        assert!(key(8).open(b"about", &sealed).is_none());
        assert!(key(7).open(b"abouT", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            assert!(key(7).open(b"about", &changed).is_none(), "byte {at}");
            assert!(key(7).open(b"about", sealed.get(..at).unwrap()).is_none());
        }
        let again = key(7).seal(b"about", b"text".to_vec(), &random).unwrap();
        assert_ne!(again, sealed, "each message has a key of its own");
    }

    #[test]
    fn without_randomness_nothing_is_sealed() {
        #[derive(Debug)]
        struct Broken;
        impl SecureRandom for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
                Err(RandomError)
            }
        }
        let sealed = key(7).seal(b"about", b"text".to_vec(), &Broken);
        assert_eq!(sealed, Err(SealError::Random(RandomError)));
    }
}
