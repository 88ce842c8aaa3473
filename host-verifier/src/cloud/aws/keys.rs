//! An access key, as requests are signed with it.

use core::fmt;
use core::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Keys are not used in their last five minutes: a request may lie on its way, and clocks differ by as much.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// Longest that keys with an end are kept. A role's sessions can be revoked, and then this is how long it takes to notice.
pub const KEPT: Duration = Duration::from_secs(15 * 60);
/// Longest session token. AWS names no limit; its own have up to some 2,000 bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Keys {
    /// Its id, which is no secret.
    pub(super) id: String,
    /// Signs.
    pub(super) secret: String,
    /// Shows that the key is a session's.
    pub(super) token: Option<String>,
    /// When the session ends.
    #[zeroize(skip)]
    pub(super) expires: Option<Timestamp>,
}

/// Without the secrets.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.id)
    }
}

impl Keys {
    /// Looks at what somebody answered; so nothing else than a key gets into a header.
    pub(super) fn checked(self) -> Result<Self, &'static str> {
        let plain = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let id = self
            .id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let token = self.token.as_ref();
        match id
            && plain(&self.id, 128)
            && plain(&self.secret, 256)
            && token.is_none_or(|token| plain(token, MAX_TOKEN))
        {
            true => Ok(self),
            false => Err("this is no access key"),
        }
    }

    /// How long these are worth keeping; `None`: not at all any more.
    pub(super) fn kept(&self, now: Timestamp) -> Option<Duration> {
        let Some(expires) = self.expires else {
            return Some(KEPT);
        };
        let left = expires.duration_since(now) - MARGIN;
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero());
        left.map(|left| left.min(KEPT))
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        // As long as it can get, so that no copy is left behind when it grows.
        let token = self.token.as_ref().map_or(0, String::len);
        let room = 256 + self.id.len() + 6 * self.secret.len() + 6 * token;
        let mut json = Vec::with_capacity(room);
        serde_json::to_writer(&mut json, self)?;
        Ok(json)
    }
}

/// One line of visible ASCII out of a file that holds a secret.
pub(super) async fn secret_file(
    path: &std::path::Path,
    most: usize,
) -> Result<Zeroizing<String>, &'static str> {
    use tokio::io::AsyncReadExt as _;

    let unreadable = |_| "a file with a secret cannot be read";
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 64));
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    let mut limited = file.take(limit.saturating_add(1));
    limited.read_to_end(&mut bytes).await.map_err(unreadable)?;
    let text = core::str::from_utf8(bytes.trim_ascii_end()).unwrap_or_default();
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match plain && bytes.len() <= most {
        true => Ok(Zeroizing::new(text.to_owned())),
        false => Err("a file with a secret is not one line of visible ASCII"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use core::time::Duration;

    use super::{KEPT, Keys};

    fn keys(expires: Option<&str>) -> Keys {
        Keys {
            id: "AKIDEXAMPLE".into(),
            secret: "s3cret/+".into(),
            token: Some("t0ken".into()),
            expires: expires.map(|at| at.parse().unwrap()),
        }
    }

    #[test]
    fn keys_are_not_kept_into_their_last_minutes() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let kept = |expires| keys(expires).kept(now);
        assert_eq!(kept(None), Some(KEPT));
        assert_eq!(kept(Some("2026-11-22T13:00:00Z")), Some(KEPT));
        assert_eq!(
            kept(Some("2026-11-22T12:06:00Z")),
            Some(Duration::from_secs(60))
        );
        assert_eq!(kept(Some("2026-11-22T12:05:00Z")), None);
        assert_eq!(kept(Some("2026-11-22T11:00:00Z")), None);
    }

    #[test]
    fn a_key_does_not_show_and_is_read_back_whole() {
        let keys = keys(Some("2026-11-22T13:00:00Z"));
        let told = format!("{keys:?}");
        assert_eq!(told, "Keys(AKIDEXAMPLE)");
        let json = keys.to_json().unwrap();
        assert_eq!(serde_json::from_slice::<Keys>(&json).unwrap(), keys);
    }

    #[test]
    fn what_is_no_key_gets_into_no_header() {
        assert!(keys(None).checked().is_ok());
        for (id, secret, token) in [
            ("", "s", None),
            ("A/B", "s", None),
            ("A", "", None),
            ("A", "s\r\nx: y", None),
            ("A", "s", Some("")),
            ("A", "s", Some("a b")),
        ] {
            let keys = Keys {
                id: id.into(),
                secret: secret.into(),
                token: token.map(Into::into),
                expires: None,
            };
            assert!(keys.checked().is_err(), "{id} {secret} {token:?}");
        }
        let mut long = keys(None);
        long.token = Some("t".repeat(9000));
        assert!(long.checked().is_err());
    }
}
