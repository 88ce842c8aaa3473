//! Sessions: what a node holds after a login. A session has an id (public, in logs), a secret (the node and nobody
//! else; the store has its hash), a lifetime, the attributes that the winning policy vouches for, and a SPIFFE ID.

mod naming;
mod renewal;
mod template;

pub use naming::NamingError;
pub use renewal::{JudgedBy, QuotedState, RenewalBasis, Shown};
pub use template::{PathTemplate, RenderError, TemplateError, is_attribute_name};

use core::str::FromStr;

/// A session's name: 16 random bytes, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl core::fmt::Display for SessionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
mod tests {
    use super::{SessionId, SessionIdError};

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = SessionId([0xAB; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "ab", &"g".repeat(32), &"ab".repeat(17)] {
            assert_eq!(text.parse::<SessionId>(), Err(SessionIdError), "{text}");
        }
    }
}
