//! Versions of configuration in SQLite.

use super::rows::{self, number, read, read_version, unsigned};
use super::{ClusterConfigStore, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion};
use crate::store::{SqliteStore, StoreError};

#[async_trait::async_trait]
impl ClusterConfigStore for SqliteStore {
    async fn config_generation(&self) -> Result<u64, StoreError> {
        let generation = sqlx::query_scalar(rows::GENERATION)
            .fetch_one(&self.pool)
            .await?;
        unsigned(generation)
    }

    async fn change_config(&self, change: &ConfigChange) -> Result<ConfigOutcome, StoreError> {
        // The write lock is taken before the first read: what was compared cannot change before it is written.
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        rows::change!(tx, change)
    }

    async fn config_in_force(&self, generation: u64) -> Result<Vec<ConfigVersion>, StoreError> {
        let rows = sqlx::query(rows::IN_FORCE)
            .bind(number(generation))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_version).collect()
    }

    async fn config_at(
        &self,
        cluster: &str,
        version: Option<u64>,
    ) -> Result<Vec<ConfigVersion>, StoreError> {
        let rows = sqlx::query(rows::AT)
            .bind(cluster)
            .bind(version.map_or(i64::MAX, number))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_version).collect()
    }

    async fn config_history(
        &self,
        cluster: &str,
        section: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        let rows = sqlx::query(rows::HISTORY)
            .bind(cluster)
            .bind(section.unwrap_or_default())
            .bind(before.map_or(i64::MAX, number))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    async fn config_clusters(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        let rows = sqlx::query(rows::CLUSTERS)
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }
}
