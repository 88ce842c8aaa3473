//! A store that ends with its process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{Commit, LoginRecord, NodeRecord, SessionRecord, Store, StoreError, check};
use crate::session::SessionId;

/// Everything in maps behind one lock, which is never held across an await.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    challenges: BTreeMap<[u8; 32], Timestamp>,
    nodes: BTreeMap<String, NodeRecord>,
    sessions: BTreeMap<SessionId, SessionRecord>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self
            .state()
            .challenges
            .insert(*digest, expires_at)
            .is_none())
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        let mut state = self.state();
        let node = &login.node;
        if let Err(conflict) = check(node, state.nodes.values()) {
            return Ok(Commit::Refused(conflict));
        }
        if state.sessions.contains_key(&login.session.id) {
            return Err(StoreError::Damaged("session"));
        }
        let before = state.nodes.get(&node.ek_hash);
        let record = NodeRecord {
            ek_hash: node.ek_hash.clone(),
            ak_name: node.ak_name.clone(),
            spiffe_id: node.spiffe_id.clone(),
            cluster: node.cluster.clone(),
            boot: node.boot.or_else(|| before.and_then(|before| before.boot)),
            first_seen: before.map_or(node.seen_at, |before| before.first_seen),
            last_seen: node.seen_at,
        };
        state.nodes.insert(record.ek_hash.clone(), record);
        state
            .sessions
            .insert(login.session.id, login.session.clone());
        Ok(Commit::Stored)
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        Ok(self.state().nodes.get(ek_hash).cloned())
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        let mut nodes: Vec<_> = self.state().nodes.values().cloned().collect();
        nodes.sort_by(|a, b| {
            b.last_seen
                .cmp(&a.last_seen)
                .then_with(|| a.ek_hash.cmp(&b.ek_hash))
        });
        nodes.truncate(limit as usize);
        Ok(nodes)
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        let mut state = self.state();
        state
            .sessions
            .retain(|_, session| session.ek_hash != ek_hash);
        Ok(state.nodes.remove(ek_hash).is_some())
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.state().sessions.get(&id).cloned())
    }

    async fn sessions(&self, now: Timestamp, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        let state = self.state();
        let live = state
            .sessions
            .values()
            .filter(|session| session.expires_at > now);
        let mut sessions: Vec<_> = live.cloned().collect();
        sessions.sort_by(|a, b| b.issued_at.cmp(&a.issued_at).then_with(|| a.id.cmp(&b.id)));
        sessions.truncate(limit as usize);
        Ok(sessions)
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.state();
        let count = |state: &State| state.challenges.len() + state.sessions.len();
        let all = count(&state);
        state
            .challenges
            .retain(|_, expires_at| *expires_at >= before);
        state
            .sessions
            .retain(|_, session| session.expires_at >= before);
        let gone = all - count(&state);
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    async fn close(&self) {}
}
