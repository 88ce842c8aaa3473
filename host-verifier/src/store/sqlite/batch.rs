//! What waits to be written, in one transaction: a handful of statements, however many logins.
//!
//! Rows travel as one JSON array per statement, which SQLite takes apart itself: a statement costs a trip to the
//! connection's thread, and a login on its own would need six.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use crate::store::rows::{self, read_ban, read_node};
use crate::store::{Ban, Commit, LoginRecord, NodeRecord, SessionRenewal, StoreError, check};

/// One thing to write.
#[derive(Debug)]
pub(super) enum Write {
    /// See [`Store::take_challenge`](crate::store::Store::take_challenge).
    Challenge([u8; 32], jiff::Timestamp),
    /// See [`Store::commit_login`](crate::store::Store::commit_login).
    Login(Box<LoginRecord>),
    /// See [`Lifecycle::renew_session`](crate::store::Lifecycle::renew_session).
    Renewal(Box<SessionRenewal>),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// A login was stored or refused.
    Login(Commit),
    /// Whether a challenge or a renewal was taken.
    Taken(bool),
}

const TAKE_CHALLENGES: &str = "INSERT INTO answered_challenges (digest, expires_at) \
     SELECT unhex(value->>0), value->>1 FROM json_each($1) WHERE true ON CONFLICT DO NOTHING RETURNING digest AS key";
const BANS_OF: &str = "SELECT ek_hash, banned_at, banned_by, reason FROM bans \
     WHERE ek_hash IN (SELECT value FROM json_each($1))";
const UPSERT_NODES: &str = "INSERT INTO nodes (ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe, \
        firmware_version, first_seen, last_seen) \
     SELECT value->>0, unhex(value->>1), value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, \
        value->>9, value->>10 FROM json_each($1) WHERE true \
     ON CONFLICT (ek_hash) DO UPDATE SET ak_name = excluded.ak_name, spiffe_id = excluded.spiffe_id, \
        cluster = excluded.cluster, clock = excluded.clock, reset_count = excluded.reset_count, \
        restart_count = excluded.restart_count, safe = excluded.safe, firmware_version = excluded.firmware_version, \
        last_seen = excluded.last_seen";
const INSERT_SESSIONS: &str = "INSERT INTO sessions (id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, \
        expires_at, secret_sha256, reattest_at, renewal_nonce, renewal_basis) \
     SELECT unhex(value->>0), value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, \
        unhex(value->>9), value->>10, unhex(value->>11), value->>12 FROM json_each($1)";
const RENEW_SESSIONS: &str = "UPDATE sessions SET renewal_nonce = r.next, renewal_basis = r.basis, renewed_at = r.at, expires_at = r.until \
     FROM (SELECT unhex(value->>0) AS id, unhex(value->>1) AS nonce, unhex(value->>2) AS next, value->>3 AS basis, \
        value->>4 AS at, value->>5 AS until FROM json_each($1)) AS r \
     WHERE sessions.id = r.id AND renewal_nonce = r.nonce AND revoked_at IS NULL AND expires_at > r.at \
        AND reattest_at >= r.until AND NOT EXISTS (SELECT 1 FROM bans WHERE bans.ek_hash = sessions.ek_hash) \
     RETURNING sessions.id AS key";

/// Writes all or nothing; the answers are in the order of `writes`.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Result<Vec<Written>, StoreError> {
    // The write lock is taken before the first read: what was checked cannot change before it is written.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let challenges = take_challenges(&mut tx, writes).await?;
    let renewals = renew(&mut tx, writes).await?;
    let mut commits = commit_logins(&mut tx, writes).await?.into_iter();
    tx.commit().await?;
    let (mut taken, mut renewed) = (challenges, renewals);
    let written = writes.iter().map(|write| match write {
        // Each key is taken out: the second of two that are equal finds none.
        Write::Challenge(digest, _) => Ok(Written::Taken(taken.remove(digest.as_slice()))),
        Write::Renewal(renewal) => Ok(Written::Taken(renewed.remove(renewal.id.0.as_slice()))),
        Write::Login(_) => commits
            .next()
            .map(Written::Login)
            .ok_or(StoreError::Damaged("batch")),
    });
    written.collect()
}

