//! The node's session, as everything that uses it sees it.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

/// A live session, for whoever uses it.
pub struct Current {
    /// Names it, 32 hex digits.
    pub session_id: String,
    /// The identity.
    pub spiffe_id: String,
    /// What only the node and the verifier know.
    pub secret: Zeroizing<[u8; 32]>,
    /// The SVID, DER, the leaf first; empty when none was issued.
    pub svid: Vec<Vec<u8>>,
    /// The SVID's private key, PKCS #8; `None` when it is in the TPM.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// When the session ends, and the SVID with it.
    pub ends: Instant,
}

impl core::fmt::Debug for Current {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Current")
            .field("session_id", &self.session_id)
            .field("spiffe_id", &self.spiffe_id)
            .finish_non_exhaustive()
    }
}

impl Current {
    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_live(&self) -> bool {
        Instant::now() < self.ends
    }
}

/// What the rest of the agent is told.
pub type Shared = Option<Arc<Current>>;
