//! Keys of login states in PostgreSQL.

use super::{PostgresStore, within};
use crate::store::state_keys::{ADD, ALL, REMOVE, column, read};
use crate::store::{StateKeyRecord, StateKeyStore, StoreError};

#[async_trait::async_trait]
impl StateKeyStore for PostgresStore {
    async fn add_state_key(&self, key: &StateKeyRecord) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = sqlx::query(ADD)
                .bind(key.family.as_slice())
                .bind(column(key.number))
                .bind(&key.sealed)
                .bind(key.made_at.as_second())
                .execute(&mut *held)
                .await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn state_keys(&self, family: &[u8; 32]) -> Result<Vec<StateKeyRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(ALL)
                .bind(family.as_slice())
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(|row| read(family, row)).collect()
        })
        .await
    }

    async fn remove_state_keys(&self, family: &[u8; 32], number: u64) -> Result<u64, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = sqlx::query(REMOVE)
                .bind(family.as_slice())
                .bind(column(number))
                .execute(&mut *held)
                .await?;
            held.done();
            Ok(done.rows_affected())
        })
        .await
    }
}
