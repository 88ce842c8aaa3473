//! A store in PostgreSQL, which several verifiers share.
//!
//! # Why nothing here trusts a read
//!
//! Between the read and the write of one replica stands the write of another. So the nodes that a login touches are
//! locked as they are read, and a node that was not there is inserted only if it still is not: the unique keys of the
//! table decide who was first, and who was second reads anew and meets the other's record.

mod api_tokens;
mod authorities;
mod join_tokens;
mod lifecycle;
mod measured_boot;
mod paging;
mod state_keys;

use core::future::Future;
use core::ops::{Deref, DerefMut};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode, Postgres};
use sqlx::{ConnectOptions, Connection};

use super::rows::{self, read_node, read_session};
use super::{
    Commit, LoginRecord, NodeRecord, SessionRecord, Store, StoreError, check, check_first_use,
    migrations,
};
use crate::config::{PostgresServer, PostgresSettings, TlsMode};
use crate::session::SessionId;

/// How long a call waits for a connection, which is how long a login waits before it hears that the database is gone.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a call may take in all. An agent waits for as long; beyond it, a connection that is cut without a word would
/// hold the login for the minutes that TCP takes to notice.
const CALL: Duration = Duration::from_secs(10);
/// How often a login is tried again when another replica came between. Whoever comes second reads the first's record,
/// so more than two are for a node that logs in at many replicas at once.
const ATTEMPTS: usize = 8;
/// Records that one statement removes, so that it stays below the server's time limit and holds few locks.
const PURGE_BATCH: i64 = 5_000;

/// A PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects and brings the schema up to date. Of several replicas that start at once one does it, the others wait.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; also when the schema was made by a newer version.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let _ = connect(settings).await?.close().await;
        // One connection without the time limits of a login: a migration may move many rows, and a replica that waits for
        // it holds nothing. When it fails the connection is closed, and the migration's lock is gone with it.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT)
            .connect_lazy_with(options(settings));
        let migrated = migrations::postgres().run(&pool).await;
        pool.close().await;
        migrated?;
        Self::pool(settings).await
    }

    /// Connects to a schema that is there already and leaves it as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::NoSchema`] when no service has used the database yet, or only an older one.
    pub async fn attach(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let mut connection = connect(settings).await?;
        let version = sqlx::query_scalar::<_, Option<i64>>(
            "SELECT max(version) FROM _sqlx_migrations WHERE success",
        )
        .fetch_one(&mut connection)
        .await;
        let _ = connection.close().await;
        let wanted = migrations::postgres_version();
        match version {
            Ok(Some(version)) if version == wanted => Self::pool(settings).await,
            Ok(Some(version)) if version > wanted => {
                Err(sqlx::migrate::MigrateError::VersionMissing(version).into())
            }
            Ok(_) => Err(StoreError::NoSchema),
            Err(error) if code(&error).as_deref() == Some("42P01") => Err(StoreError::NoSchema),
            Err(error) => Err(error.into()),
        }
    }

    /// One connection is made, to see that it can be with these settings; more are when they are needed.
    async fn pool(settings: &PostgresSettings) -> Result<Self, StoreError> {
        // The server gives up before the caller does, and a transaction whose client is gone lets its locks go.
        // `read committed` is what the locks above are made for, whatever the database's own default is.
        let options = options(settings).options([
            ("statement_timeout", "8s"),
            ("lock_timeout", "8s"),
            ("idle_in_transaction_session_timeout", "15s"),
            ("default_transaction_isolation", "read committed"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(CONNECT)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    pub(super) async fn connection(&self) -> Result<Held, StoreError> {
        let connection = self.pool.acquire().await?;
        Ok(Held {
            connection,
            done: false,
        })
    }
}

/// A connection that goes back to the pool only after [`Held::done`]. Where a call failed or was given up, who knows what
/// the server still sends over it: it is closed, which also ends a transaction that was under way.
pub(super) struct Held {
    connection: PoolConnection<Postgres>,
    done: bool,
}

impl Held {
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

#[async_trait::async_trait]
impl Store for PostgresStore {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let done = sqlx::query(rows::TAKE_CHALLENGE)
                .bind(digest.as_slice())
                .bind(expires_at.as_second())
                .execute(&mut *held)
                .await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            for _ in 0..ATTEMPTS {
                match commit(&mut held, login).await {
                    Ok(Some(commit)) => {
                        held.done();
                        return Ok(commit);
                    }
                    Ok(None) => {}
                    Err(StoreError::Database(error)) if came_second(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(StoreError::Contended)
        })
        .await
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::NODE)
                .bind(ek_hash)
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_node).transpose()
        })
        .await
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::NODES)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_node).collect()
        })
        .await
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            super::measured_rows::forget(ek_hash)
                .execute(&mut *held)
                .await?;
            let done = sqlx::query(rows::EVICT_NODE)
                .bind(ek_hash)
                .execute(&mut *held)
                .await?;
            held.done();
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let row = sqlx::query(rows::SESSION)
                .bind(id.0.as_slice())
                .fetch_optional(&mut *held)
                .await?;
            held.done();
            row.as_ref().map(read_session).transpose()
        })
        .await
    }

    async fn sessions(&self, now: Timestamp, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::SESSIONS)
                .bind(now.as_second())
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_session).collect()
        })
        .await
    }

    async fn kept_sessions(&self, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        within(async {
            let mut held = self.connection().await?;
            let rows = sqlx::query(rows::KEPT_SESSIONS)
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.done();
            rows.iter().map(read_session).collect()
        })
        .await
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut gone = 0;
        for statement in [
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)",
            "DELETE FROM answered_challenges WHERE digest IN \
                (SELECT digest FROM answered_challenges WHERE expires_at < $1 LIMIT $2)",
            "DELETE FROM join_tokens WHERE id IN (SELECT id FROM join_tokens WHERE expires_at < $1 LIMIT $2)",
        ] {
            loop {
                let removed = within(async {
                    let mut held = self.connection().await?;
                    let done = sqlx::query(statement)
                        .bind(before.as_second())
                        .bind(PURGE_BATCH)
                        .execute(&mut *held)
                        .await?;
                    held.done();
                    Ok(done.rows_affected())
                })
                .await?;
                gone += removed;
                // Another replica may purge the same records: fewer than a batch is the end.
                if removed < PURGE_BATCH.cast_unsigned() {
                    break;
                }
            }
        }
        Ok(gone)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// One attempt. `None` when a replica came between; nothing is stored then.
