//! Join tokens: each lets one node log in once. A store holds a hash of a token's public key and never the token; see
//! [`JoinToken::sha256`](crate::join_token::JoinToken::sha256).
//!
//! # Why one statement takes a token
//!
//! SPIRE looked a token up and then deleted it, and two logins at once could both find it (fixed in 1.14.6). Here whoever
//! changes the row has the token: the database lets one do so, however many replicas try.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::StoreError;

/// A join token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenRecord {
    /// Its public name, 32 hex digits, for lists, logs, revocation and the node's identity. It says nothing about the token.
    pub id: String,
    /// SHA-256 of the token's public key.
    pub sha256: [u8; 32],
    /// The cluster that it lets into.
    pub cluster: String,
    /// The identity that its node gets; `None`: what the cluster's issuance policy makes.
    pub spiffe_id: Option<String>,
    /// What the node must have proven by other methods in the same login, by attribute: so that a token that leaks is of no
    /// use elsewhere.
    pub bound: BTreeMap<String, String>,
    /// What it is for; may be empty.
    pub comment: String,
    /// Whole seconds.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Whole seconds; from then on it lets nobody in.
    pub expires_at: Timestamp,
    /// When a login took it, whole seconds.
    pub used_at: Option<Timestamp>,
}

/// What came of taking a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinTokenTaken {
    /// It is the caller's, and nobody else's.
    Taken(JoinTokenRecord),
    /// A login took it before.
    Used(JoinTokenRecord),
    /// It has ended unused.
    Expired(JoinTokenRecord),
    /// There is none, or it was revoked.
    Unknown,
}

impl JoinTokenTaken {
    /// What a token that could not be taken is, as the store shows it.
    pub(super) fn refused(record: Option<JoinTokenRecord>) -> Self {
        match record {
            None => Self::Unknown,
            Some(record) if record.used_at.is_some() => Self::Used(record),
            Some(record) => Self::Expired(record),
        }
    }
}

/// The join tokens.
#[async_trait::async_trait]
pub trait JoinTokens {
    /// Stores a token; false, and nothing stored, when the id or the hash is there already.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn add_join_token(&self, token: &JoinTokenRecord) -> Result<bool, StoreError>;

    /// Takes the token with this hash: [`JoinTokenTaken::Taken`] for exactly one caller, whatever else runs at the time, and
    /// only before its end. It stays taken, whatever becomes of the login.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the token may be taken then, and nobody may be let in.
    async fn take_join_token(
        &self,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, StoreError>;

    /// At most `limit` tokens whose id is greater than `after`, by id, also those that were used or have ended and are not
    /// forgotten yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn join_tokens(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<JoinTokenRecord>, StoreError>;

    /// Forgets a token, at once on every replica; returns it, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn revoke_join_token(&self, id: &str) -> Result<Option<JoinTokenRecord>, StoreError>;
}
