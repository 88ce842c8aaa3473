//! Measured boot in PostgreSQL.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{PostgresStore, within};
use crate::store::measured_rows::{self as rows, read, read_boot};
use crate::store::{ImageRecord, MeasuredBoot, NodeBoot, StoreError};

#[async_trait::async_trait]
impl MeasuredBoot for PostgresStore {
    async fn register_image(&self, image: &ImageRecord) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = rows::register_query!(image).execute(&mut *held).await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let mut found = BTreeMap::new();
            for digest in digests {
                let row = sqlx::query(rows::BY_DIGEST)
                    .bind(digest.as_slice())
                    .fetch_optional(&mut *held)
                    .await?;
                found.extend(row.as_ref().map(read).transpose()?.map(|i| (i.sha256, i)));
            }
            for name in names {
                let named = sqlx::query(rows::BY_NAME)
                    .bind(name)
                    .bind(rows::of_a_name())
                    .fetch_all(&mut *held)
                    .await?;
                for row in &named {
                    let image = read(row)?;
                    found.insert(image.sha256, image);
                }
            }
            held.done();
            Ok(found.into_values().collect())
        })
        .await
    }

    async fn images(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<ImageRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::PAGE)
                .bind(rows::after(after))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read).collect()
        })
        .await
    }

    async fn revoke_image(
        &self,
        sha256: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<ImageRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::REVOKE)
                .bind(sha256.as_slice())
                .bind(at.as_second())
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read).transpose()
        })
        .await
    }

    async fn note_boot(
        &self,
        ek_hash: &str,
        boot: &NodeBoot,
    ) -> Result<Option<NodeBoot>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            for _ in 0..rows::TRIES {
                let row = sqlx::query(rows::BOOT)
                    .bind(ek_hash)
                    .fetch_optional(&mut *held)
                    .await?;
                let last = row.as_ref().map(read_boot).transpose()?;
                let refused = last.is_some_and(|last| boot.follows(&last).is_err());
                if refused
                    || rows::boot_query!(ek_hash, boot, last)
                        .execute(&mut *held)
                        .await?
                        .rows_affected()
                        == 1
                {
                    held.done();
                    return Ok(last);
                }
            }
            held.done();
            Err(StoreError::Contended)
        })
        .await
    }

    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::BOOT)
                .bind(ek_hash)
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_boot).transpose()
        })
        .await
    }

    async fn forget_boot(&self, ek_hash: &str) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = rows::forget(ek_hash).execute(&mut *held).await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }
}
