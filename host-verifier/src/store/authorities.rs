//! The authorities of a trust domain, as every verifier must know them: which certificates and keys are in the bundle.
//!
//! Only public parts are here. Each verifier publishes what it signs with before it does, and reads what the others have
//! published; so every replica serves the same bundle. An authority whose verifier is gone stays until it has ended.

use jiff::Timestamp;

use super::StoreError;
use crate::svid::rotation::State;

/// Most authorities of one trust domain. Each verifier has at most a few of either kind; whoever comes to this number
/// restarts verifiers without kept keys over and over.
pub const MAX_AUTHORITIES: usize = 512;

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthorityKind {
    /// X.509-SVIDs.
    X509,
    /// JWT-SVIDs.
    Jwt,
}

impl AuthorityKind {
    /// The name in stores and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X509 => "x509",
            Self::Jwt => "jwt",
        }
    }

    /// The inverse of [`AuthorityKind::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::X509, Self::Jwt]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// An authority as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityRecord {
    /// Whose identities it signs.
    pub trust_domain: String,
    /// Its key's name ([`crate::svid::keys::key_id`]), which is the `kid` of JWT-SVIDs.
    pub id: String,
    /// What it signs.
    pub kind: AuthorityKind,
    /// What its verifier said last.
    pub state: State,
    /// Which verifier has the private key ([`crate::svid::keys::KeyManager::replica`]).
    pub replica: String,
    /// X.509: its certificate. JWT: its SubjectPublicKeyInfo. DER.
    pub public: Vec<u8>,
    /// X.509: the certificates between its own and a root, its issuer first, one DER after the other. Empty otherwise.
    pub chain: Vec<u8>,
    /// X.509: what goes into the bundle, one DER after the other: its own certificate when it signed itself, the roots of
    /// its upstream authority otherwise. Empty for JWT.
    pub roots: Vec<u8>,
    /// Whole seconds.
    pub not_before: Timestamp,
    /// Whole seconds.
    pub not_after: Timestamp,
}

/// Everything that a trust domain's bundle is made of, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authorities {
    /// Rises with every authority that comes or goes; 0 before the first.
    pub sequence: u64,
    /// Ordered by kind, beginning and name.
    pub records: Vec<AuthorityRecord>,
}

/// Where authorities are published.
#[async_trait::async_trait]
pub trait AuthorityStore: Send + Sync + core::fmt::Debug {
    /// Publishes an authority and raises the sequence; false, and nothing is changed, when its name is taken.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; whether it is published is then unknown. [`StoreError::TooManyAuthorities`] beyond
    /// [`MAX_AUTHORITIES`].
    async fn publish_authority(&self, record: &AuthorityRecord) -> Result<bool, StoreError>;

    /// Notes what an authority does now; false when there is none of this name. The bundle does not change with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn set_authority_state(
        &self,
        trust_domain: &str,
        id: &str,
        state: State,
    ) -> Result<bool, StoreError>;

    /// Removes an authority that ended before `before`, and raises the sequence; false when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn remove_authority(
        &self,
        trust_domain: &str,
        id: &str,
        before: Timestamp,
    ) -> Result<bool, StoreError>;

    /// All authorities with their sequence, as they stood at one moment.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn authorities(&self, trust_domain: &str) -> Result<Authorities, StoreError>;
}
