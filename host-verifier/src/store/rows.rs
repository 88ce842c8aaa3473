//! Records as rows: what SQLite and PostgreSQL share. The columns have the same names in both, numbers are 64 bits wide,
//! and both understand `$1`.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::{ApiTokenRecord, Ban, BoundInstance, NodeRecord, Renewable, SessionRecord, StoreError};
use crate::attestor::{Attribute, BootState};
use crate::session::{RenewalBasis, SessionId};

/// Reads named columns. Statements name their columns too: with `*` a replica would stumble over a column that a newer
/// one has added.
pub(super) trait Columns {
    fn text(&self, column: &str) -> Result<String, StoreError>;
    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError>;
    fn number(&self, column: &str) -> Result<Option<i64>, StoreError>;
    fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError>;
    fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

macro_rules! columns {
    ($row:ty, $get:ident) => {
        impl Columns for $row {
            fn text(&self, column: &str) -> Result<String, StoreError> {
                Ok(self.$get(column)?)
            }
            fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
                Ok(self.$get(column)?)
            }
            fn number(&self, column: &str) -> Result<Option<i64>, StoreError> {
                Ok(self.$get(column)?)
            }
            fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
                Ok(self.$get(column)?)
            }
            fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
                Ok(self.$get(column)?)
            }
        }
    };
}
columns!(SqliteRow, try_get);
columns!(PgRow, try_get);
columns!(rusqlite::Row<'_>, get);

macro_rules! select_nodes {
    ($rest:literal) => {
        concat!(
            "SELECT ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe, \
                firmware_version, first_seen, last_seen, \
                (SELECT banned_at FROM bans WHERE bans.ek_hash = nodes.ek_hash) AS banned_at, \
                (SELECT banned_by FROM bans WHERE bans.ek_hash = nodes.ek_hash) AS banned_by, \
                (SELECT reason FROM bans WHERE bans.ek_hash = nodes.ek_hash) AS ban_reason FROM nodes ",
            $rest
        )
    };
}

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, expires_at, \
                secret_sha256, reattest_at, renewed_at, renewal_nonce, renewal_basis, svid_key, \
                COALESCE(revoked_at, (SELECT banned_at FROM bans WHERE bans.ek_hash = sessions.ek_hash)) AS revoked_at \
                FROM sessions ",
            $rest
        )
    };
}

macro_rules! select_api_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT id, sha256, name, role, created_at, created_by, expires_at FROM api_tokens ",
            $rest
        )
    };
}

pub(super) const TAKE_CHALLENGE: &str =
    "INSERT INTO answered_challenges (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(super) const NODE: &str = select_nodes!("WHERE ek_hash = $1");
pub(super) const NODES: &str = select_nodes!("ORDER BY last_seen DESC, ek_hash LIMIT $1");
/// A page in the order of the primary key: what is read does not grow with what lies before or behind it.
pub(super) const NODE_PAGE: &str = select_nodes!("WHERE ek_hash > $1 ORDER BY ek_hash LIMIT $2");
/// What a login touches: the node with its EK, that with its AK, that with its identity.
pub(super) const NODES_TOUCHED: &str =
    select_nodes!("WHERE ek_hash = $1 OR ak_name = $2 OR spiffe_id = $3");
/// As [`NODES_TOUCHED`], locked until the transaction
/// ends, in one order, so that two logins do not wait for each other.
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
/// As [`UPDATE_NODE`], where AK and identity are what they were: their indexes are left alone.
pub(super) const UPDATE_SEEN: &str = "UPDATE nodes SET cluster = $2, clock = COALESCE($3, clock), \
        reset_count = COALESCE($4, reset_count), restart_count = COALESCE($5, restart_count), \
        safe = COALESCE($6, safe), firmware_version = COALESCE($7, firmware_version), last_seen = $8 \
     WHERE ek_hash = $1";
pub(super) const FIRST_USE: &str =
    "SELECT key, node, bound_at FROM first_uses WHERE method = $1 AND identity = $2";
/// As [`FIRST_USE`]; nobody else changes it until the transaction ends.
pub(super) const FIRST_USE_LOCKED: &str =
    "SELECT key, node, bound_at FROM first_uses WHERE method = $1 AND identity = $2 FOR UPDATE";
/// Changes no row where the instance is bound to another key.
pub(super) const PUT_FIRST_USE: &str = "INSERT INTO first_uses (method, identity, key, node, bound_at) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (method, identity) \
    DO UPDATE SET node = excluded.node WHERE first_uses.key = excluded.key";
