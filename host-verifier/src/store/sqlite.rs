//! A store in one SQLite file, with write-ahead logging, so that the command line can read beside the service.

use std::path::Path;
use std::time::Duration;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row, SqlSafeStr};

use super::{Commit, LoginRecord, NodeRecord, NodeUpdate, SessionRecord, Store, StoreError, check};
use crate::attestor::{Attribute, BootState};
use crate::session::SessionId;

/// Name of the file in the data directory.
pub const SQLITE_FILE: &str = "assay.sqlite";

const MIGRATIONS: &[(i64, &str, &str)] = &[(
    1,
    "sessions nodes challenges",
    include_str!("../../migrations/sqlite/0001_sessions_nodes_challenges.sql"),
)];

/// How long a writer waits for another before it gives up.
const BUSY: Duration = Duration::from_secs(5);

/// A SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; also when the file was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
            let sql = SqlSafeStr::into_sql_str(*sql);
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(migrations.collect())
            .run(&pool)
            .await?;
        Ok(Self { pool })
    }
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO answered_challenges (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(digest.as_slice())
        .bind(expires_at.as_second())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        // The write lock is taken before the first read: what was checked cannot change before it is written.
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let node = &login.node;
        let rows =
            sqlx::query("SELECT * FROM nodes WHERE ek_hash = $1 OR ak_name = $2 OR spiffe_id = $3")
                .bind(&node.ek_hash)
                .bind(&node.ak_name)
                .bind(&node.spiffe_id)
                .fetch_all(&mut *tx)
                .await?;
        let known = rows.iter().map(read_node).collect::<Result<Vec<_>, _>>()?;
        if let Err(conflict) = check(node, &known) {
            tx.rollback().await?;
            return Ok(Commit::Refused(conflict));
        }
        write_node(&mut tx, node).await?;
        write_session(&mut tx, &login.session).await?;
        tx.commit().await?;
        Ok(Commit::Stored)
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM nodes WHERE ek_hash = $1")
            .bind(ek_hash)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_node).transpose()
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM nodes ORDER BY last_seen DESC, ek_hash LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_node).collect()
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM nodes WHERE ek_hash = $1")
            .bind(ek_hash)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE id = $1")
            .bind(id.0.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_session).transpose()
    }

    async fn sessions(&self, now: Timestamp, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE expires_at > $1 ORDER BY issued_at DESC, id LIMIT $2",
        )
        .bind(now.as_second())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_session).collect()
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let sessions = sqlx::query("DELETE FROM sessions WHERE expires_at < $1")
            .bind(before.as_second())
            .execute(&self.pool)
            .await?;
        let challenges = sqlx::query("DELETE FROM answered_challenges WHERE expires_at < $1")
            .bind(before.as_second())
            .execute(&self.pool)
            .await?;
        Ok(sessions.rows_affected() + challenges.rows_affected())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

type Tx = sqlx::Transaction<'static, sqlx::Sqlite>;

