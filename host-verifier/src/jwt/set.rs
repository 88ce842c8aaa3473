//! A set of keys (RFC 7517 section 5), and which of them a token means.

use super::algorithm::{Algorithm, Primitive};
use super::error::shown;
use super::json::{self, Json};
use super::key::{Jwk, JwkError, Material};

/// Longest document, bytes.
pub const MAX_SET: usize = 256 * 1024;
/// Most entries, used or not.
pub const MAX_KEYS: usize = 64;

/// Why a document is not a set of keys that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Too long, no JSON, or no list of objects in `keys`.
    #[error("{0}")]
    Form(String),
    /// More than [`MAX_KEYS`].
    #[error("{0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
    /// An entry is broken, or holds a secret.
    #[error("keys[{at}]: {why}")]
    Key {
        /// Which.
        at: usize,
        /// What is wrong.
        why: JwkError,
    },
    /// Two keys of one name: which of them is meant cannot be known.
    #[error("two keys have the kid {}", shown(.0))]
    Twice(String),
    /// No key in it verifies signatures.
    #[error("no key in it is for the verification of signatures")]
    Empty,
}

/// Why no key of a set is the token's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoKey {
    /// None has the token's `kid`.
    #[error("key {} not found", shown(.0))]
    Unknown(String),
    /// The token names none, and there are several.
    #[error("the token names no key (kid), and there are {0}")]
    Ambiguous(usize),
}

/// A set of public keys with unique names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a document `{"keys": […]}`. Keys of types and uses that are not used here are left out, as section 5 says.
    /// Any secret in it refuses the whole set, also one in a key that would be left out: who publishes one has lost it.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SetError> {
        Self::read(bytes, JwkError::is_of_another_kind)
    }

    /// As [`Self::parse`] for a set that its issuer keeps: a key that is weak or broken is left out too, since no operator here
    /// can mend it and its neighbours are none the worse. Secrets and equal names still refuse the whole set.
    ///
    /// # Errors
    ///
    /// [`SetError`].
    pub fn parse_fetched(bytes: &[u8]) -> Result<Self, SetError> {
        Self::read(bytes, |why| !why.shows_a_secret())
    }

    fn read(bytes: &[u8], leave_out: impl Fn(&JwkError) -> bool) -> Result<Self, SetError> {
        if bytes.len() > MAX_SET {
            return Err(SetError::Form(format!("more than {MAX_SET} bytes")));
        }
        let document = json::object(bytes).map_err(|error| SetError::Form(error.to_string()))?;
        let Some(Json::List(entries)) = document.get("keys") else {
            return Err(SetError::Form("no list `keys` in it".to_owned()));
        };
        if entries.len() > MAX_KEYS {
            return Err(SetError::TooMany(entries.len()));
        }
        let mut keys = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let object = entry
                .object()
                .ok_or_else(|| SetError::Form(format!("keys[{at}] is {}", entry.kind())))?;
            match Jwk::from_object(object) {
                Ok(key) => keys.push(key),
                Err(why) if leave_out(&why) => {}
                Err(why) => return Err(SetError::Key { at, why }),
            }
        }
        Self::of(keys)
    }

    fn of(keys: Vec<Jwk>) -> Result<Self, SetError> {
        if keys.is_empty() {
            return Err(SetError::Empty);
        }
        let mut names: Vec<_> = keys.iter().filter_map(Jwk::id).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                return Err(SetError::Twice((*one).to_owned()));
            }
        }
        Ok(Self { keys })
    }

    /// All keys.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The key that a token with this `kid` means. Without one, the only key of the set; with one, the key of that name, or
    /// the only key of the set if that has none.
    ///
    /// # Errors
    ///
    /// [`NoKey`].
    pub fn select(&self, kid: Option<&str>) -> Result<&Jwk, NoKey> {
        match (kid, self.keys.as_slice()) {
            (None, [only]) => Ok(only),
            (None, several) => Err(NoKey::Ambiguous(several.len())),
            (Some(_), [only]) if only.id.is_none() => Ok(only),
            (Some(kid), keys) => keys
                .iter()
                .find(|key| key.id() == Some(kid))
                .ok_or_else(|| NoKey::Unknown(kid.to_owned())),
        }
    }
}

/// Whether a key's type and curve are those of an algorithm.
pub(super) fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    match (&key.material, algorithm.primitive()) {
        (Material::Rsa(_), Primitive::Rsa(_)) | (Material::Ed25519(_), Primitive::Ed25519) => true,
        (Material::Ec(ec), Primitive::Ec(curve, _)) => ec.curve() == curve,
        _ => false,
    }
}
