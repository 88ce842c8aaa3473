//! What outlives a login: sessions, nodes, which challenges were answered, and the clusters' configuration.
//!
//! Three implementors, [`MemoryStore`], `SqliteStore` and `PostgresStore`, pass one conformance suite. Whatever must
//! happen once happens by one atomic statement, so that several verifiers can share a store.

mod api_tokens;
pub mod authorities;
#[cfg(feature = "service")]
mod authority_rows;
mod cluster_config;
mod first_use;
#[cfg(feature = "service")]
mod join_token_rows;
mod join_tokens;
pub mod lifecycle;
mod measured_boot;
#[cfg(feature = "service")]
mod measured_rows;
mod memory;
#[cfg(feature = "service")]
pub mod migrations;
mod paging;
#[cfg(feature = "service")]
mod postgres;
#[cfg(feature = "service")]
mod rows;
mod rules;
#[cfg(feature = "service")]
mod sqlite;
pub mod state_keys;

use jiff::Timestamp;

pub use api_tokens::{ApiTokenRecord, ApiTokens, Role};
pub use authorities::{Authorities, AuthorityKind, AuthorityRecord, AuthorityStore};
pub use cluster_config::{
    ClusterConfigStore, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion,
    digest as config_digest,
};
pub use first_use::{BoundInstance, FirstUse, check_first_use, first_use_hash};
pub use join_tokens::{JoinTokenRecord, JoinTokenTaken, JoinTokens};
pub use lifecycle::{Ban, BanError, Lifecycle, SessionRenewal, identity_hash};
pub use measured_boot::{BootConflict, ImageRecord, MeasuredBoot, NodeBoot};
pub use memory::MemoryStore;
pub use paging::Paging;
#[cfg(feature = "service")]
pub use postgres::PostgresStore;
pub use rules::{Conflict, check};
#[cfg(feature = "service")]
pub use sqlite::SqliteStore;
pub use state_keys::{StateKeyRecord, StateKeyStore};

use crate::attestor::{Attribute, BootState};
use crate::session::{RenewalBasis, SessionId};

/// Name of SQLite's file in the data directory, unless the configuration names another.
pub const SQLITE_FILE: &str = "assay.sqlite";

/// A failing store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database reports an error.
    #[cfg(feature = "service")]
    #[error("store: {0}")]
    Database(#[from] sqlx::Error),
    /// SQLite's writer reports an error.
    #[cfg(feature = "service")]
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The schema cannot be brought up to date.
    #[cfg(feature = "service")]
    #[error("store schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database cannot be reached, or does not let us in.
    #[cfg(feature = "service")]
    #[error("datastore {server}: {source}")]
    Connect {
        /// Where, without the password.
        server: String,
        /// What it says.
        source: Box<sqlx::Error>,
    },
    /// The database has no schema, or an older one.
    #[cfg(feature = "service")]
    #[error("the database has no schema of this version yet")]
    NoSchema,
    /// The database does not answer in time. What was asked for may have happened.
    #[error("store: no answer in time")]
    TimedOut,
    /// Other verifiers came between, again and again.
    #[error("store: too many verifiers write the same node at once")]
    Contended,
    /// The store was closed.
    #[error("store: closed")]
    Closed,
    /// More authorities of SVIDs than a bundle should have.
    #[error(
        "store: {} authorities of one trust domain",
        authorities::MAX_AUTHORITIES
    )]
    TooManyAuthorities,
    /// A row does not read as what was written.
    #[error("store: a damaged {0} record")]
    Damaged(&'static str),
}

#[cfg(feature = "service")]
impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        use sqlx::migrate::MigrateError;
        const TLS: &str = "name the authority of the server's certificate with sslrootcert, or ask less with sslmode";
        match self {
            Self::Connect { source, .. } => Some(match source.as_ref() {
                // rustls' refusals arrive as I/O errors of this kind.
                sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => TLS,
                sqlx::Error::Tls(_) => TLS,
                sqlx::Error::Database(error) => match error.code().as_deref() {
                    Some("28P01" | "28000") => {
                        "check the user, `passwordFile`, and the server's pg_hba.conf"
                    }
                    Some("3D000") => "make the database first: createdb --owner USER DATABASE",
                    _ => "the message is the server's own; its log says more",
                },
                _ => "is PostgreSQL running, and does it listen there?",
            }),
            Self::TooManyAuthorities => Some(
                "verifiers that start anew without their keys add authorities each time: keep them with keyManager disk",
            ),
            Self::NoSchema => Some("assayd makes it when it starts with this configuration"),
            Self::Migration(MigrateError::VersionMissing(_)) => {
                Some("a newer assayd wrote this database: run that version, or restore a backup")
            }
            Self::Migration(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) if error
                .as_database_error()
                .and_then(|error| error.code())
                .is_some_and(|code| code == "42501") =>
            {
                Some("the user must be allowed to make tables in the database")
            }
            _ => None,
        }
    }
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
    /// The node: hash of its EK, or what [`node_without_tpm`] makes of its identity.
    pub ek_hash: String,
    /// What the policy's attestors vouch for.
    pub attributes: Vec<Attribute>,
    /// Whole seconds.
    pub issued_at: Timestamp,
    /// Whole seconds.
    pub expires_at: Timestamp,
    /// SHA-256 of the session secret.
    pub secret_sha256: [u8; 32],
    /// Renewals end here at the latest: the node must log in anew. Whole seconds.
    pub reattest_at: Timestamp,
    /// The latest renewal, whole seconds.
    pub renewed_at: Option<Timestamp>,
    /// When an operator ended it, whole seconds.
    pub revoked_at: Option<Timestamp>,
    /// How it may be renewed; `None` when it cannot be.
    pub renewal: Option<Renewable>,
    /// The key that the login has certified to live in the node's TPM: its SubjectPublicKeyInfo, DER. X.509-SVIDs of the session
    /// are for this key.
    pub svid_key: Option<Vec<u8>>,
}

