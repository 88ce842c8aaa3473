//! What happens to a session after its login: renewal, revocation, and the ban of its node.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::{BoundInstance, SessionRecord, StoreError};
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

/// A node that may not log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The node's hash, lower-case hex, as [`NodeRecord::ek_hash`](super::NodeRecord::ek_hash), which need not be known; or what
    /// [`identity_hash`] makes of a key, token or name that nodes prove themselves by.
    pub ek_hash: String,
    /// Whole seconds.
    pub banned_at: Timestamp,
    /// Who said so.
    pub banned_by: String,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What a ban is by that is not of a node, but of what a method calls one: its key, token or name, whatever SPIFFE ID it gets.
#[must_use]
pub fn identity_hash(method: AttestorKind, identity: &str) -> String {
    let method = method.to_string();
    let len = (method.len() as u64).to_be_bytes();
    hex::encode(crate::crypto::sha256(&[
        b"assay/method-identity/v1",
        &len,
        method.as_bytes(),
        identity.as_bytes(),
    ]))
}

/// Longest reason of a ban, bytes.
pub const MAX_REASON: usize = 512;

/// Why a ban cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// What is to be banned is no hash of a node.
    #[error("the hash of a node has 64 lower-case hex digits")]
    Hash,
    /// The reason is missing, too long, or not fit to be shown.
    #[error("a ban has a reason of 1 to {MAX_REASON} bytes in one line")]
    Reason,
}

impl Ban {
    /// A ban from now on, if what is said is fit to be kept.
    ///
    /// # Errors
    ///
    /// [`BanError`].
    pub fn new(
        ek_hash: &str,
        now: Timestamp,
        banned_by: &str,
        reason: &str,
    ) -> Result<Self, BanError> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if ek_hash.len() != 64 || !ek_hash.bytes().all(digit) {
            return Err(BanError::Hash);
        }
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(BanError::Reason);
        }
        Ok(Self {
            ek_hash: ek_hash.to_owned(),
            banned_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            banned_by: banned_by.to_owned(),
            reason: reason.to_owned(),
        })
    }
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

    /// The ban of this hash.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; whoever asks must then be taken for banned.
    async fn ban_of(&self, ek_hash: &str) -> Result<Option<Ban>, StoreError>;

    /// The key and the node that an instance is bound to (`tofu`), by [`first_use_hash`](super::first_use_hash).
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn bound(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError>;

    /// Unbinds an instance, and removes the sessions that it has with its key; what it was bound to. Others of its node stay as they
    /// are.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn unbind(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError>;

    /// At most `limit` sessions of a node that live at `now`, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn sessions_of(
        &self,
        ek_hash: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError>;

    /// At most `limit` bans, the latest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError>;
}
