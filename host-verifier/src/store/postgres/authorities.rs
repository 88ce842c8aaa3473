//! Authorities in PostgreSQL.

use jiff::Timestamp;
use sqlx::Connection;

use super::{PostgresStore, within};
use crate::store::StoreError;
use crate::store::authorities::{Authorities, AuthorityRecord, AuthorityStore, MAX_AUTHORITIES};
use crate::store::authority_rows::{self, insert_query};
use crate::svid::rotation::State;

#[async_trait::async_trait]
impl AuthorityStore for PostgresStore {
    async fn publish_authority(&self, record: &AuthorityRecord) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let mut tx = held.begin().await?;
            sqlx::query(authority_rows::RAISE_SEQUENCE)
                .bind(&record.trust_domain)
                .execute(&mut *tx)
                .await?;
            let inserted = insert_query!(record).execute(&mut *tx).await?;
            let count: i64 = sqlx::query_scalar(authority_rows::COUNT)
                .bind(&record.trust_domain)
                .fetch_one(&mut *tx)
                .await?;
            let new = inserted.rows_affected() == 1;
            let fits = usize::try_from(count).is_ok_and(|count| count <= MAX_AUTHORITIES);
            match new && fits {
                true => tx.commit().await?,
                false => tx.rollback().await?,
            }
            held.done();
            match new && !fits {
                true => Err(StoreError::TooManyAuthorities),
                false => Ok(new),
            }
        })
        .await
    }

    async fn set_authority_state(
        &self,
        trust_domain: &str,
        id: &str,
        state: State,
    ) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = sqlx::query(authority_rows::SET_STATE)
                .bind(trust_domain)
                .bind(id)
                .bind(state.name())
                .execute(&mut *held)
                .await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn remove_authority(
        &self,
        trust_domain: &str,
        id: &str,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let mut tx = held.begin().await?;
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
            let removed = done.rows_affected() == 1;
            match removed {
                true => tx.commit().await?,
                false => tx.rollback().await?,
            }
            held.done();
            Ok(removed)
        })
        .await
    }

    async fn authorities(&self, trust_domain: &str) -> Result<Authorities, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(authority_rows::ALL)
                .bind(trust_domain)
                .fetch_all(&mut *held)
                .await?;
            held.done();
            authority_rows::read_all(&rows)
        })
        .await
    }
}