async fn commit(
    connection: &mut PgConnection,
    login: &LoginRecord,
) -> Result<Option<Commit>, StoreError> {
    let mut tx = connection.begin().await?;
    let node = &login.node;
    let known = sqlx::query(rows::NODES_TOUCHED_LOCKED)
        .bind(&node.ek_hash)
        .bind(&node.ak_name)
        .bind(&node.spiffe_id)
        .fetch_all(&mut *tx)
        .await?;
    let known = known.iter().map(read_node).collect::<Result<Vec<_>, _>>()?;
    // A ban that comes after this is no race lost: whoever reads the session looks for a ban as well.
    let ban = sqlx::query(rows::BAN_OF)
        .bind(&node.ek_hash)
        .fetch_optional(&mut *tx)
        .await?;
    let verdict = match ban.as_ref().map(rows::read_ban).transpose()? {
        Some(ban) => Err(ban.into()),
        None => check(node, &known),
    };
    if let Err(conflict) = verdict {
        tx.rollback().await?;
        return Ok(Some(Commit::Refused(conflict)));
    }
    for first in &login.first_uses {
        let known = sqlx::query(rows::FIRST_USE_LOCKED)
            .bind(i64::from(first.method.0))
            .bind(first.identity.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        let known = known.as_ref().map(rows::read_first_use).transpose()?;
        if let Err(conflict) = check_first_use(first, known.as_ref()) {
            tx.rollback().await?;
            return Ok(Some(Commit::Refused(conflict)));
        }
    }
    let statement = match known.iter().any(|known| known.ek_hash == node.ek_hash) {
        true => rows::UPDATE_NODE,
        false => rows::INSERT_NODE,
    };
    let done = rows::node_query!(statement, node).execute(&mut *tx).await?;
    if done.rows_affected() != 1 {
        tx.rollback().await?;
        return Ok(None);
    }
    for first in login.first_uses.iter().filter(|first| first.binds) {
        let done = sqlx::query(rows::PUT_FIRST_USE)
            .bind(i64::from(first.method.0))
            .bind(first.identity.as_slice())
            .bind(first.key.as_slice())
            .bind(&node.ek_hash)
            .bind(node.seen_at.as_second())
            .execute(&mut *tx)
            .await?;
        // Another key was bound since it was looked at.
        if done.rows_affected() != 1 {
            tx.rollback().await?;
            return Ok(None);
        }
    }
    rows::session_query!(&login.session)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Some(Commit::Stored))
}

/// Whether another transaction won: a serialization failure, a deadlock, or a node's key taken since it was read.
fn came_second(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        Some("40001" | "40P01") => true,
        Some("23505") => {
            let table = error.as_database_error().and_then(|error| error.table());
            table == Some("nodes")
        }
        _ => false,
    }
}

/// The server's five letters for what went wrong.
fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

pub(super) async fn within<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::TimedOut),
    }
}

/// One connection, so that the server's own words are reported where the pool would only say that it has none.
async fn connect(settings: &PostgresSettings) -> Result<PgConnection, StoreError> {
    let failed = |source| StoreError::Connect {
        server: settings.to_string(),
        source: Box::new(source),
    };
    match tokio::time::timeout(CALL, options(settings).connect()).await {
        Ok(connected) => connected.map_err(failed),
        Err(_) => Err(failed(sqlx::Error::PoolTimedOut)),
    }
}

fn options(settings: &PostgresSettings) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&settings.user)
        .database(&settings.database)
        .application_name("assayd")
        .ssl_mode(match settings.tls {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Allow => PgSslMode::Allow,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        });
    options = match &settings.server {
        PostgresServer::Tcp { host, port } => options.host(host).port(*port),
        PostgresServer::Socket { directory, port } => options.socket(directory).port(*port),
    };
    if let Some(file) = &settings.root_certificate {
        options = options.ssl_root_cert(file);
    }
    match &settings.password {
        Some(password) => options.password(password.expose()),
        None => options,
    }
}
