//! Pages in PostgreSQL.

use jiff::Timestamp;

use super::{PostgresStore, within};
use crate::session::SessionId;
use crate::store::rows::{self, read_node, read_session};
use crate::store::{NodeRecord, Paging, SessionRecord, StoreError};

#[async_trait::async_trait]
impl Paging for PostgresStore {
    async fn session_page(
        &self,
        now: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            // The empty name is before every other.
            let after = after.map(|id| id.0);
            let rows = sqlx::query(rows::SESSION_PAGE)
                .bind(after.as_ref().map_or(&[][..], |id| id.as_slice()))
                .bind(now.as_second())
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_session).collect()
        })
        .await
    }

    async fn node_page(&self, after: &str, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::NODE_PAGE)
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_node).collect()
        })
        .await
    }
}
