//! Join tokens as rows, in both databases.

use jiff::Timestamp;

use super::rows::Columns;
use super::{JoinTokenRecord, StoreError};

macro_rules! columns {
    () => {
        "id, sha256, cluster, spiffe_id, bound, comment, created_at, created_by, expires_at, used_at"
    };
}

pub(super) const ADD: &str = concat!(
    "INSERT INTO join_tokens (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"
);
/// Two that run at once wait for each other's row, and the second finds it used.
pub(super) const TAKE: &str = concat!(
    "UPDATE join_tokens SET used_at = $2 WHERE sha256 = $1 AND used_at IS NULL AND expires_at > $2 RETURNING ",
    columns!()
);
pub(super) const BY_HASH: &str =
    concat!("SELECT ", columns!(), " FROM join_tokens WHERE sha256 = $1");
pub(super) const PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM join_tokens WHERE id > $1 ORDER BY id LIMIT $2"
);
pub(super) const REVOKE: &str = concat!(
    "DELETE FROM join_tokens WHERE id = $1 RETURNING ",
    columns!()
);

/// [`ADD`] with a token's values, for whichever database runs it.
macro_rules! add_query {
    ($token:expr) => {
        sqlx::query($crate::store::join_token_rows::ADD)
            .bind(&$token.id)
            .bind($token.sha256.as_slice())
            .bind(&$token.cluster)
            .bind(&$token.spiffe_id)
            // Text by text always serializes.
            .bind(serde_json::to_string(&$token.bound).unwrap_or_default())
            .bind(&$token.comment)
            .bind($token.created_at.as_second())
            .bind(&$token.created_by)
            .bind($token.expires_at.as_second())
            .bind($token.used_at.map(|at| at.as_second()))
    };
}
pub(super) use add_query;

pub(super) fn read(row: &impl Columns) -> Result<JoinTokenRecord, StoreError> {
    let damaged = || StoreError::Damaged("join token");
    let time = |column: &str| {
        let second = row.number(column)?.map(Timestamp::from_second);
        second.transpose().map_err(|_| damaged())
    };
    Ok(JoinTokenRecord {
        id: row.text("id")?,
        sha256: row.bytes("sha256")?.try_into().map_err(|_| damaged())?,
        cluster: row.text("cluster")?,
        spiffe_id: row.maybe_text("spiffe_id")?,
        bound: serde_json::from_str(&row.text("bound")?).map_err(|_| damaged())?,
        comment: row.text("comment")?,
        created_at: time("created_at")?.ok_or_else(damaged)?,
        created_by: row.text("created_by")?,
        expires_at: time("expires_at")?.ok_or_else(damaged)?,
        used_at: time("used_at")?,
    })
}
