//! A store in one SQLite file, with write-ahead logging, so that the command line can read beside the service.
//!
//! Logins, challenges and renewals go through one writer, which writes what waits in one transaction ([`writer`]).

mod api_tokens;
mod batch;
mod lifecycle;
mod paging;
mod state_keys;
mod writer;

mod authorities;
mod join_tokens;
mod measured_boot;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::oneshot;

use batch::{Write, Written};
use writer::Writer;

use super::rows::{self, read_node, read_session};
use super::{Commit, LoginRecord, NodeRecord, SessionRecord, Store, StoreError, migrations};
use crate::session::SessionId;

/// How long a writer waits for another before it gives up.
const BUSY: Duration = Duration::from_secs(5);

/// A SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pub(super) pool: SqlitePool,
    /// `None` once the store is closed.
    writing: Arc<Mutex<Option<Writing>>>,
}

#[derive(Debug)]
struct Writing {
    writer: Writer,
    /// Answered when the writer has written everything.
    end: oneshot::Receiver<()>,
}

impl SqliteStore {
    /// Opens the file, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; also when the file was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path);
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
        migrations::sqlite().run(&pool).await?;
        let (writer, end) = Writer::start(path)?;
        Ok(Self {
            pool,
            writing: Arc::new(Mutex::new(Some(Writing { writer, end }))),
        })
    }

    fn writer(&self) -> Result<Writer, StoreError> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writing.as_ref().map(|writing| writing.writer.clone());
        writer.ok_or(StoreError::Closed)
    }
}

/// Makes the file, if there is none, for its owner alone: `datastore` may name one outside the private data directory, and
/// SQLite would leave the mode to the umask. The log beside it gets the same mode. What fails here SQLite reports better.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    drop(options.open(path));
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let write = Write::Challenge(*digest, expires_at);
        Ok(self.writer()?.write(write).await? == Written::Taken(true))
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        let write = Write::Login(Box::new(login.clone()));
        match self.writer()?.write(write).await? {
            Written::Login(commit) => Ok(commit),
            _ => Err(StoreError::Damaged("batch")),
        }
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.writer()?.node(ek_hash).await
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        let rows = sqlx::query(rows::NODES)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_node).collect()
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        super::measured_rows::forget(ek_hash)
            .execute(&self.pool)
            .await?;
        let done = sqlx::query(rows::EVICT_NODE)
            .bind(ek_hash)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let row = sqlx::query(rows::SESSION)
            .bind(id.0.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_session).transpose()
    }

    async fn sessions(&self, now: Timestamp, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = sqlx::query(rows::SESSIONS)
            .bind(now.as_second())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_session).collect()
    }

    async fn kept_sessions(&self, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = sqlx::query(rows::KEPT_SESSIONS)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_session).collect()
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            // What logins write meanwhile goes into the same transactions, and between them.
            match self.writer()?.write(Write::Purge(before)).await? {
                Written::Purged { gone, more } => {
                    all += gone;
                    if !more {
                        return Ok(all);
                    }
                }
                _ => return Err(StoreError::Damaged("batch")),
            }
        }
    }

    async fn close(&self) {
        let writing = self
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Writing { writer, end }) = writing {
            drop(writer);
            let _ = end.await;
        }
        self.pool.close().await;
    }
}
