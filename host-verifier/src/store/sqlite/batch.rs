//! What waits to be written, in one transaction.

use rusqlite::{Connection, Row, Statement, ToSql, Transaction, TransactionBehavior, params};

use crate::store::rows::{self, read_ban, read_first_use, read_node};
use crate::store::{
    Ban, Commit, LoginRecord, NodeRecord, NodeUpdate, SessionRecord, SessionRenewal, StoreError,
    check, check_first_use,
};

/// The values of a statement, in the order of their numbers.
type Values<'a> = &'a [&'a dyn ToSql];

/// One thing to write.
#[derive(Debug)]
pub(super) enum Write {
    /// See [`Store::take_challenge`](crate::store::Store::take_challenge).
    Challenge([u8; 32], jiff::Timestamp),
    /// See [`Store::commit_login`](crate::store::Store::commit_login).
    Login(Box<LoginRecord>),
    /// See [`Lifecycle::renew_session`](crate::store::Lifecycle::renew_session).
    Renewal(Box<SessionRenewal>),
    /// See [`Store::purge`](crate::store::Store::purge): at most [`PURGE`] of each kind.
    Purge(jiff::Timestamp),
}

/// Records of a kind that one write removes: logins wait no longer for it than for each other.
pub(super) const PURGE: u64 = 2_000;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// A login was stored or refused.
    Login(Commit),
    /// Whether a challenge or a renewal was taken.
    Taken(bool),
    /// How many records are gone, and whether there may be more.
    Purged {
        /// Of all kinds.
        gone: u64,
        /// At least one kind came to its limit.
        more: bool,
    },
}

/// Writes all or nothing, one after the other; the answers are in the order of `writes`.
pub(super) fn run(
    connection: &mut Connection,
    writes: &[Write],
) -> Result<Vec<Written>, StoreError> {
    // The write lock is taken before the first read: what was checked cannot change before it is written.
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let written = writes.iter().map(|write| match write {
        Write::Challenge(digest, until) => take_challenge(&tx, digest, *until).map(Written::Taken),
        Write::Renewal(renewal) => renew(&tx, renewal).map(Written::Taken),
        Write::Login(login) => commit_login(&tx, login).map(Written::Login),
        Write::Purge(before) => purge(&tx, *before),
    });
    let written = written.collect::<Result<_, _>>()?;
    tx.commit()?;
    Ok(written)
}

fn take_challenge(
    tx: &Transaction<'_>,
    digest: &[u8; 32],
    until: jiff::Timestamp,
) -> Result<bool, StoreError> {
    let values = params![digest, until.as_second()];
    Ok(execute(tx, rows::TAKE_CHALLENGE, values)? == 1)
}

fn renew(tx: &Transaction<'_>, renewal: &SessionRenewal) -> Result<bool, StoreError> {
    let values = params![
        renewal.id.0,
        renewal.nonce,
        renewal.next_nonce,
        rows::basis(Some(&renewal.basis))?,
        renewal.renewed_at.as_second(),
        renewal.expires_at.as_second(),
    ];
    Ok(execute(tx, rows::RENEW_SESSION, values)? == 1)
}

fn purge(tx: &Transaction<'_>, before: jiff::Timestamp) -> Result<Written, StoreError> {
    let mut all = 0;
    let mut more = false;
    for statement in [
        "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE expires_at < $1 LIMIT $2)",
        "DELETE FROM answered_challenges WHERE rowid IN \
            (SELECT rowid FROM answered_challenges WHERE expires_at < $1 LIMIT $2)",
        "DELETE FROM join_tokens WHERE rowid IN (SELECT rowid FROM join_tokens WHERE expires_at < $1 LIMIT $2)",
    ] {
        let values = params![before.as_second(), PURGE.cast_signed()];
        let gone = execute(tx, statement, values)? as u64;
        all += gone;
        more |= gone == PURGE;
    }
    Ok(Written::Purged { gone: all, more })
}

fn commit_login(tx: &Transaction<'_>, login: &LoginRecord) -> Result<Commit, StoreError> {
    let node = &login.node;
    let known = touched(tx, node)?;
    let own = known.iter().find(|known| known.ek_hash == node.ek_hash);
    let ban = match own {
        Some(own) => own.ban.clone(),
        None => ban_of(tx, &node.ek_hash)?,
    };
    let verdict = match ban {
        Some(ban) => Err(ban.into()),
        None => check(node, &known),
    };
    if let Err(conflict) = verdict {
        return Ok(Commit::Refused(conflict));
    }
    for first in &login.first_uses {
        let values = params![first.method.0, first.identity];
        let known = query(tx, rows::FIRST_USE, values, |row| read_first_use(row))?.pop();
        if let Err(conflict) = check_first_use(first, known.as_ref()) {
            return Ok(Commit::Refused(conflict));
        }
    }
    match own {
        None => put_node(tx, rows::INSERT_NODE, node)?,
        Some(own) if keeps(own, node) => update_seen(tx, node)?,
        Some(_) => put_node(tx, rows::UPDATE_NODE, node)?,
    }
    for first in login.first_uses.iter().filter(|first| first.binds) {
        let values = params![
            first.method.0,
            first.identity,
            first.key,
            node.ek_hash,
            node.seen_at.as_second(),
        ];
        changed_one(execute(tx, rows::PUT_FIRST_USE, values)?, "first use")?;
    }
    insert_session(tx, &login.session)?;
    Ok(Commit::Stored)
}