pub(super) const UNBIND: &str = "DELETE FROM first_uses WHERE method = $1 AND identity = $2";
pub(super) const EVICT_NODE: &str = "DELETE FROM nodes WHERE ek_hash = $1";
pub(super) const SESSION: &str = select_sessions!("WHERE id = $1");
/// As [`NODE_PAGE`]. Sessions that have ended are purged within minutes, so that few rows are read in vain.
pub(super) const SESSION_PAGE: &str = select_sessions!(
    "WHERE id > $1 AND expires_at > $2 AND revoked_at IS NULL \
        AND NOT EXISTS (SELECT 1 FROM bans WHERE bans.ek_hash = sessions.ek_hash) ORDER BY id LIMIT $3"
);
pub(super) const SESSIONS: &str = select_sessions!(
    "WHERE expires_at > $1 AND revoked_at IS NULL \
        AND NOT EXISTS (SELECT 1 FROM bans WHERE bans.ek_hash = sessions.ek_hash) ORDER BY issued_at DESC, id LIMIT $2"
);
pub(super) const SESSIONS_OF: &str = select_sessions!(
    "WHERE ek_hash = $1 AND expires_at > $2 AND revoked_at IS NULL ORDER BY issued_at DESC, id LIMIT $3"
);
/// All of a node, whether they have ended or not.
pub(super) const SESSIONS_OF_NODE: &str = select_sessions!("WHERE ek_hash = $1");
pub(super) const DELETE_SESSION: &str = "DELETE FROM sessions WHERE id = $1";
pub(super) const KEPT_SESSIONS: &str = select_sessions!("ORDER BY issued_at DESC, id LIMIT $1");
pub(super) const INSERT_SESSION: &str = "INSERT INTO sessions (id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, expires_at, \
        secret_sha256, reattest_at, renewal_nonce, renewal_basis, svid_key) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
/// Takes the nonce and stores what comes next, if the session lives. One statement: of two renewals one finds the nonce.
pub(super) const RENEW_SESSION: &str = "UPDATE sessions SET renewal_nonce = $3, renewal_basis = $4, renewed_at = $5, expires_at = $6 \
     WHERE id = $1 AND renewal_nonce = $2 AND revoked_at IS NULL AND expires_at > $5 AND reattest_at >= $6 \
        AND NOT EXISTS (SELECT 1 FROM bans WHERE bans.ek_hash = sessions.ek_hash)";
pub(super) const REVOKE_SESSION: &str =
    "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2";
pub(super) const BAN: &str = "INSERT INTO bans (ek_hash, banned_at, banned_by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/// What a ban ends stays ended when the ban is lifted.
pub(super) const REVOKE_OF_NODE: &str = "UPDATE sessions SET revoked_at = $2 WHERE ek_hash = $1 AND revoked_at IS NULL AND expires_at > $2";
/// A login that was stored while the ban was being made left a session that only the ban ends.
pub(super) const REVOKE_BEFORE_UNBAN: &str = "UPDATE sessions SET revoked_at = (SELECT banned_at FROM bans WHERE bans.ek_hash = sessions.ek_hash) \
     WHERE ek_hash = $1 AND revoked_at IS NULL AND EXISTS (SELECT 1 FROM bans WHERE bans.ek_hash = sessions.ek_hash)";
pub(super) const UNBAN: &str = "DELETE FROM bans WHERE ek_hash = $1";
pub(super) const BAN_OF: &str =
    "SELECT ek_hash, banned_at, banned_by, reason FROM bans WHERE ek_hash = $1";
pub(super) const BANS: &str = "SELECT ek_hash, banned_at, banned_by, reason FROM bans ORDER BY banned_at DESC, ek_hash LIMIT $1";

pub(super) const ADD_API_TOKEN: &str = "INSERT INTO api_tokens (id, sha256, name, role, created_at, created_by, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
pub(super) const API_TOKEN: &str = select_api_tokens!("WHERE sha256 = $1");
pub(super) const API_TOKENS: &str = select_api_tokens!("WHERE id > $1 ORDER BY id LIMIT $2");
pub(super) const REVOKE_API_TOKEN: &str = "DELETE FROM api_tokens WHERE id = $1 \
     RETURNING id, sha256, name, role, created_at, created_by, expires_at";

/// [`ADD_API_TOKEN`] with a token's values, for whichever database runs it.
macro_rules! api_token_query {
    ($token:expr) => {
        sqlx::query($crate::store::rows::ADD_API_TOKEN)
            .bind(&$token.id)
            .bind($token.sha256.as_slice())
            .bind(&$token.name)
            .bind($token.role.name())
            .bind($token.created_at.as_second())
            .bind(&$token.created_by)
            .bind($token.expires_at.map(|at| at.as_second()))
    };
}
pub(super) use api_token_query;

pub(super) fn read_api_token(row: &impl Columns) -> Result<ApiTokenRecord, StoreError> {
    let damaged = || StoreError::Damaged("API token");
    let expires_at = row.number("expires_at")?.map(Timestamp::from_second);
    Ok(ApiTokenRecord {
        id: row.text("id")?,
        sha256: row.bytes("sha256")?.try_into().map_err(|_| damaged())?,
        name: row.text("name")?,
        role: row.text("role")?.parse().map_err(|_| damaged())?,
        created_at: time(row, "created_at", "API token")?,
        created_by: row.text("created_by")?,
        expires_at: expires_at.transpose().map_err(|_| damaged())?,
    })
}

