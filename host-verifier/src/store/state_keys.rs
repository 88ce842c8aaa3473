//! The keys that seal logins between two messages, as the verifiers of one challenge key share them.
//!
//! A key here is sealed under the challenge key ([`crate::login::ChallengeKey`]), so that neither the database nor the
//! challenge key alone is enough to read or forge a login.

use jiff::Timestamp;

use super::StoreError;
#[cfg(feature = "service")]
use super::rows::Columns;

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKeyRecord {
    /// Whose it is: SHA-256 of the public challenge key.
    pub family: [u8; 32],
    /// Its name in the family, from 1 on.
    pub number: u64,
    /// The key, sealed.
    pub sealed: Vec<u8>,
    /// Whole seconds.
    pub made_at: Timestamp,
}

/// Where verifiers share them.
#[async_trait::async_trait]
pub trait StateKeyStore {
    /// Stores a key; false, and nothing stored, when its number is taken: of several verifiers that make the next key one
    /// does.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; whether it is stored is then unknown.
    async fn add_state_key(&self, key: &StateKeyRecord) -> Result<bool, StoreError>;

    /// All keys of a family, by number.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn state_keys(&self, family: &[u8; 32]) -> Result<Vec<StateKeyRecord>, StoreError>;

    /// Forgets the keys of a family whose number is less than `number`; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn remove_state_keys(&self, family: &[u8; 32], number: u64) -> Result<u64, StoreError>;
}

#[cfg(feature = "service")]
pub(super) const ADD: &str = "INSERT INTO login_state_keys (family, number, sealed, made_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT DO NOTHING";
#[cfg(feature = "service")]
pub(super) const ALL: &str =
    "SELECT number, sealed, made_at FROM login_state_keys WHERE family = $1 ORDER BY number";
#[cfg(feature = "service")]
pub(super) const REMOVE: &str = "DELETE FROM login_state_keys WHERE family = $1 AND number < $2";

/// A number as a column holds it. They rise by one from 1 on, so that they never come near the end.
#[cfg(feature = "service")]
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a row of [`ALL`].
#[cfg(feature = "service")]
pub(super) fn read(family: &[u8; 32], row: &impl Columns) -> Result<StateKeyRecord, StoreError> {
    let damaged = || StoreError::Damaged("login state key");
    let number = row.number("number")?.ok_or_else(damaged)?;
    let made_at = row.number("made_at")?.ok_or_else(damaged)?;
    Ok(StateKeyRecord {
        family: *family,
        number: u64::try_from(number).map_err(|_| damaged())?,
        sealed: row.bytes("sealed")?,
        made_at: Timestamp::from_second(made_at).map_err(|_| damaged())?,
    })
}