async fn write_node(tx: &mut Tx, node: &NodeUpdate) -> Result<(), StoreError> {
    // A login that proved no counters leaves those that are known as they are, whichever AK it used.
    sqlx::query(
        "INSERT INTO nodes (ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe, \
            firmware_version, first_seen, last_seen) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) \
         ON CONFLICT (ek_hash) DO UPDATE SET \
            clock = CASE WHEN $5 IS NULL THEN clock ELSE $5 END, \
            reset_count = CASE WHEN $5 IS NULL THEN reset_count ELSE $6 END, \
            restart_count = CASE WHEN $5 IS NULL THEN restart_count ELSE $7 END, \
            safe = CASE WHEN $5 IS NULL THEN safe ELSE $8 END, \
            firmware_version = CASE WHEN $5 IS NULL THEN firmware_version ELSE $9 END, \
            ak_name = $2, spiffe_id = $3, cluster = $4, last_seen = $10",
    )
    .bind(&node.ek_hash)
    .bind(&node.ak_name)
    .bind(&node.spiffe_id)
    .bind(&node.cluster)
    .bind(node.boot.map(|boot| boot.clock.cast_signed()))
    .bind(node.boot.map(|boot| i64::from(boot.reset_count)))
    .bind(node.boot.map(|boot| i64::from(boot.restart_count)))
    .bind(node.boot.map(|boot| i64::from(boot.safe)))
    .bind(node.boot.map(|boot| boot.firmware_version.cast_signed()))
    .bind(node.seen_at.as_second())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_session(tx: &mut Tx, session: &SessionRecord) -> Result<(), StoreError> {
    let attributes: Vec<_> = session
        .attributes
        .iter()
        .map(|a| (a.origin.to_string(), a.name.as_str(), a.value.as_str()))
        .collect();
    let attributes =
        serde_json::to_string(&attributes).map_err(|_| StoreError::Damaged("session"))?;
    sqlx::query(
        "INSERT INTO sessions (id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, \
            expires_at, secret_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(session.id.0.as_slice())
    .bind(&session.login_id)
    .bind(&session.cluster)
    .bind(&session.policy)
    .bind(&session.spiffe_id)
    .bind(&session.ek_hash)
    .bind(attributes)
    .bind(session.issued_at.as_second())
    .bind(session.expires_at.as_second())
    .bind(session.secret_sha256.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read_node(row: &SqliteRow) -> Result<NodeRecord, StoreError> {
    let damaged = |_| StoreError::Damaged("node");
    let clock: Option<i64> = row.try_get("clock")?;
    let boot = match clock {
        None => None,
        Some(clock) => Some(BootState {
            clock: clock.cast_unsigned(),
            reset_count: row
                .try_get::<i64, _>("reset_count")?
                .try_into()
                .map_err(damaged)?,
            restart_count: row
                .try_get::<i64, _>("restart_count")?
                .try_into()
                .map_err(damaged)?,
            safe: row.try_get::<i64, _>("safe")? != 0,
            firmware_version: row.try_get::<i64, _>("firmware_version")?.cast_unsigned(),
        }),
    };
    Ok(NodeRecord {
        ek_hash: row.try_get("ek_hash")?,
        ak_name: row.try_get("ak_name")?,
        spiffe_id: row.try_get("spiffe_id")?,
        cluster: row.try_get("cluster")?,
        boot,
        first_seen: time(row, "first_seen", "node")?,
        last_seen: time(row, "last_seen", "node")?,
    })
}

fn read_session(row: &SqliteRow) -> Result<SessionRecord, StoreError> {
    let damaged = || StoreError::Damaged("session");
    let id: Vec<u8> = row.try_get("id")?;
    let secret: Vec<u8> = row.try_get("secret_sha256")?;
    let attributes: String = row.try_get("attributes")?;
    let attributes: Vec<(String, String, String)> =
        serde_json::from_str(&attributes).map_err(|_| damaged())?;
    let attributes = attributes.into_iter().map(|(origin, name, value)| {
        let origin = AttestorKind::from_name(&origin).ok_or_else(damaged)?;
        Ok(Attribute {
            origin,
            name,
            value,
        })
    });
    Ok(SessionRecord {
        id: SessionId(id.try_into().map_err(|_| damaged())?),
        login_id: row.try_get("login_id")?,
        cluster: row.try_get("cluster")?,
        policy: row.try_get("policy")?,
        spiffe_id: row.try_get("spiffe_id")?,
        ek_hash: row.try_get("ek_hash")?,
        attributes: attributes.collect::<Result<_, StoreError>>()?,
        issued_at: time(row, "issued_at", "session")?,
        expires_at: time(row, "expires_at", "session")?,
        secret_sha256: secret.try_into().map_err(|_| damaged())?,
    })
}

fn time(row: &SqliteRow, column: &str, what: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(row.try_get(column)?).map_err(|_| StoreError::Damaged(what))
}
