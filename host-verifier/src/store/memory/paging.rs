//! Pages in memory.

use core::ops::Bound;

use jiff::Timestamp;

use super::MemoryStore;
use crate::session::SessionId;
use crate::store::{NodeRecord, Paging, SessionRecord, StoreError};

#[async_trait::async_trait]
impl Paging for MemoryStore {
    async fn session_page(
        &self,
        now: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = state.sessions.range((from, Bound::Unbounded));
        let live = behind.filter(|(_, session)| session.is_live(now));
        let page = live.take(limit as usize);
        Ok(page.map(|(_, session)| session.clone()).collect())
    }

    async fn node_page(&self, after: &str, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        let state = self.state();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let nodes = state.nodes.range::<str, _>(behind).take(limit as usize);
        let with_ban = |(_, node): (&String, &NodeRecord)| NodeRecord {
            ban: state.bans.get(&node.ek_hash).cloned(),
            ..node.clone()
        };
        Ok(nodes.map(with_ban).collect())
    }
}
