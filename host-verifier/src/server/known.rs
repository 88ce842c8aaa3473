//! Nodes that are known by a key, a token or a name: who may have a copy of it, and bans of it.
//!
//! A TPM cannot be copied; what else a node proves itself by often can. Whoever has a copy is the same node to the verifier, and
//! both have live sessions. An agent that logs in anew does so when the session before has come to half of its life. So a login
//! of a node that has a younger one is a restart of its agent, or somebody else; again and again, it is somebody else.

use jiff::Timestamp;

use super::Server;
use crate::store::{Ban, SessionRecord, StoreError, node_without_tpm};

/// Most sessions of a node that are looked at.
const MOST: u32 = 16;

impl Server {
    /// The first ban of these hashes ([`identity_hash`](crate::store::identity_hash)).
    pub(super) async fn banned(&self, known_as: &[String]) -> Result<Option<Ban>, StoreError> {
        for hash in known_as {
            let ban = self.store.ban_of(hash).await?;
            if ban.is_some() {
                return Ok(ban);
            }
        }
        Ok(None)
    }

    /// How many other sessions the node of this new session has that its own agent would not have left behind yet. None for a
    /// node with a TPM. That the store cannot say is no reason to refuse a login that it has stored.
    pub(super) async fn beside(&self, session: &SessionRecord) -> u64 {
        if session.ek_hash != node_without_tpm(&session.spiffe_id) {
            return 0;
        }
        let now = session.issued_at;
        let all = self.store.sessions_of(&session.ek_hash, now, MOST).await;
        let others = all.unwrap_or_default().into_iter();
        let others = others.filter(|other| other.id != session.id && is_young(other, now));
        others.count() as u64
    }
}

/// Whether a session has not come to half of its present life.
fn is_young(session: &SessionRecord, now: Timestamp) -> bool {
    let from = session.renewed_at.unwrap_or(session.issued_at);
    now.duration_since(from) < session.expires_at.duration_since(from) / 2
}
