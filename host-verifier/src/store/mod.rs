//! What outlives a login: sessions, nodes, and which challenges were answered.
//!
//! Two implementors, [`MemoryStore`] and [`SqliteStore`], pass one conformance suite. Whatever must happen once
//! happens by one atomic statement, so that several verifiers can share a store.

mod memory;
mod rules;
#[cfg(feature = "service")]
mod sqlite;

use jiff::Timestamp;

pub use memory::MemoryStore;
pub use rules::{Conflict, check};
#[cfg(feature = "service")]
pub use sqlite::{SQLITE_FILE, SqliteStore};

use crate::attestor::{Attribute, BootState};
use crate::session::SessionId;

/// A failing store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database reports an error.
    #[cfg(feature = "service")]
    #[error("store: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[cfg(feature = "service")]
    #[error("store schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row does not read as what was written.
    #[error("store: a damaged {0} record")]
    Damaged(&'static str),
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// The login that made it.
    pub login_id: String,
    /// The node's cluster.
    pub cluster: String,
    /// The policy that won.
    pub policy: String,
    /// The identity.
    pub spiffe_id: String,
    /// The node: hash of its EK.
    pub ek_hash: String,
    /// What the policy's attestors vouch for.
    pub attributes: Vec<Attribute>,
    /// Whole seconds.
    pub issued_at: Timestamp,
    /// Whole seconds.
    pub expires_at: Timestamp,
    /// SHA-256 of the session secret.
    pub secret_sha256: [u8; 32],
}

/// A node as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Who it is: lower-case hex SHA-256 of its EK's SubjectPublicKeyInfo.
    pub ek_hash: String,
    /// The TPM Name of the AK it used last.
    pub ak_name: Vec<u8>,
    /// The identity it holds.
    pub spiffe_id: String,
    /// Its cluster.
    pub cluster: String,
    /// Where its TPM's counters stood when that was proven last, by whichever AK.
    pub boot: Option<BootState>,
    /// Whole seconds.
    pub first_seen: Timestamp,
    /// Whole seconds.
    pub last_seen: Timestamp,
}

/// What a login says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUpdate {
    /// See [`NodeRecord`].
    pub ek_hash: String,
    /// See [`NodeRecord`].
    pub ak_name: Vec<u8>,
    /// See [`NodeRecord`].
    pub spiffe_id: String,
    /// See [`NodeRecord`].
    pub cluster: String,
    /// The TPM's true counters, as a primary key of the Endorsement hierarchy signs them. `None` when the login
    /// proved none; what is known then stays.
    pub boot: Option<BootState>,
    /// What the node's record held when the login's proofs were judged by it. While it still does, the policy's own
    /// rules on counters have decided.
    pub judged_against: Option<BootState>,
    /// Whole seconds.
    pub seen_at: Timestamp,
}

/// Everything that a login stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRecord {
    /// The new session.
    pub session: SessionRecord,
    /// The node behind it.
    pub node: NodeUpdate,
}

/// The result of storing a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// All is stored.
    Stored,
    /// Nothing is stored.
    Refused(Conflict),
}

/// State that outlives a login.
#[async_trait::async_trait]
pub trait Store: Send + Sync + core::fmt::Debug {
    /// Marks a challenge as answered. True for exactly one caller per digest, whatever else runs at the time;
    /// remembered until `expires_at`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the challenge must then count as answered.
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Stores a session and what its login says of the node, both or neither, if nothing stored contradicts
    /// ([`check`]).
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is stored then.
    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError>;

    /// The node with this EK.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError>;

    /// At most `limit` nodes, the last seen first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError>;

    /// Forgets a node and its sessions, so that its identity and keys are free again; false when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError>;

    /// The session of this name, also when it has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// At most `limit` sessions that have not ended at `now`, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn sessions(&self, now: Timestamp, limit: u32) -> Result<Vec<SessionRecord>, StoreError>;

    /// Forgets sessions and challenges that ended before `before`; returns how many records.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Finishes what is being written. Nothing may be called afterwards.
    async fn close(&self);
}
