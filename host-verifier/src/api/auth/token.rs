//! Bearer tokens: `assay_` and 256 random bits as text.

use std::time::Duration;

use jiff::Timestamp;

use crate::random::{RandomError, SecureRandom, bytes};
use crate::store::{ApiTokenRecord, Role};
use crate::token_text::{SECRET, TokenText};

/// What every token begins with.
pub const PREFIX: &str = "assay_";
/// Length of a token in characters.
pub const LEN: usize = PREFIX.len() + SECRET;
/// Longest name of a token, characters.
pub const MAX_NAME: usize = 64;
/// How long a token may be made to last.
pub const TTL: (Duration, Duration) = (
    Duration::from_secs(60),
    Duration::from_secs(10 * 366 * 24 * 3600),
);

/// A token; see [`TokenText`].
#[derive(Debug)]
pub struct ApiToken(TokenText);

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
        let token = Self(TokenText::new(random, PREFIX)?);
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
        TokenText::read(text, PREFIX).map(Self)
    }

    /// What is stored of it, and what it is found by.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256()
    }

    /// The token itself: for whoever asked for it, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
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
