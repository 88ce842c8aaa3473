//! Bearer tokens: `assay_` and 43 characters of base64url, which are 256 random bits. The prefix is for whoever looks for
//! leaked secrets in files and logs.

use core::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::random::{RandomError, SecureRandom, bytes};
use crate::store::{ApiTokenRecord, Role};

/// What every token begins with.
pub const PREFIX: &str = "assay_";
/// Length of a token in characters.
pub const LEN: usize = PREFIX.len() + 43;
/// Longest name of a token, characters.
pub const MAX_NAME: usize = 64;
/// How long a token may be made to last.
pub const TTL: (Duration, Duration) = (
    Duration::from_secs(60),
    Duration::from_secs(10 * 366 * 24 * 3600),
);

/// A token, which no log, error or debug output shows.
pub struct ApiToken(Zeroizing<String>);

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(..)")
    }
}

/// Why a token is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The name cannot be shown, or is none.
    #[error("a token's name has 1 to {MAX_NAME} characters, none of them a control character")]
    Name,
    /// It would end too soon or too late.
    #[error("a token lasts from one minute to ten years")]
    Ttl,
    /// See [`RandomError`].
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl ApiToken {
    /// A new token, and the record that stands for it. `created_by` says who asked for it; `None` for `ttl` is for ever.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub fn issue(
        random: &dyn SecureRandom,
        now: Timestamp,
        name: &str,
        role: Role,
        ttl: Option<Duration>,
        created_by: &str,
    ) -> Result<(Self, ApiTokenRecord), TokenError> {
        let characters = name.chars().count();
        if !(1..=MAX_NAME).contains(&characters) || name.chars().any(char::is_control) {
            return Err(TokenError::Name);
        }
        let whole = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
        let expires_at = match ttl {
            None => None,
            Some(ttl) if ttl < TTL.0 || ttl > TTL.1 => return Err(TokenError::Ttl),
            Some(ttl) => Some(whole(now.checked_add(ttl).map_err(|_| TokenError::Ttl)?)),
        };
        let secret = Zeroizing::new(bytes::<32>(random)?);
        let mut text = Zeroizing::new(String::with_capacity(LEN));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut text);
        let token = Self(text);
        let record = ApiTokenRecord {
            id: hex::encode(bytes::<8>(random)?),
            sha256: token.sha256(),
            name: name.to_owned(),
            role,
            created_at: whole(now),
            created_by: created_by.to_owned(),
            expires_at,
        };
        Ok((token, record))
    }

    /// Reads what somebody sent; `None` when it cannot be a token, so that the store is not asked for it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX)?;
        let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (text.len() == LEN && secret.bytes().all(alphabet))
            .then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What is stored of it, and what it is found by.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.0.as_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(digest.as_ref());
        out
    }

    /// The token itself: for whoever asked for it, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{ApiToken, LEN, TokenError};
    use crate::random::SystemRandom;
    use crate::store::Role;

    fn issue(name: &str, ttl: Option<Duration>) -> Result<ApiToken, TokenError> {
        let issued = ApiToken::issue(
            &SystemRandom,
            Timestamp::UNIX_EPOCH,
            name,
            Role::Viewer,
            ttl,
            "test",
        );
        issued.map(|(token, _)| token)
    }

    #[test]
    fn a_token_is_read_as_it_was_issued_and_nothing_else_is() {
        let token = issue("ci", None).unwrap();
        let text = token.expose();
        assert_eq!((text.len(), text.starts_with("assay_")), (LEN, true));
        assert_eq!(ApiToken::read(text).unwrap().sha256(), token.sha256());
        for wrong in [
            &text[1..],
            &text[..LEN - 1],
            &format!("{text}="),
            &text.replace("assay_", "other_"),
            &format!("{}\u{e9}", &text[..LEN - 2]),
        ] {
            assert!(ApiToken::read(wrong).is_none(), "{wrong}");
        }
        assert_ne!(issue("ci", None).unwrap().sha256(), token.sha256());
        assert!(!format!("{token:?}").contains(&text[6..]));
    }

    #[test]
    fn a_name_that_cannot_be_shown_and_a_life_that_has_no_use_are_refused() {
        for name in ["", "a\nb", &"n".repeat(65)] {
            assert_eq!(issue(name, None).err(), Some(TokenError::Name), "{name}");
        }
        for seconds in [0, 59, 100 * 366 * 24 * 3600] {
            let ttl = Some(Duration::from_secs(seconds));
            assert_eq!(issue("ci", ttl).err(), Some(TokenError::Ttl));
        }
    }
}
