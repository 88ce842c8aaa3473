//! Authorities in SQLite.

use jiff::Timestamp;

use super::SqliteStore;
use crate::store::StoreError;
use crate::store::authorities::{Authorities, AuthorityRecord, AuthorityStore, MAX_AUTHORITIES};
use crate::store::authority_rows::{self, insert_query};
use crate::svid::rotation::State;

#[async_trait::async_trait]
impl AuthorityStore for SqliteStore {
    async fn publish_authority(&self, record: &AuthorityRecord) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(authority_rows::RAISE_SEQUENCE)
            .bind(&record.trust_domain)
            .execute(&mut *tx)
            .await?;
        if insert_query!(record)
            .execute(&mut *tx)
            .await?
            .rows_affected()
            == 0
        {
            tx.rollback().await?;
            return Ok(false);
        }
        let count: i64 = sqlx::query_scalar(authority_rows::COUNT)
            .bind(&record.trust_domain)
            .fetch_one(&mut *tx)
            .await?;
        if usize::try_from(count).is_ok_and(|count| count > MAX_AUTHORITIES) {
            tx.rollback().await?;
            return Err(StoreError::TooManyAuthorities);
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn set_authority_state(
        &self,
        trust_domain: &str,
        id: &str,
        state: State,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(authority_rows::SET_STATE)
            .bind(trust_domain)
            .bind(id)
            .bind(state.name())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn remove_authority(
        &self,
        trust_domain: &str,
        id: &str,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(authority_rows::RAISE_SEQUENCE)
            .bind(trust_domain)
            .execute(&mut *tx)
            .await?;
        let done = sqlx::query(authority_rows::REMOVE)
            .bind(trust_domain)
            .bind(id)
            .bind(before.as_second())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn authorities(&self, trust_domain: &str) -> Result<Authorities, StoreError> {
        let rows = sqlx::query(authority_rows::ALL)
            .bind(trust_domain)
            .fetch_all(&self.pool)
            .await?;
        authority_rows::read_all(&rows)
    }
}
