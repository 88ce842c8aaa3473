//! Keys of login states in SQLite.

use super::SqliteStore;
use crate::store::state_keys::{ADD, ALL, REMOVE, column, read};
use crate::store::{StateKeyRecord, StateKeyStore, StoreError};

#[async_trait::async_trait]
impl StateKeyStore for SqliteStore {
    async fn add_state_key(&self, key: &StateKeyRecord) -> Result<bool, StoreError> {
        let done = sqlx::query(ADD)
            .bind(key.family.as_slice())
            .bind(column(key.number))
            .bind(&key.sealed)
            .bind(key.made_at.as_second())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn state_keys(&self, family: &[u8; 32]) -> Result<Vec<StateKeyRecord>, StoreError> {
        let rows = sqlx::query(ALL)
            .bind(family.as_slice())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| read(family, row)).collect()
    }

    async fn remove_state_keys(&self, family: &[u8; 32], number: u64) -> Result<u64, StoreError> {
        let done = sqlx::query(REMOVE)
            .bind(family.as_slice())
            .bind(column(number))
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }
}
