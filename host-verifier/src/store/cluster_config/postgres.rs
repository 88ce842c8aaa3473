//! Versions of configuration in PostgreSQL.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::rows::{self, number, read, read_version, unsigned};
use super::{ClusterConfigStore, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion};
use crate::store::postgres::within;
use crate::store::{PostgresStore, StoreError};

#[async_trait::async_trait]
impl ClusterConfigStore for PostgresStore {
    async fn config_generation(&self) -> Result<u64, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let generation = sqlx::query_scalar(rows::GENERATION)
                .fetch_one(&mut *held)
                .await?;
            held.done();
            unsigned(generation)
        })
        .await
    }

    async fn change_config(&self, change: &ConfigChange) -> Result<ConfigOutcome, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let outcome = store(&mut held, change).await?;
            held.done();
            Ok(outcome)
        })
        .await
    }

    async fn config_in_force(&self, generation: u64) -> Result<Vec<ConfigVersion>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::IN_FORCE)
                .bind(number(generation))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_version).collect()
        })
        .await
    }

    async fn config_at(
        &self,
        cluster: &str,
        version: Option<u64>,
    ) -> Result<Vec<ConfigVersion>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::AT)
                .bind(cluster)
                .bind(version.map_or(i64::MAX, number))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_version).collect()
        })
        .await
    }

    async fn config_history(
        &self,
        cluster: &str,
        section: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::HISTORY)
                .bind(cluster)
                .bind(section.unwrap_or_default())
                .bind(before.map_or(i64::MAX, number))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read).collect()
        })
        .await
    }

    async fn config_clusters(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::CLUSTERS)
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read).collect()
        })
        .await
    }
}

/// The generation's row is locked first: changes come one after the other, and each reads what the one before left.
async fn store(
    connection: &mut PgConnection,
    change: &ConfigChange,
) -> Result<ConfigOutcome, StoreError> {
    let mut tx = connection.begin().await?;
    rows::change!(tx, change)
}
