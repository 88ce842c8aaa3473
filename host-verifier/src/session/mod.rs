//! Sessions: what a node holds after a login. A session has an id (public, in logs), a secret (the node and nobody
//! else; the store has its hash), a lifetime, the attributes that the winning policy vouches for, and a SPIFFE ID.

mod naming;
mod renewal;
mod template;

pub use naming::NamingError;
pub use renewal::{JudgedBy, QuotedState, RenewalBasis, Shown};
pub use template::{PathTemplate, RenderError, TemplateError, is_attribute_name};

use core::str::FromStr;

use jiff::Timestamp;

use crate::random::{RandomError, SecureRandom};

/// A session's name, written as 32 lower-case hex digits: the second in which it was made, in 4 bytes, and 12 random bytes. It
/// is public, and nothing is proven by knowing it. In the order of their names sessions are in that of their making, so that a
/// database keeps new ones beside each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// The name of a session that is made now.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn draw(now: Timestamp, random: &dyn SecureRandom) -> Result<Self, RandomError> {
        let mut id: [u8; 16] = crate::random::bytes(random)?;
        if let Some(time) = id.first_chunk_mut() {
            *time = second(now);
        }
        Ok(Self(id))
    }
}

/// A second since 1970, big-endian, for what is kept in the order of time; it begins anew in 2106.
pub(crate) fn second(time: Timestamp) -> [u8; 4] {
    (time.as_second() as u32).to_be_bytes()
}

/// A name in hex, in one piece: names are written a dozen times in a login.
pub(crate) fn write_hex(f: &mut core::fmt::Formatter<'_>, name: &[u8; 16]) -> core::fmt::Result {
    let mut digits = [0; 32];
    hex::encode_to_slice(name, &mut digits).map_err(|_| core::fmt::Error)?;
    f.write_str(core::str::from_utf8(&digits).map_err(|_| core::fmt::Error)?)
}

impl core::fmt::Display for SessionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write_hex(f, &self.0)
    }
}

impl core::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A text that is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id has 32 hex digits")]
pub struct SessionIdError;

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| SessionIdError)?;
        Ok(Self(id))
    }
}

/// What is stored of a session secret. A plain hash is enough: the secret has 256 random bits, so it cannot
/// be guessed from its hash.
#[must_use]
pub fn secret_hash(secret: &[u8; 32]) -> [u8; 32] {
    crate::crypto::sha256(&[secret])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use jiff::Timestamp;

    use super::{SessionId, SessionIdError};
    use crate::random::SystemRandom;

    #[test]
    fn ids_are_in_the_order_of_time_and_random_within_a_second() {
        let at = |second| {
            let now = Timestamp::from_second(second).unwrap();
            SessionId::draw(now, &SystemRandom).unwrap()
        };
        let (first, again, later) = (at(1_800_000_000), at(1_800_000_000), at(1_800_000_001));
        assert!(first < later && again < later);
        assert_eq!(first.0[..4], again.0[..4]);
        assert_ne!(first.0[4..], again.0[4..]);
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = SessionId([0xAB; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "ab", &"g".repeat(32), &"ab".repeat(17)] {
            assert_eq!(text.parse::<SessionId>(), Err(SessionIdError), "{text}");
        }
    }
}
