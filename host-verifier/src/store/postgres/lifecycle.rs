//! Renewal, revocation and bans in PostgreSQL.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;
use sqlx::Connection;

use super::{PostgresStore, within};
use crate::session::SessionId;
use crate::store::rows::{self, read_ban, read_first_use, read_session};
use crate::store::{Ban, BoundInstance, Lifecycle, SessionRecord, SessionRenewal, StoreError};

#[async_trait::async_trait]
impl Lifecycle for PostgresStore {
    async fn renew_session(&self, renewal: &SessionRenewal) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = rows::renewal_query!(renewal).execute(&mut *held).await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn revoke_session(&self, id: SessionId, at: Timestamp) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = sqlx::query(rows::REVOKE_SESSION)
                .bind(id.0.as_slice())
                .bind(at.as_second())
                .execute(&mut *held)
                .await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn ban(&self, ban: &Ban) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let mut tx = held.begin().await?;
            let done = rows::ban_query!(ban).execute(&mut *tx).await?;
            sqlx::query(rows::REVOKE_OF_NODE)
                .bind(&ban.ek_hash)
                .bind(ban.banned_at.as_second())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn unban(&self, ek_hash: &str) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            // Sessions that a login stored while the ban was made end with it, and not only for as long as it lasts.
            let mut tx = held.begin().await?;
            sqlx::query(rows::REVOKE_BEFORE_UNBAN)
                .bind(ek_hash)
                .execute(&mut *tx)
                .await?;
            let done = sqlx::query(rows::UNBAN)
                .bind(ek_hash)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn ban_of(&self, ek_hash: &str) -> Result<Option<Ban>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::BAN_OF)
                .bind(ek_hash)
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_ban).transpose()
        })
        .await
    }

    async fn bound(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::FIRST_USE)
                .bind(i64::from(method.0))
                .bind(identity.as_slice())
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_first_use).transpose()
        })
        .await
    }

    async fn unbind(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let mut tx = held.begin().await?;
            // A login that goes by the binding waits, or is stored and seen below.
            let known = sqlx::query(rows::FIRST_USE_LOCKED)
                .bind(i64::from(method.0))
                .bind(identity.as_slice())
                .fetch_optional(&mut *tx)
                .await?;
            let bound = known.as_ref().map(read_first_use).transpose()?;
            if let Some(bound) = &bound {
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
            }
            tx.commit().await?;
            held.done();
            Ok(bound)
        })
        .await
    }

    async fn sessions_of(
        &self,
        ek_hash: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::SESSIONS_OF)
                .bind(ek_hash)
                .bind(now.as_second())
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_session).collect()
        })
        .await
    }

    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::BANS)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_ban).collect()
        })
        .await
    }
}
