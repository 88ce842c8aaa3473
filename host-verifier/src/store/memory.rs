//! A store that ends with its process.

mod api_tokens;
mod authorities;
mod join_tokens;
mod measured_boot;
mod paging;
mod state_keys;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::cluster_config::Versions;
use super::{
    ApiTokenRecord, Ban, BoundInstance, Commit, ImageRecord, JoinTokenRecord, Lifecycle,
    LoginRecord, NodeBoot, NodeRecord, Renewable, SessionRecord, SessionRenewal, Store, StoreError,
    check, check_first_use,
};
use crate::session::SessionId;

/// Everything in maps behind one lock, which is never held across an await.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    challenges: BTreeMap<[u8; 32], Timestamp>,
    nodes: BTreeMap<String, NodeRecord>,
    sessions: BTreeMap<SessionId, SessionRecord>,
    bans: BTreeMap<String, Ban>,
    first_uses: BTreeMap<(u8, [u8; 32]), BoundInstance>,
    pub(super) config: Versions,
    api_tokens: BTreeMap<String, ApiTokenRecord>,
    join_tokens: BTreeMap<String, JoinTokenRecord>,
    images: BTreeMap<[u8; 32], ImageRecord>,
    node_boots: BTreeMap<String, NodeBoot>,
    authorities: authorities::All,
    state_keys: state_keys::All,
}

impl State {
    fn revoke_of(&mut self, ek_hash: &str, at: Timestamp) {
        for session in self.sessions.values_mut() {
            if session.ek_hash == ek_hash && session.is_live(at) {
                session.revoked_at = Some(at);
            }
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn newest<'a>(sessions: impl Iterator<Item = &'a SessionRecord>, limit: u32) -> Vec<SessionRecord> {
    let mut sessions: Vec<_> = sessions.cloned().collect();
    sessions.sort_by(|a, b| b.issued_at.cmp(&a.issued_at).then_with(|| a.id.cmp(&b.id)));
    sessions.truncate(limit as usize);
    sessions
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
        if let Some(ban) = state.bans.get(&node.ek_hash) {
            return Ok(Commit::Refused(ban.clone().into()));
        }
        if let Err(conflict) = check(node, state.nodes.values()) {
            return Ok(Commit::Refused(conflict));
        }
        for first in &login.first_uses {
            let known = state.first_uses.get(&(first.method.0, first.identity));
            if let Err(conflict) = check_first_use(first, known) {
                return Ok(Commit::Refused(conflict));
            }
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
            ban: None,
        };
        state.nodes.insert(record.ek_hash.clone(), record);
        for first in login.first_uses.iter().filter(|first| first.binds) {
            let place = (first.method.0, first.identity);
            let new = || BoundInstance {
                key: first.key,
                node: String::new(),
                bound_at: node.seen_at,
            };
            let bound = state.first_uses.entry(place).or_insert_with(new);
            bound.node.clone_from(&node.ek_hash);
        }
        state
            .sessions
            .insert(login.session.id, login.session.clone());
        Ok(Commit::Stored)
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        let state = self.state();
        let ban = state.bans.get(ek_hash).cloned();
        Ok(state
            .nodes
            .get(ek_hash)
            .cloned()
            .map(|node| NodeRecord { ban, ..node }))
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        let state = self.state();
        let with_ban = |node: &NodeRecord| NodeRecord {
            ban: state.bans.get(&node.ek_hash).cloned(),
            ..node.clone()
        };
        let mut nodes: Vec<_> = state.nodes.values().map(with_ban).collect();
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
        state.first_uses.retain(|_, bound| bound.node != ek_hash);
        state.node_boots.remove(ek_hash);
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
            .filter(|session| session.is_live(now));
        Ok(newest(live, limit))
    }

    async fn kept_sessions(&self, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        Ok(newest(self.state().sessions.values(), limit))
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.state();
        let count =
            |state: &State| state.challenges.len() + state.sessions.len() + state.join_tokens.len();
        let all = count(&state);
        state
            .challenges
            .retain(|_, expires_at| *expires_at >= before);
        state
            .sessions
            .retain(|_, session| session.expires_at >= before);
        state
            .join_tokens
            .retain(|_, token| token.expires_at >= before);
        let gone = all - count(&state);
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    async fn close(&self) {}
}

#[async_trait::async_trait]
impl Lifecycle for MemoryStore {
    async fn renew_session(&self, renewal: &SessionRenewal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(session) = state.sessions.get_mut(&renewal.id) else {
            return Ok(false);
        };
        let fresh = session
            .renewal
            .as_ref()
            .is_some_and(|renewable| renewable.nonce == renewal.nonce);
        if !fresh
            || !session.is_live(renewal.renewed_at)
            || renewal.expires_at > session.reattest_at
        {
            return Ok(false);
        }
        session.renewed_at = Some(renewal.renewed_at);
        session.expires_at = renewal.expires_at;
        session.renewal = Some(Renewable {
            nonce: renewal.next_nonce,
            basis: renewal.basis.clone(),
        });
        Ok(true)
    }

    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.state();
        match state
            .sessions
            .get_mut(&id)
            .filter(|session| session.is_live(at))
        {
            Some(session) => {
                session.revoked_at = Some(at);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn ban(&self, ban: &Ban) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.revoke_of(&ban.ek_hash, ban.banned_at);
        if state.bans.contains_key(&ban.ek_hash) {
            return Ok(false);
        }
        state.bans.insert(ban.ek_hash.clone(), ban.clone());
        Ok(true)
    }

    async fn unban(&self, ek_hash: &str) -> Result<bool, StoreError> {
        Ok(self.state().bans.remove(ek_hash).is_some())
    }

    async fn ban_of(&self, ek_hash: &str) -> Result<Option<Ban>, StoreError> {
        Ok(self.state().bans.get(ek_hash).cloned())
    }

    async fn bound(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        let known = self.state().first_uses.get(&(method.0, *identity)).cloned();
        Ok(known)
    }

    async fn unbind(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        let mut state = self.state();
        let bound = state.first_uses.remove(&(method.0, *identity));
        if let Some(bound) = &bound {
            state.sessions.retain(|_, session| !bound.has(session));
        }
        Ok(bound)
    }

    async fn sessions_of(
        &self,
        ek_hash: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let state = self.state();
        let sessions = state.sessions.values();
        let own = sessions.filter(|session| session.ek_hash == ek_hash && session.is_live(now));
        Ok(newest(own, limit))
    }

    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError> {
        let mut bans: Vec<_> = self.state().bans.values().cloned().collect();
        bans.sort_by(|a, b| {
            b.banned_at
                .cmp(&a.banned_at)
                .then_with(|| a.ek_hash.cmp(&b.ek_hash))
        });
        bans.truncate(limit as usize);
        Ok(bans)
    }
}
