//! What happens to a session after its login: renewal, revocation, and the ban of its node.

use jiff::Timestamp;

use super::StoreError;
use crate::session::{RenewalBasis, SessionId};

/// A renewal to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRenewal {
    /// Which session.
    pub id: SessionId,
    /// What the renewal was over. It is taken by the statement that stores the renewal, so that of two renewals over one
    /// nonce one succeeds, whichever verifiers they come to.
    pub nonce: [u8; 32],
    /// What the next one must be over.
    pub next_nonce: [u8; 32],
    /// What the next one is judged by.
    pub basis: RenewalBasis,
    /// Whole seconds.
    pub renewed_at: Timestamp,
    /// The session's new end, whole seconds.
    pub expires_at: Timestamp,
}

/// An EK that may not log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Lower-case hex SHA-256 of the EK's SubjectPublicKeyInfo. It need not be known.
    pub ek_hash: String,
    /// Whole seconds.
    pub banned_at: Timestamp,
    /// Who said so.
    pub banned_by: String,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What may happen to sessions and nodes after a login.
#[async_trait::async_trait]
pub trait Lifecycle {
    /// Stores a renewal; false when the session is not there, has ended, was revoked, belongs to a banned node, or has been
    /// renewed over the same nonce before. Nothing is stored then.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the renewal must then count as not made.
    async fn renew_session(&self, renewal: &SessionRenewal) -> Result<bool, StoreError>;

    /// Ends a session now; false when there is none of this name that lives. From its return on no reader sees it live.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool, StoreError>;

    /// Bans an EK: its logins are refused and its sessions end now. False when it was banned already; the first ban stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn ban(&self, ban: &Ban) -> Result<bool, StoreError>;

    /// Lifts a ban; false when there is none. Sessions that it ended stay ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn unban(&self, ek_hash: &str) -> Result<bool, StoreError>;

    /// At most `limit` bans, the latest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError>;
}
