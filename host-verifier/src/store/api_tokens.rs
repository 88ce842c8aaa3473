//! Tokens of operators and programs that use the API. A store holds the SHA-256 of a token and never the token.
//!
//! # Why a plain hash, and no comparison in constant time
//!
//! A token has 256 random bits, so nobody finds it from its hash, and a slow hash would only cost the service. It is looked
//! up by that hash: what the database compares is the hash of what the caller sent, whose bytes the caller cannot steer
//! towards a stored one, so the time of the comparison says nothing about any token.

use core::fmt;
use core::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// What somebody may do with the API. Each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at sessions, nodes and policies.
    Viewer,
    /// Read the audit trail and evidence, revoke sessions, evict and ban nodes, see and revoke join tokens.
    Operator,
    /// Change the configuration; make and revoke tokens; make join tokens, which give identities.
    Admin,
}

impl Role {
    /// All, from the smallest.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As it is written in configurations and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is admin, operator or viewer")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or(RoleError)
    }
}

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenRecord {
    /// Its public name, 16 hex digits, for lists, logs and revocation. It says nothing about the token.
    pub id: String,
    /// SHA-256 of the token as it is sent.
    pub sha256: [u8; 32],
    /// Who or what it was made for.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whole seconds.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Whole seconds; from then on it allows nothing. `None`: until it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// The tokens of the API.
#[async_trait::async_trait]
pub trait ApiTokens {
    /// Stores a token; false, and nothing stored, when the id or the hash is there already.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn add_api_token(&self, token: &ApiTokenRecord) -> Result<bool, StoreError>;

    /// The token with this hash, also when it has expired: one look into an index.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nobody may be let in then.
    async fn api_token(&self, sha256: &[u8; 32]) -> Result<Option<ApiTokenRecord>, StoreError>;

    /// At most `limit` tokens whose id is greater than `after`, by id.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn api_tokens(&self, after: &str, limit: u32) -> Result<Vec<ApiTokenRecord>, StoreError>;

    /// Forgets a token, at once on every replica; returns it, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn revoke_api_token(&self, id: &str) -> Result<Option<ApiTokenRecord>, StoreError>;
}
