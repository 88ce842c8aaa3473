//! Records as rows: what SQLite and PostgreSQL share. The columns have the same names in both, numbers are 64 bits wide,
//! and both understand `$1`.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::{NodeRecord, SessionRecord, StoreError};
use crate::attestor::{Attribute, BootState};
use crate::session::SessionId;

/// Reads named columns. Statements name their columns too: with `*` a replica would stumble over a column that a newer
/// one has added.
pub(super) trait Columns {
    fn text(&self, column: &str) -> Result<String, sqlx::Error>;
    fn bytes(&self, column: &str) -> Result<Vec<u8>, sqlx::Error>;
    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;
}

macro_rules! columns {
    ($row:ty) => {
        impl Columns for $row {
            fn text(&self, column: &str) -> Result<String, sqlx::Error> {
                self.try_get(column)
            }
            fn bytes(&self, column: &str) -> Result<Vec<u8>, sqlx::Error> {
                self.try_get(column)
            }
            fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
                self.try_get(column)
            }
        }
    };
}
columns!(SqliteRow);
columns!(PgRow);

macro_rules! select_nodes {
    ($rest:literal) => {
        concat!(
            "SELECT ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe, \
                firmware_version, first_seen, last_seen FROM nodes ",
            $rest
        )
    };
}

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, expires_at, \
                secret_sha256 FROM sessions ",
            $rest
        )
    };
}

pub(super) const TAKE_CHALLENGE: &str =
    "INSERT INTO answered_challenges (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(super) const NODE: &str = select_nodes!("WHERE ek_hash = $1");
pub(super) const NODES: &str = select_nodes!("ORDER BY last_seen DESC, ek_hash LIMIT $1");
/// What a login touches: the node with its EK, that with its AK, that with its identity.
pub(super) const NODES_TOUCHED: &str =
    select_nodes!("WHERE ek_hash = $1 OR ak_name = $2 OR spiffe_id = $3");
/// As [`NODES_TOUCHED`], locked until the transaction ends. In one order, so that two logins do not wait for each other.
pub(super) const NODES_TOUCHED_LOCKED: &str = select_nodes!(
    "WHERE ek_hash = $1 OR ak_name = $2 OR spiffe_id = $3 ORDER BY ek_hash FOR UPDATE"
);
/// Inserts nothing when another node has the EK, the AK or the identity.
pub(super) const INSERT_NODE: &str = "INSERT INTO nodes (ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe, \
        firmware_version, first_seen, last_seen) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT DO NOTHING";
/// A login that proved no counters leaves those that are known as they are, whichever AK it used.
pub(super) const UPDATE_NODE: &str = "UPDATE nodes SET ak_name = $2, spiffe_id = $3, cluster = $4, clock = COALESCE($5, clock), \
        reset_count = COALESCE($6, reset_count), restart_count = COALESCE($7, restart_count), \
        safe = COALESCE($8, safe), firmware_version = COALESCE($9, firmware_version), last_seen = $10 \
     WHERE ek_hash = $1";
pub(super) const EVICT_NODE: &str = "DELETE FROM nodes WHERE ek_hash = $1";
pub(super) const SESSION: &str = select_sessions!("WHERE id = $1");
pub(super) const SESSIONS: &str =
    select_sessions!("WHERE expires_at > $1 ORDER BY issued_at DESC, id LIMIT $2");
pub(super) const INSERT_SESSION: &str = "INSERT INTO sessions (id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, expires_at, \
        secret_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// [`INSERT_NODE`] or [`UPDATE_NODE`] with a node's values, for whichever database runs it.
