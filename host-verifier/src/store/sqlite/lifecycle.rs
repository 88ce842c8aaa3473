//! Renewal, revocation and bans in SQLite.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::SqliteStore;
use super::batch::{Write, Written};
use crate::session::SessionId;
use crate::store::rows::{self, read_ban, read_first_use, read_session};
use crate::store::{Ban, BoundInstance, Lifecycle, SessionRecord, SessionRenewal, StoreError};

#[async_trait::async_trait]
impl Lifecycle for SqliteStore {
    async fn renew_session(&self, renewal: &SessionRenewal) -> Result<bool, StoreError> {
        let write = Write::Renewal(Box::new(renewal.clone()));
        Ok(self.writer()?.write(write).await? == Written::Taken(true))
    }

    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(rows::REVOKE_SESSION)
            .bind(id.0.as_slice())
            .bind(at.as_second())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn ban(&self, ban: &Ban) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let done = rows::ban_query!(ban).execute(&mut *tx).await?;
        sqlx::query(rows::REVOKE_OF_NODE)
            .bind(&ban.ek_hash)
            .bind(ban.banned_at.as_second())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    async fn unban(&self, ek_hash: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(rows::UNBAN)
            .bind(ek_hash)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn ban_of(&self, ek_hash: &str) -> Result<Option<Ban>, StoreError> {
        let row = sqlx::query(rows::BAN_OF)
            .bind(ek_hash)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_ban).transpose()
    }

    async fn bound(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        let row = sqlx::query(rows::FIRST_USE)
            .bind(i64::from(method.0))
            .bind(identity.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_first_use).transpose()
    }

    async fn unbind(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known = sqlx::query(rows::FIRST_USE)
            .bind(i64::from(method.0))
            .bind(identity.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(bound) = known.as_ref().map(read_first_use).transpose()? else {
            return Ok(None);
        };
        let sessions = sqlx::query(rows::SESSIONS_OF_NODE)
            .bind(&bound.node)
            .fetch_all(&mut *tx)
            .await?;
        for session in &sessions {
            let session = read_session(session)?;
            if bound.has(&session) {
                sqlx::query(rows::DELETE_SESSION)
                    .bind(session.id.0.as_slice())
                    .execute(&mut *tx)
                    .await?;
            }
        }
        sqlx::query(rows::UNBIND)
            .bind(i64::from(method.0))
            .bind(identity.as_slice())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(bound))
    }

    async fn sessions_of(
        &self,
        ek_hash: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = sqlx::query(rows::SESSIONS_OF)
            .bind(ek_hash)
            .bind(now.as_second())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_session).collect()
    }

    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError> {
        let rows = sqlx::query(rows::BANS)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_ban).collect()
    }
}
