//! Pages in SQLite.

use jiff::Timestamp;

use super::SqliteStore;
use crate::session::SessionId;
use crate::store::rows::{self, read_node, read_session};
use crate::store::{NodeRecord, Paging, SessionRecord, StoreError};

#[async_trait::async_trait]
impl Paging for SqliteStore {
    async fn session_page(
        &self,
        now: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        // The empty name is before every other.
        let after = after.map(|id| id.0);
        let rows = sqlx::query(rows::SESSION_PAGE)
            .bind(after.as_ref().map_or(&[][..], |id| id.as_slice()))
            .bind(now.as_second())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_session).collect()
    }

    async fn node_page(&self, after: &str, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        let rows = sqlx::query(rows::NODE_PAGE)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_node).collect()
    }
}