macro_rules! node_query {
    ($statement:expr, $node:expr) => {
        sqlx::query($statement)
            .bind(&$node.ek_hash)
            .bind(&$node.ak_name)
            .bind(&$node.spiffe_id)
            .bind(&$node.cluster)
            .bind($node.boot.map(|boot| boot.clock.cast_signed()))
            .bind($node.boot.map(|boot| i64::from(boot.reset_count)))
            .bind($node.boot.map(|boot| i64::from(boot.restart_count)))
            .bind($node.boot.map(|boot| i64::from(boot.safe)))
            .bind($node.boot.map(|boot| boot.firmware_version.cast_signed()))
            .bind($node.seen_at.as_second())
    };
}
pub(super) use node_query;

/// [`INSERT_SESSION`] with a session's values, for whichever database runs it.
macro_rules! session_query {
    ($session:expr) => {
        sqlx::query($crate::store::rows::INSERT_SESSION)
            .bind($session.id.0.as_slice())
            .bind(&$session.login_id)
            .bind(&$session.cluster)
            .bind(&$session.policy)
            .bind(&$session.spiffe_id)
            .bind(&$session.ek_hash)
            .bind($crate::store::rows::attributes($session)?)
            .bind($session.issued_at.as_second())
            .bind($session.expires_at.as_second())
            .bind($session.secret_sha256.as_slice())
    };
}
pub(super) use session_query;

/// The attributes' column.
pub(super) fn attributes(session: &SessionRecord) -> Result<String, StoreError> {
    let attributes: Vec<_> = session
        .attributes
        .iter()
        .map(|a| (a.origin.to_string(), a.name.as_str(), a.value.as_str()))
        .collect();
    serde_json::to_string(&attributes).map_err(|_| StoreError::Damaged("session"))
}

pub(super) fn read_node(row: &impl Columns) -> Result<NodeRecord, StoreError> {
    let damaged = |_| StoreError::Damaged("node");
    let boot = match row.number("clock")? {
        None => None,
        Some(clock) => Some(BootState {
            clock: clock.cast_unsigned(),
            reset_count: present(row, "reset_count", "node")?
                .try_into()
                .map_err(damaged)?,
            restart_count: present(row, "restart_count", "node")?
                .try_into()
                .map_err(damaged)?,
            safe: present(row, "safe", "node")? != 0,
            firmware_version: present(row, "firmware_version", "node")?.cast_unsigned(),
        }),
    };
    Ok(NodeRecord {
        ek_hash: row.text("ek_hash")?,
        ak_name: row.bytes("ak_name")?,
        spiffe_id: row.text("spiffe_id")?,
        cluster: row.text("cluster")?,
        boot,
        first_seen: time(row, "first_seen", "node")?,
        last_seen: time(row, "last_seen", "node")?,
    })
}

pub(super) fn read_session(row: &impl Columns) -> Result<SessionRecord, StoreError> {
    let damaged = || StoreError::Damaged("session");
    let attributes: Vec<(String, String, String)> =
        serde_json::from_str(&row.text("attributes")?).map_err(|_| damaged())?;
    let attributes = attributes.into_iter().map(|(origin, name, value)| {
        let origin = AttestorKind::from_name(&origin).ok_or_else(damaged)?;
        Ok(Attribute {
            origin,
            name,
            value,
        })
    });
    Ok(SessionRecord {
        id: SessionId(row.bytes("id")?.try_into().map_err(|_| damaged())?),
        login_id: row.text("login_id")?,
        cluster: row.text("cluster")?,
        policy: row.text("policy")?,
        spiffe_id: row.text("spiffe_id")?,
        ek_hash: row.text("ek_hash")?,
        attributes: attributes.collect::<Result<_, StoreError>>()?,
        issued_at: time(row, "issued_at", "session")?,
        expires_at: time(row, "expires_at", "session")?,
        secret_sha256: row
            .bytes("secret_sha256")?
            .try_into()
            .map_err(|_| damaged())?,
    })
}

fn present(row: &impl Columns, column: &str, what: &'static str) -> Result<i64, StoreError> {
    row.number(column)?.ok_or(StoreError::Damaged(what))
}

fn time(row: &impl Columns, column: &str, what: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(present(row, column, what)?).map_err(|_| StoreError::Damaged(what))
}
