//! Measured boot in SQLite.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::SqliteStore;
use crate::store::measured_rows::{self as rows, read, read_boot};
use crate::store::{ImageRecord, MeasuredBoot, NodeBoot, StoreError};

#[async_trait::async_trait]
impl MeasuredBoot for SqliteStore {
    async fn register_image(&self, image: &ImageRecord) -> Result<bool, StoreError> {
        let done = rows::register_query!(image).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, StoreError> {
        let mut found = BTreeMap::new();
        for digest in digests {
            let row = sqlx::query(rows::BY_DIGEST)
                .bind(digest.as_slice())
                .fetch_optional(&self.pool)
                .await?;
            found.extend(row.as_ref().map(read).transpose()?.map(|i| (i.sha256, i)));
        }
        for name in names {
            let named = sqlx::query(rows::BY_NAME)
                .bind(name)
                .bind(rows::of_a_name())
                .fetch_all(&self.pool)
                .await?;
            for row in &named {
                let image = read(row)?;
                found.insert(image.sha256, image);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn images(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<ImageRecord>, StoreError> {
        let rows = sqlx::query(rows::PAGE)
            .bind(rows::after(after))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    async fn revoke_image(
        &self,
        sha256: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<ImageRecord>, StoreError> {
        let row = sqlx::query(rows::REVOKE)
            .bind(sha256.as_slice())
            .bind(at.as_second())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    async fn note_boot(
        &self,
        ek_hash: &str,
        boot: &NodeBoot,
    ) -> Result<Option<NodeBoot>, StoreError> {
        for _ in 0..rows::TRIES {
            let row = sqlx::query(rows::BOOT)
                .bind(ek_hash)
                .fetch_optional(&self.pool)
                .await?;
            let last = row.as_ref().map(read_boot).transpose()?;
            if last.is_some_and(|last| boot.follows(&last).is_err()) {
                return Ok(last);
            }
            let done = rows::boot_query!(ek_hash, boot, last)
                .execute(&self.pool)
                .await?;
            if done.rows_affected() == 1 {
                return Ok(last);
            }
        }
        Err(StoreError::Contended)
    }

    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, StoreError> {
        let row = sqlx::query(rows::BOOT)
            .bind(ek_hash)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_boot).transpose()
    }

    async fn forget_boot(&self, ek_hash: &str) -> Result<bool, StoreError> {
        let done = rows::forget(ek_hash).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }
}
