//! Measured boot as rows, in both databases.

use jiff::Timestamp;

use super::measured_boot::MAX_OF_A_NAME;
use super::rows::Columns;
use super::{ImageRecord, NodeBoot, StoreError};

macro_rules! columns {
    () => {
        "sha256, name, version, len, build_id, registered_at, registered_by, revoked_at"
    };
}

pub(super) const REGISTER: &str = concat!(
    "INSERT INTO images (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
);
pub(super) const BY_DIGEST: &str = concat!("SELECT ", columns!(), " FROM images WHERE sha256 = $1");
pub(super) const BY_NAME: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM images WHERE name = $1 ORDER BY registered_at DESC, sha256 LIMIT $2"
);
pub(super) const PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM images WHERE sha256 > $1 ORDER BY sha256 LIMIT $2"
);
pub(super) const REVOKE: &str = concat!(
    "UPDATE images SET revoked_at = $2 WHERE sha256 = $1 AND revoked_at IS NULL RETURNING ",
    columns!()
);
pub(super) const BOOT: &str =
    "SELECT counter, reset_count, witness FROM node_boots WHERE ek_hash = $1";
/// The first of several takes effect; the others find its row.
pub(super) const FIRST_BOOT: &str = "INSERT INTO node_boots (ek_hash, counter, reset_count, witness) \
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/// Only over what was read: of two at once the second reads again.
pub(super) const NEXT_BOOT: &str = "UPDATE node_boots SET counter = $2, reset_count = $3, witness = $4 \
    WHERE ek_hash = $1 AND counter = $5 AND reset_count = $6 AND witness = $7";
const FORGET: &str = "DELETE FROM node_boots WHERE ek_hash = $1";

/// How often a boot is read again because another verifier came between.
pub(super) const TRIES: u8 = 4;

/// Everything is greater than no bytes.
pub(super) fn after(after: Option<&[u8; 32]>) -> &[u8] {
    after.map_or(&[], <[u8; 32]>::as_slice)
}

/// The limit of [`BY_NAME`].
pub(super) fn of_a_name() -> i64 {
    i64::from(MAX_OF_A_NAME)
}

/// What is known of a node's boots goes with the node.
pub(super) fn forget<'q, DB>(
    ek_hash: &'q str,
) -> sqlx::query::Query<'q, DB, <DB as sqlx::Database>::Arguments>
where
    DB: sqlx::Database,
    &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    sqlx::query(FORGET).bind(ek_hash)
}

/// [`REGISTER`] with an image's values, for whichever database runs it.
macro_rules! register_query {
    ($image:expr) => {
        sqlx::query($crate::store::measured_rows::REGISTER)
            .bind($image.sha256.as_slice())
            .bind(&$image.name)
            .bind(&$image.version)
            .bind(i64::from($image.len))
            .bind(&$image.build_id)
            .bind($image.registered_at.as_second())
            .bind(&$image.registered_by)
            .bind($image.revoked_at.map(|at| at.as_second()))
    };
}
pub(super) use register_query;

/// [`FIRST_BOOT`] or [`NEXT_BOOT`] with a boot's values, for whichever database runs it.
macro_rules! boot_query {
    ($ek_hash:expr, $boot:expr, $last:expr) => {{
        use $crate::store::measured_rows as rows;
        let last: Option<$crate::store::NodeBoot> = $last;
        let query = match last {
            None => sqlx::query(rows::FIRST_BOOT),
            Some(_) => sqlx::query(rows::NEXT_BOOT),
        };
        let query = query
            .bind($ek_hash)
            .bind(i64::from($boot.counter))
            .bind(i64::from($boot.reset_count))
            .bind($boot.witness.to_vec());
        match last {
            None => query,
            Some(last) => query
                .bind(i64::from(last.counter))
                .bind(i64::from(last.reset_count))
                .bind(last.witness.to_vec()),
        }
    }};
}
pub(super) use boot_query;

pub(super) fn read(row: &impl Columns) -> Result<ImageRecord, StoreError> {
    let damaged = || StoreError::Damaged("image");
    let time = |column: &str| {
        let second = row.number(column)?.map(Timestamp::from_second);
        second.transpose().map_err(|_| damaged())
    };
    Ok(ImageRecord {
        sha256: row.bytes("sha256")?.try_into().map_err(|_| damaged())?,
        name: row.text("name")?,
        version: row.text("version")?,
        len: number(row, "len", "image")?,
        build_id: row.text("build_id")?,
        registered_at: time("registered_at")?.ok_or_else(damaged)?,
        registered_by: row.text("registered_by")?,
        revoked_at: time("revoked_at")?,
    })
}

pub(super) fn read_boot(row: &impl Columns) -> Result<NodeBoot, StoreError> {
    const WHAT: &str = "node boot";
    let witness = row.bytes("witness")?;
    Ok(NodeBoot {
        counter: number(row, "counter", WHAT)?,
        reset_count: number(row, "reset_count", WHAT)?,
        witness: witness.try_into().map_err(|_| StoreError::Damaged(WHAT))?,
    })
}

fn number(row: &impl Columns, column: &str, what: &'static str) -> Result<u32, StoreError> {
    let number = row.number(column)?.and_then(|n| u32::try_from(n).ok());
    number.ok_or(StoreError::Damaged(what))
}
