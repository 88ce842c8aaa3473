//! Tokens of the API in SQLite.

use super::SqliteStore;
use crate::store::rows::{self, read_api_token};
use crate::store::{ApiTokenRecord, ApiTokens, StoreError};

#[async_trait::async_trait]
impl ApiTokens for SqliteStore {
    async fn add_api_token(&self, token: &ApiTokenRecord) -> Result<bool, StoreError> {
        let done = rows::api_token_query!(token).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn api_token(&self, sha256: &[u8; 32]) -> Result<Option<ApiTokenRecord>, StoreError> {
        let row = sqlx::query(rows::API_TOKEN)
            .bind(sha256.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_api_token).transpose()
    }

    async fn api_tokens(&self, after: &str, limit: u32) -> Result<Vec<ApiTokenRecord>, StoreError> {
        let rows = sqlx::query(rows::API_TOKENS)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_api_token).collect()
    }

    async fn revoke_api_token(&self, id: &str) -> Result<Option<ApiTokenRecord>, StoreError> {
        let row = sqlx::query(rows::REVOKE_API_TOKEN)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_api_token).transpose()
    }
}