/// [`INSERT_NODE`] or [`UPDATE_NODE`] with a node's values, for PostgreSQL. SQLite's writer binds its own.
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

/// [`INSERT_SESSION`] with a session's values, for PostgreSQL. SQLite's writer binds its own.
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
            .bind($session.reattest_at.as_second())
            .bind(
                $session
                    .renewal
                    .as_ref()
                    .map(|renewal| renewal.nonce.to_vec()),
            )
            .bind($crate::store::rows::basis(
                $session.renewal.as_ref().map(|r| &r.basis),
            )?)
            .bind(&$session.svid_key)
    };
}
pub(super) use session_query;

/// [`RENEW_SESSION`] with its values, for PostgreSQL. SQLite's writer binds its own.
macro_rules! renewal_query {
    ($renewal:expr) => {
        sqlx::query($crate::store::rows::RENEW_SESSION)
            .bind($renewal.id.0.as_slice())
            .bind($renewal.nonce.as_slice())
            .bind($renewal.next_nonce.as_slice())
            .bind($crate::store::rows::basis(Some(&$renewal.basis))?)
            .bind($renewal.renewed_at.as_second())
            .bind($renewal.expires_at.as_second())
    };
}
pub(super) use renewal_query;

/// [`BAN`] with its values, for whichever database runs it.
macro_rules! ban_query {
    ($ban:expr) => {
        sqlx::query($crate::store::rows::BAN)
            .bind(&$ban.ek_hash)
            .bind($ban.banned_at.as_second())
            .bind(&$ban.banned_by)
            .bind(&$ban.reason)
    };
}
pub(super) use ban_query;

/// The column of what renewals are judged by.
pub(super) fn basis(basis: Option<&RenewalBasis>) -> Result<Option<String>, StoreError> {
    let text = basis.map(serde_json::to_string).transpose();
    text.map_err(|_| StoreError::Damaged("session"))
}

/// The attributes' column.
pub(super) fn attributes(session: &SessionRecord) -> Result<String, StoreError> {
    let attributes: Vec<_> = session
        .attributes
        .iter()
        .map(|a| (a.origin.to_string(), &*a.name, a.value.as_str()))
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
        ban: match row.number("banned_at")? {
            None => None,
            Some(at) => Some(Ban {
                ek_hash: row.text("ek_hash")?,
                banned_at: Timestamp::from_second(at).map_err(|_| StoreError::Damaged("ban"))?,
                banned_by: row.text("banned_by")?,
                reason: row.text("ban_reason")?,
            }),
        },
    })
}

pub(super) fn read_ban(row: &impl Columns) -> Result<Ban, StoreError> {
    Ok(Ban {
        ek_hash: row.text("ek_hash")?,
        banned_at: time(row, "banned_at", "ban")?,
        banned_by: row.text("banned_by")?,
        reason: row.text("reason")?,
    })
}

pub(super) fn read_first_use(row: &impl Columns) -> Result<BoundInstance, StoreError> {
    let damaged = |_| StoreError::Damaged("first use");
    Ok(BoundInstance {
        key: row.bytes("key")?.try_into().map_err(damaged)?,
        node: row.text("node")?,
        bound_at: time(row, "bound_at", "first use")?,
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
            name: name.into(),
            value,
        })
    });
    let renewal = match (
        row.maybe_bytes("renewal_nonce")?,
        row.maybe_text("renewal_basis")?,
    ) {
        (Some(nonce), Some(basis)) => Some(Renewable {
            nonce: nonce.try_into().map_err(|_| damaged())?,
            basis: serde_json::from_str(&basis).map_err(|_| damaged())?,
        }),
        _ => None,
    };
    // A session that an earlier release stored has its key in what it is renewed by.
    let svid_key = row.maybe_bytes("svid_key")?;
    let svid_key = svid_key.or_else(|| renewal.as_ref()?.basis.svid_key.clone());
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
        reattest_at: time(row, "reattest_at", "session")?,
        renewed_at: maybe_time(row, "renewed_at", "session")?,
        revoked_at: maybe_time(row, "revoked_at", "session")?,
        renewal,
        svid_key,
    })
}

fn maybe_time(
    row: &impl Columns,
    column: &str,
    what: &'static str,
) -> Result<Option<Timestamp>, StoreError> {
    let second = row.number(column)?;
    let time = second.map(Timestamp::from_second).transpose();
    time.map_err(|_| StoreError::Damaged(what))
}

fn present(row: &impl Columns, column: &str, what: &'static str) -> Result<i64, StoreError> {
    row.number(column)?.ok_or(StoreError::Damaged(what))
}

fn time(row: &impl Columns, column: &str, what: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(present(row, column, what)?).map_err(|_| StoreError::Damaged(what))
}
