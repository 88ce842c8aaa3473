//! Versions as rows: what SQLite and PostgreSQL share.

use jiff::Timestamp;

use super::{ConfigEntry, ConfigVersion};
use crate::store::StoreError;
use crate::store::rows::Columns;

macro_rules! select {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT c.cluster, c.section, c.version, c.sha256, c.author, c.comment, c.changed_at, c.rollback_of",
            $columns,
            " FROM cluster_config c WHERE ",
            $rest
        )
    };
}

pub(super) const GENERATION: &str = "SELECT generation FROM config_generation WHERE id = 1";
/// Takes the lock that orders all changes.
pub(super) const NEXT_GENERATION: &str =
    "UPDATE config_generation SET generation = generation + 1 WHERE id = 1 RETURNING generation";
pub(super) const HEAD: &str = "SELECT max(version) FROM cluster_config WHERE cluster = $1";
pub(super) const INSERT: &str = "INSERT INTO cluster_config \
    (cluster, section, version, generation, document, sha256, author, comment, changed_at, rollback_of) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
pub(super) const IN_FORCE: &str = select!(
    ", c.document",
    "c.cluster IN (SELECT cluster FROM cluster_config WHERE generation > $1) \
     AND c.version = (SELECT max(version) FROM cluster_config WHERE cluster = c.cluster AND section = c.section) \
     ORDER BY c.cluster, c.section"
);
pub(super) const AT: &str = select!(
    ", c.document",
    "c.cluster = $1 AND c.version = (SELECT max(version) FROM cluster_config \
        WHERE cluster = c.cluster AND section = c.section AND version <= $2) ORDER BY c.section"
);
/// The section is empty for all of them.
pub(super) const HISTORY: &str = select!(
    "",
    "c.cluster = $1 AND ($2 = '' OR c.section = $2) AND c.version < $3 \
     ORDER BY c.version DESC, c.section LIMIT $4"
);
pub(super) const CLUSTERS: &str = select!(
    "",
    "c.cluster IN (SELECT DISTINCT cluster FROM cluster_config WHERE cluster > $1 ORDER BY cluster LIMIT $2) \
     AND c.version = (SELECT max(version) FROM cluster_config WHERE cluster = c.cluster AND section = c.section) \
     ORDER BY c.cluster, c.section"
);

/// [`INSERT`] with a section's values, for whichever database runs it.
macro_rules! insert {
    ($change:expr, $version:expr, $generation:expr, $section:expr, $document:expr, $sha256:expr) => {
        sqlx::query($crate::store::cluster_config::rows::INSERT)
            .bind(&$change.cluster)
            .bind($section)
            .bind($version)
            .bind($generation)
            .bind($document)
            .bind($sha256.as_ref().map(|digest| digest.as_slice()))
            .bind(&$change.author)
            .bind(&$change.comment)
            .bind($change.changed_at.as_second())
            .bind($change.rollback_of.map(number))
    };
}
pub(super) use insert;

/// A change within a transaction that ends with `commit` or `rollback`, whichever database it is of.
macro_rules! change {
    ($tx:ident, $change:expr) => {{
        use $crate::store::cluster_config::rows::{self, number, read, unsigned};
        use $crate::store::cluster_config::{ConfigOutcome, news};
        let change = $change;
        let generation: i64 = sqlx::query_scalar(rows::NEXT_GENERATION)
            .fetch_one(&mut *$tx)
            .await?;
        let head: Option<i64> = sqlx::query_scalar(rows::HEAD)
            .bind(&change.cluster)
            .fetch_one(&mut *$tx)
            .await?;
        let head = head.unwrap_or(0);
        if change
            .expected
            .is_some_and(|expected| number(expected) != head)
        {
            $tx.rollback().await?;
            return Ok(ConfigOutcome::Conflict(unsigned(head)?));
        }
        let known = sqlx::query(rows::AT)
            .bind(&change.cluster)
            .bind(head)
            .fetch_all(&mut *$tx)
            .await?;
        let known = known
            .iter()
            .map(|row| read(row).map(|entry| (entry.section, entry.sha256)))
            .collect::<Result<Vec<_>, _>>()?;
        let news = news(change, &known);
        if news.is_empty() {
            $tx.rollback().await?;
            return Ok(ConfigOutcome::Unchanged(unsigned(head)?));
        }
        for (section, document, sha256) in news {
            rows::insert!(change, head + 1, generation, section, document, sha256)
                .execute(&mut *$tx)
                .await?;
        }
        $tx.commit().await?;
        Ok(ConfigOutcome::Changed(unsigned(head + 1)?))
    }};
}
pub(super) use change;

/// As the databases hold it. A number beyond theirs is none that they have.
pub(super) fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged("configuration"))
}

pub(super) fn read(row: &impl Columns) -> Result<ConfigEntry, StoreError> {
    let damaged = || StoreError::Damaged("configuration");
    let sha256 = row.maybe_bytes("sha256")?.map(TryInto::try_into);
    let changed_at = row.number("changed_at")?.ok_or_else(damaged)?;
    Ok(ConfigEntry {
        cluster: row.text("cluster")?,
        section: row.text("section")?,
        version: unsigned(row.number("version")?.ok_or_else(damaged)?)?,
        sha256: sha256.transpose().map_err(|_| damaged())?,
        author: row.text("author")?,
        comment: row.text("comment")?,
        changed_at: Timestamp::from_second(changed_at).map_err(|_| damaged())?,
        rollback_of: row.number("rollback_of")?.map(unsigned).transpose()?,
    })
}

/// A text that is not the one that was stored is not used: these texts decide who is let in.
pub(super) fn read_version(row: &impl Columns) -> Result<ConfigVersion, StoreError> {
    let entry = read(row)?;
    let document = row.maybe_text("document")?;
    if document.as_deref().map(super::digest) != entry.sha256 {
        return Err(StoreError::Damaged("configuration"));
    }
    Ok(ConfigVersion { entry, document })
}