impl SessionRecord {
    /// Whether the session may still be used at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }

    /// From when on it may be renewed: half of its present life. `None` when the next must be a full login.
    #[must_use]
    pub fn renew_after(&self) -> Option<Timestamp> {
        let from = self.renewed_at.unwrap_or(self.issued_at);
        let half = self.expires_at.duration_since(from) / 2;
        (self.renewal.is_some() && self.expires_at < self.reattest_at)
            .then(|| from.checked_add(half).ok())?
    }
}

/// How a session may be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewable {
    /// What the next renewal must be over. Public: it travels in the clear.
    pub nonce: [u8; 32],
    /// What it is judged by.
    pub basis: RenewalBasis,
}

/// What a node without a TPM is known by: a hash over its identity. Whatever methods it proves itself by, and however often
/// their keys change, it is the node that holds this SPIFFE ID.
#[must_use]
pub fn node_without_tpm(spiffe_id: &str) -> String {
    hex::encode(crate::crypto::sha256(&[
        b"assay/node-without-tpm/v1",
        spiffe_id.as_bytes(),
    ]))
}

/// What stands in the place of an AK's Name for such a node: the bytes of its own hash, since no two nodes have the same
/// there. A TPM Name begins with the number of its hash algorithm, and is longer.
#[must_use]
pub fn no_ak(node: &str) -> Vec<u8> {
    hex::decode(node).unwrap_or_default()
}

/// A node as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Who it is: lower-case hex SHA-256 of its EK's SubjectPublicKeyInfo, or what [`node_without_tpm`] makes of its identity.
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
    /// Why it may not log in, if it may not.
    pub ban: Option<Ban>,
}

impl NodeRecord {
    /// The TPM Name of the AK that it used last; `None` for a node without a TPM.
    #[must_use]
    pub fn attestation_key(&self) -> Option<&[u8]> {
        (self.ak_name != no_ak(&self.ek_hash)).then_some(&self.ak_name)
    }
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
    /// The instances that are bound to the session's key, or have been before.
    pub first_uses: Vec<FirstUse>,
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
pub trait Store:
    Lifecycle
    + ClusterConfigStore
    + ApiTokens
    + JoinTokens
    + MeasuredBoot
    + Paging
    + AuthorityStore
    + StateKeyStore
    + Send
    + Sync
    + core::fmt::Debug
{
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

    /// Writes something small, the way that logins do, and waits until it is durable: whether a login could be stored now.
    /// `unique` is a value that nothing else has, random; the record is one of an answered challenge that is over, and the
    /// next [`purge`](Self::purge) takes it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: a login could not be stored.
    async fn probe(&self, unique: &[u8; 32], now: Timestamp) -> Result<(), StoreError> {
        match self.take_challenge(unique, now).await? {
            true => Ok(()),
            false => Err(StoreError::Damaged("challenge")),
        }
    }

    /// Stores a session and what its login says of the node, both or neither, if nothing stored contradicts
    /// ([`check`]) and the node is not banned.
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

    /// Forgets a node and its sessions, so that its identity and keys are free again; false when there is none. A ban of
    /// its EK stays.
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

    /// At most `limit` sessions that live at `now`, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn sessions(&self, now: Timestamp, limit: u32) -> Result<Vec<SessionRecord>, StoreError>;

    /// At most `limit` sessions that are not forgotten yet, also those that have ended, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn kept_sessions(&self, limit: u32) -> Result<Vec<SessionRecord>, StoreError>;

    /// Forgets sessions, challenges and join tokens that ended before `before`; returns how many records.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Finishes what is being written. Nothing may be called afterwards.
    async fn close(&self);
}
