//! Join tokens in PostgreSQL.

use jiff::Timestamp;

use super::{PostgresStore, within};
use crate::store::join_token_rows::{self as rows, read};
use crate::store::{JoinTokenRecord, JoinTokenTaken, JoinTokens, StoreError};

#[async_trait::async_trait]
impl JoinTokens for PostgresStore {
    async fn add_join_token(&self, token: &JoinTokenRecord) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = rows::add_query!(token).execute(&mut *held).await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn take_join_token(
        &self,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let taken = sqlx::query(rows::TAKE)
                .bind(sha256.as_slice())
                .bind(now.as_second())
                .fetch_optional(&mut *held)
                .await?;
            if let Some(taken) = taken {
                held.done();
                return Ok(JoinTokenTaken::Taken(read(&taken)?));
            }
            // Nothing was taken, whatever this says now: it is the reason for whoever asks.
            let known = sqlx::query(rows::BY_HASH)
                .bind(sha256.as_slice())
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            let known = known.as_ref().map(read).transpose()?;
            Ok(JoinTokenTaken::refused(known))
        })
        .await
    }

    async fn join_tokens(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<JoinTokenRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::PAGE)
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read).collect()
        })
        .await
    }

    async fn revoke_join_token(&self, id: &str) -> Result<Option<JoinTokenRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::REVOKE)
                .bind(id)
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read).transpose()
        })
        .await
    }
}
