//! Authorities as rows: what SQLite and PostgreSQL share.

use jiff::Timestamp;

use super::StoreError;
use super::authorities::{Authorities, AuthorityKind, AuthorityRecord};
use super::rows::Columns;
use crate::svid::rotation::State;

/// Takes the trust domain's row for the rest of the transaction, so that changes come one after the other, and counts.
pub(super) const RAISE_SEQUENCE: &str = "INSERT INTO svid_bundles (trust_domain, sequence) VALUES ($1, 1) \
     ON CONFLICT (trust_domain) DO UPDATE SET sequence = svid_bundles.sequence + 1";
pub(super) const COUNT: &str = "SELECT count(*) FROM svid_authorities WHERE trust_domain = $1";
pub(super) const INSERT: &str = "INSERT INTO svid_authorities (trust_domain, id, kind, state, replica, public, chain, roots, \
        not_before, not_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
pub(super) const SET_STATE: &str =
    "UPDATE svid_authorities SET state = $3 WHERE trust_domain = $1 AND id = $2";
pub(super) const REMOVE: &str =
    "DELETE FROM svid_authorities WHERE trust_domain = $1 AND id = $2 AND not_after < $3";
/// One statement, so that sequence and authorities are those of one moment. Without an authority there is one row, and
/// nothing but the sequence in it.
pub(super) const ALL: &str = "SELECT b.sequence, a.trust_domain, a.id, a.kind, a.state, a.replica, a.public, a.chain, a.roots, \
        a.not_before, a.not_after FROM svid_bundles b \
     LEFT JOIN svid_authorities a ON a.trust_domain = b.trust_domain \
     WHERE b.trust_domain = $1 ORDER BY a.kind DESC, a.not_before, a.id";

/// [`INSERT`] with a record's values, for whichever database runs it.
macro_rules! insert_query {
    ($record:expr) => {
        sqlx::query($crate::store::authority_rows::INSERT)
            .bind(&$record.trust_domain)
            .bind(&$record.id)
            .bind($record.kind.name())
            .bind($record.state.name())
            .bind(&$record.replica)
            .bind(&$record.public)
            .bind(&$record.chain)
            .bind(&$record.roots)
            .bind($record.not_before.as_second())
            .bind($record.not_after.as_second())
    };
}
pub(super) use insert_query;

/// Reads what [`ALL`] returns.
pub(super) fn read_all<R: Columns>(rows: &[R]) -> Result<Authorities, StoreError> {
    let mut all = Authorities::default();
    for row in rows {
        let sequence = row.number("sequence")?.ok_or_else(damaged)?;
        all.sequence = u64::try_from(sequence).map_err(|_| damaged())?;
        // Only a row without an authority has no times.
        if row.number("not_before")?.is_some() {
            all.records.push(read(row)?);
        }
    }
    Ok(all)
}

fn read(row: &impl Columns) -> Result<AuthorityRecord, StoreError> {
    let time = |column| {
        let second = row.number(column)?.ok_or_else(damaged)?;
        Timestamp::from_second(second).map_err(|_| damaged())
    };
    Ok(AuthorityRecord {
        trust_domain: row.text("trust_domain")?,
        id: row.text("id")?,
        kind: AuthorityKind::from_name(&row.text("kind")?).ok_or_else(damaged)?,
        state: State::from_name(&row.text("state")?).ok_or_else(damaged)?,
        replica: row.text("replica")?,
        public: row.bytes("public")?,
        chain: row.bytes("chain")?,
        roots: row.bytes("roots")?,
        not_before: time("not_before")?,
        not_after: time("not_after")?,
    })
}

fn damaged() -> StoreError {
    StoreError::Damaged("authority")
}