/// Whether the node has the AK and the identity that it had.
fn keeps(own: &NodeRecord, node: &NodeUpdate) -> bool {
    own.ak_name == node.ak_name && own.spiffe_id == node.spiffe_id
}

/// The nodes with an EK, an AK or an identity of this login. AKs and identities are unique: while the node holds both, no
/// other can, and none is looked for.
fn touched(tx: &Transaction<'_>, node: &NodeUpdate) -> Result<Vec<NodeRecord>, StoreError> {
    let own = node_of(tx, &node.ek_hash)?;
    if own.as_ref().is_some_and(|own| keeps(own, node)) {
        return Ok(own.into_iter().collect());
    }
    let values = params![node.ek_hash, node.ak_name, node.spiffe_id];
    query(tx, rows::NODES_TOUCHED, values, |row| read_node(row))
}

/// The node with this EK.
pub(super) fn node_of(
    connection: &Connection,
    ek_hash: &str,
) -> Result<Option<NodeRecord>, StoreError> {
    Ok(query(connection, rows::NODE, params![ek_hash], |row| {
        read_node(row)
    })?
    .pop())
}

fn ban_of(tx: &Transaction<'_>, ek_hash: &str) -> Result<Option<Ban>, StoreError> {
    Ok(query(tx, rows::BAN_OF, params![ek_hash], |row| read_ban(row))?.pop())
}

/// [`rows::INSERT_NODE`] or [`rows::UPDATE_NODE`], which take the same values.
fn put_node(
    tx: &Transaction<'_>,
    statement: &'static str,
    node: &NodeUpdate,
) -> Result<(), StoreError> {
    let [clock, resets, restarts, safe, firmware] = counters(node);
    let values = params![
        node.ek_hash,
        node.ak_name,
        node.spiffe_id,
        node.cluster,
        clock,
        resets,
        restarts,
        safe,
        firmware,
        node.seen_at.as_second(),
    ];
    changed_one(execute(tx, statement, values)?, "node")
}

fn update_seen(tx: &Transaction<'_>, node: &NodeUpdate) -> Result<(), StoreError> {
    let [clock, resets, restarts, safe, firmware] = counters(node);
    let values = params![
        node.ek_hash,
        node.cluster,
        clock,
        resets,
        restarts,
        safe,
        firmware,
        node.seen_at.as_second(),
    ];
    changed_one(execute(tx, rows::UPDATE_SEEN, values)?, "node")
}

/// The columns of a TPM's counters; empty when the login proved none.
fn counters(node: &NodeUpdate) -> [Option<i64>; 5] {
    let Some(boot) = node.boot else {
        return [None; 5];
    };
    [
        boot.clock.cast_signed(),
        i64::from(boot.reset_count),
        i64::from(boot.restart_count),
        i64::from(boot.safe),
        boot.firmware_version.cast_signed(),
    ]
    .map(Some)
}

fn insert_session(tx: &Transaction<'_>, session: &SessionRecord) -> Result<(), StoreError> {
    let renewal = session.renewal.as_ref();
    let values = params![
        session.id.0,
        session.login_id,
        session.cluster,
        session.policy,
        session.spiffe_id,
        session.ek_hash,
        rows::attributes(session)?,
        session.issued_at.as_second(),
        session.expires_at.as_second(),
        session.secret_sha256,
        session.reattest_at.as_second(),
        renewal.map(|renewal| renewal.nonce),
        rows::basis(renewal.map(|renewal| &renewal.basis))?,
        session.svid_key,
    ];
    changed_one(execute(tx, rows::INSERT_SESSION, values)?, "session")
}

fn changed_one(rows: usize, what: &'static str) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::Damaged(what)),
    }
}

/// Runs a statement and returns how many rows it changed.
fn execute(
    connection: &Connection,
    statement: &'static str,
    values: Values<'_>,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(statement)?;
    bind(&mut statement, values)?;
    Ok(statement.raw_execute()?)
}

/// Runs a statement and reads all its rows.
fn query<T>(
    connection: &Connection,
    statement: &'static str,
    values: Values<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(statement)?;
    bind(&mut statement, values)?;
    let mut found = statement.raw_query();
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

/// `$2` is the second value, as in PostgreSQL. To SQLite it is a name, and its number that of the place where it stands
/// first.
fn bind(statement: &mut Statement<'_>, values: Values<'_>) -> Result<(), StoreError> {
    const NAMES: [&str; 14] = [
        "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14",
    ];
    debug_assert!(values.len() <= NAMES.len(), "{} values", values.len());
    for (name, value) in NAMES.iter().zip(values) {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}
