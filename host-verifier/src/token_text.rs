//! Secrets as text: a prefix and 43 characters of base64url, which are 256 random bits. The prefix is for whoever looks for
//! leaked secrets in files and logs.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::crypto::sha256;
use crate::random::{RandomError, SecureRandom, bytes};

/// Characters behind the prefix.
pub const SECRET: usize = 43;

/// A secret, which no log, error or debug output shows.
pub struct TokenText(Zeroizing<String>);

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

impl TokenText {
    /// A new one.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn new(random: &dyn SecureRandom, prefix: &str) -> Result<Self, RandomError> {
        let secret = Zeroizing::new(bytes::<32>(random)?);
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + SECRET));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut text);
        Ok(Self(text))
    }

    /// Reads what somebody sent; `None` when it cannot be one, so that the store is not asked for it.
    #[must_use]
    pub fn read(text: &str, prefix: &str) -> Option<Self> {
        let secret = text.strip_prefix(prefix)?;
        let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (secret.len() == SECRET && secret.bytes().all(alphabet))
            .then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What is stored of it, and what it is found by.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&[self.0.as_bytes()])
    }

    /// The secret itself: for whoever asked for it, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
