//! Instances whose proofs anybody could repeat: the first key that logs in with such a proof is the instance's (`tofu`).
//!
//! What a cloud's metadata service says about an instance is signed, and says nothing about who shows it: whoever has read it
//! once may show it again. So a policy can have the first login bind the instance to the key that the login's SVID is for.
//! Later logins of the same instance must be with that key, until an operator evicts the node.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::{Conflict, SessionRecord};
use crate::crypto::sha256;

/// What a login says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstUse {
    /// The method that has proven it.
    pub method: AttestorKind,
    /// Hash of the method's stable name for it ([`first_use_hash`] of [`Facts::identity`](crate::attestor::Facts::identity)).
    pub identity: [u8; 32],
    /// SHA-256 of the SVID's key, SubjectPublicKeyInfo in DER; zeros where the login named none.
    pub key: [u8; 32],
    /// Whether this login has shown that it holds the key: by the key's own signature over it, or by its TPM. The request for
    /// the key's certificate shows nothing, for it could be a copy out of another login.
    pub held: bool,
    /// Whether an instance that is not bound yet is bound by this login. Where not, the login must still fit a binding that is
    /// there: another policy, or another cluster, may have made it.
    pub binds: bool,
}

/// What is known of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundInstance {
    /// The key that it is bound to, as in [`FirstUse`].
    pub key: [u8; 32],
    /// The node that it is.
    pub node: String,
    /// Since when.
    pub bound_at: Timestamp,
}

impl BoundInstance {
    /// Whether a session is the instance's own: of its node, for its key. Others may have its SPIFFE ID.
    #[must_use]
    pub fn has(&self, session: &SessionRecord) -> bool {
        let key = session.svid_key.as_deref();
        session.ek_hash == self.node && key.is_some_and(|key| sha256(&[key]) == self.key)
    }
}

/// What an instance is kept by.
#[must_use]
pub fn first_use_hash(identity: &str) -> [u8; 32] {
    sha256(&[b"assay/first-use/v1", identity.as_bytes()])
}

/// Checks a login against what is known of an instance. Both stores call it inside their atomic step.
///
/// # Errors
///
/// [`Conflict::BoundElsewhere`]; [`Conflict::KeyNotShown`].
pub fn check_first_use(login: &FirstUse, known: Option<&BoundInstance>) -> Result<(), Conflict> {
    match known {
        Some(known) if known.key != login.key && login.method == AttestorKind::MCU_KEY => {
            Err(Conflict::OtherPair {
                node: known.node.clone(),
                since: known.bound_at,
            })
        }
        Some(known) if known.key != login.key => Err(Conflict::BoundElsewhere {
            method: login.method,
            node: known.node.clone(),
            since: known.bound_at,
        }),
        Some(_) if !login.held => Err(Conflict::KeyNotShown {
            method: login.method,
        }),
        _ => Ok(()),
    }
}
