//! Join tokens in SQLite.

use jiff::Timestamp;

use super::SqliteStore;
use crate::store::join_token_rows::{self as rows, read};
use crate::store::{JoinTokenRecord, JoinTokenTaken, JoinTokens, StoreError};

#[async_trait::async_trait]
impl JoinTokens for SqliteStore {
    async fn add_join_token(&self, token: &JoinTokenRecord) -> Result<bool, StoreError> {
        let done = rows::add_query!(token).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn take_join_token(
        &self,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, StoreError> {
        let taken = sqlx::query(rows::TAKE)
            .bind(sha256.as_slice())
            .bind(now.as_second())
            .fetch_optional(&self.pool)
            .await?;
        if let Some(taken) = taken {
            return Ok(JoinTokenTaken::Taken(read(&taken)?));
        }
        // Nothing was taken, whatever this says now: it is the reason for whoever asks.
        let known = sqlx::query(rows::BY_HASH)
            .bind(sha256.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        let known = known.as_ref().map(read).transpose()?;
        Ok(JoinTokenTaken::refused(known))
    }

    async fn join_tokens(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<JoinTokenRecord>, StoreError> {
        let rows = sqlx::query(rows::PAGE)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    async fn revoke_join_token(&self, id: &str) -> Result<Option<JoinTokenRecord>, StoreError> {
        let row = sqlx::query(rows::REVOKE)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }
}
