//! Tokens of the API in PostgreSQL.

use super::{PostgresStore, within};
use crate::store::rows::{self, read_api_token};
use crate::store::{ApiTokenRecord, ApiTokens, StoreError};

#[async_trait::async_trait]
impl ApiTokens for PostgresStore {
    async fn add_api_token(&self, token: &ApiTokenRecord) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = rows::api_token_query!(token).execute(&mut *held).await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn api_token(&self, sha256: &[u8; 32]) -> Result<Option<ApiTokenRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::API_TOKEN)
                .bind(sha256.as_slice())
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_api_token).transpose()
        })
        .await
    }

    async fn api_tokens(&self, after: &str, limit: u32) -> Result<Vec<ApiTokenRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::API_TOKENS)
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_api_token).collect()
        })
        .await
    }

    async fn revoke_api_token(&self, id: &str) -> Result<Option<ApiTokenRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::REVOKE_API_TOKEN)
                .bind(id)
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_api_token).transpose()
        })
        .await
    }
}