async fn take_challenges(
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Result<BTreeSet<Vec<u8>>, StoreError> {
    let rows = writes.iter().filter_map(|write| match write {
        Write::Challenge(digest, until) => Some(json!([hex::encode(digest), until.as_second()])),
        _ => None,
    });
    keys(connection, TAKE_CHALLENGES, rows.collect()).await
}

async fn renew(
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Result<BTreeSet<Vec<u8>>, StoreError> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for write in writes {
        // Of two renewals of one session the first is made, as if they had come one after the other.
        if let Write::Renewal(renewal) = write
            && seen.insert(renewal.id)
        {
            list.push(json!([
                hex::encode(renewal.id.0),
                hex::encode(renewal.nonce),
                hex::encode(renewal.next_nonce),
                rows::basis(Some(&renewal.basis))?,
                renewal.renewed_at.as_second(),
                renewal.expires_at.as_second(),
            ]));
        }
    }
    keys(connection, RENEW_SESSIONS, list).await
}

/// Runs a statement that answers with the keys of what it changed.
async fn keys(
    connection: &mut SqliteConnection,
    statement: &'static str,
    list: Vec<Value>,
) -> Result<BTreeSet<Vec<u8>>, StoreError> {
    if list.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query(statement)
        .bind(text(&list)?)
        .fetch_all(connection)
        .await?;
    let keys = rows.iter().map(|row| row.try_get("key"));
    Ok(keys.collect::<Result<_, _>>()?)
}

async fn commit_logins(
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Result<Vec<Commit>, StoreError> {
    let logins: Vec<&LoginRecord> = writes
        .iter()
        .filter_map(|write| match write {
            Write::Login(login) => Some(login.as_ref()),
            _ => None,
        })
        .collect();
    if logins.is_empty() {
        return Ok(Vec::new());
    }
    let bans = bans_of(connection, &logins).await?;
    let mut nodes = nodes_touched(connection, &logins).await?;
    let mut changed = Vec::new();
    let mut sessions = Vec::new();
    let mut commits = Vec::with_capacity(logins.len());
    for login in logins {
        let node = &login.node;
        let verdict = match bans.get(&node.ek_hash) {
            Some(ban) => Err(ban.clone().into()),
            None => check(node, nodes.values()),
        };
        if let Err(conflict) = verdict {
            commits.push(Commit::Refused(conflict));
            continue;
        }
        let merged = merged(nodes.get(&node.ek_hash), login);
        if !changed.contains(&node.ek_hash) {
            changed.push(node.ek_hash.clone());
        }
        nodes.insert(node.ek_hash.clone(), merged);
        sessions.push(session_row(login)?);
        commits.push(Commit::Stored);
    }
    let changed: Vec<_> = changed
        .iter()
        .filter_map(|ek| nodes.get(ek))
        .map(node_row)
        .collect();
    for (statement, list) in [(UPSERT_NODES, changed), (INSERT_SESSIONS, sessions)] {
        if !list.is_empty() {
            sqlx::query(statement)
                .bind(text(&list)?)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(commits)
}

async fn bans_of(
    connection: &mut SqliteConnection,
    logins: &[&LoginRecord],
) -> Result<BTreeMap<String, Ban>, StoreError> {
    let hashes: Vec<_> = logins
        .iter()
        .map(|login| json!(login.node.ek_hash))
        .collect();
    let rows = sqlx::query(BANS_OF)
        .bind(text(&hashes)?)
        .fetch_all(connection)
        .await?;
    let bans = rows.iter().map(|row| {
        let ban = read_ban(row)?;
        Ok((ban.ek_hash.clone(), ban))
    });
    bans.collect()
}

/// The nodes with an EK, an AK or an identity of these logins.
async fn nodes_touched(
    connection: &mut SqliteConnection,
    logins: &[&LoginRecord],
) -> Result<BTreeMap<String, NodeRecord>, StoreError> {
    let list = |value: fn(&LoginRecord) -> Value| {
        let values: Vec<_> = logins.iter().map(|login| value(login)).collect();
        text(&values)
    };
    let rows = sqlx::query(rows::NODES_OF_BATCH)
        .bind(list(|login| json!(login.node.ek_hash))?)
        .bind(list(|login| json!(hex::encode(&login.node.ak_name)))?)
        .bind(list(|login| json!(login.node.spiffe_id))?)
        .fetch_all(connection)
        .await?;
    let nodes = rows.iter().map(|row| {
        let node = read_node(row)?;
        Ok((node.ek_hash.clone(), node))
    });
    nodes.collect()
}

/// The node's record after the login. Counters that are known stay where the login proved none.
fn merged(before: Option<&NodeRecord>, login: &LoginRecord) -> NodeRecord {
    let node = &login.node;
    NodeRecord {
        ek_hash: node.ek_hash.clone(),
        ak_name: node.ak_name.clone(),
        spiffe_id: node.spiffe_id.clone(),
        cluster: node.cluster.clone(),
        boot: node.boot.or_else(|| before.and_then(|before| before.boot)),
        first_seen: before.map_or(node.seen_at, |before| before.first_seen),
        last_seen: node.seen_at,
        ban: None,
    }
}

fn node_row(node: &NodeRecord) -> Value {
    let boot = node.boot;
    json!([
        node.ek_hash,
        hex::encode(&node.ak_name),
        node.spiffe_id,
        node.cluster,
        boot.map(|boot| boot.clock.cast_signed()),
        boot.map(|boot| boot.reset_count),
        boot.map(|boot| boot.restart_count),
        boot.map(|boot| i64::from(boot.safe)),
        boot.map(|boot| boot.firmware_version.cast_signed()),
        node.first_seen.as_second(),
        node.last_seen.as_second(),
    ])
}

fn session_row(login: &LoginRecord) -> Result<Value, StoreError> {
    let session = &login.session;
    let renewal = session.renewal.as_ref();
    Ok(json!([
        hex::encode(session.id.0),
        session.login_id,
        session.cluster,
        session.policy,
        session.spiffe_id,
        session.ek_hash,
        rows::attributes(session)?,
        session.issued_at.as_second(),
        session.expires_at.as_second(),
        hex::encode(session.secret_sha256),
        session.reattest_at.as_second(),
        renewal.map(|renewal| hex::encode(renewal.nonce)),
        rows::basis(renewal.map(|renewal| &renewal.basis))?,
    ]))
}

fn text(list: &[Value]) -> Result<String, StoreError> {
    serde_json::to_string(list).map_err(|_| StoreError::Damaged("batch"))
}
