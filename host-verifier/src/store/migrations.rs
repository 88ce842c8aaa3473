//! The schema of either database, step by step, up and down. A step that was released never changes: databases in the
//! field hold its checksum.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, name, and the statements up and down.
type Step = (i64, &'static str, &'static str, &'static str);

const SQLITE: &[Step] = &[
    (
        1,
        "sessions nodes challenges",
        include_str!("../../migrations/sqlite/0001_sessions_nodes_challenges.up.sql"),
        include_str!("../../migrations/sqlite/0001_sessions_nodes_challenges.down.sql"),
    ),
    (
        2,
        "renewal revocation bans",
        include_str!("../../migrations/sqlite/0002_renewal_revocation_bans.up.sql"),
        include_str!("../../migrations/sqlite/0002_renewal_revocation_bans.down.sql"),
    ),
    (
        3,
        "cluster config",
        include_str!("../../migrations/sqlite/0003_cluster_config.up.sql"),
        include_str!("../../migrations/sqlite/0003_cluster_config.down.sql"),
    ),
    (
        4,
        "api tokens",
        include_str!("../../migrations/sqlite/0004_api_tokens.up.sql"),
        include_str!("../../migrations/sqlite/0004_api_tokens.down.sql"),
    ),
    (
        5,
        "svid authorities",
        include_str!("../../migrations/sqlite/0005_svid_authorities.up.sql"),
        include_str!("../../migrations/sqlite/0005_svid_authorities.down.sql"),
    ),
    (
        6,
        "join tokens",
        include_str!("../../migrations/sqlite/0006_join_tokens.up.sql"),
        include_str!("../../migrations/sqlite/0006_join_tokens.down.sql"),
    ),
    (
        7,
        "login state keys",
        include_str!("../../migrations/sqlite/0007_login_state_keys.up.sql"),
        include_str!("../../migrations/sqlite/0007_login_state_keys.down.sql"),
    ),
    (
        8,
        "svid keys of sessions",
        include_str!("../../migrations/sqlite/0008_svid_keys_of_sessions.up.sql"),
        include_str!("../../migrations/sqlite/0008_svid_keys_of_sessions.down.sql"),
    ),
    (
        9,
        "first uses",
        include_str!("../../migrations/sqlite/0009_first_uses.up.sql"),
        include_str!("../../migrations/sqlite/0009_first_uses.down.sql"),
    ),
    (
        10,
        "measured boot",
        include_str!("../../migrations/sqlite/0010_measured_boot.up.sql"),
        include_str!("../../migrations/sqlite/0010_measured_boot.down.sql"),
    ),
];

const POSTGRES: &[Step] = &[
    (
        1,
        "sessions nodes challenges",
        include_str!("../../migrations/postgres/0001_sessions_nodes_challenges.up.sql"),
        include_str!("../../migrations/postgres/0001_sessions_nodes_challenges.down.sql"),
    ),
    (
        2,
        "renewal revocation bans",
        include_str!("../../migrations/postgres/0002_renewal_revocation_bans.up.sql"),
        include_str!("../../migrations/postgres/0002_renewal_revocation_bans.down.sql"),
    ),
    (
        3,
        "cluster config",
        include_str!("../../migrations/postgres/0003_cluster_config.up.sql"),
        include_str!("../../migrations/postgres/0003_cluster_config.down.sql"),
    ),
    (
        4,
        "api tokens",
        include_str!("../../migrations/postgres/0004_api_tokens.up.sql"),
        include_str!("../../migrations/postgres/0004_api_tokens.down.sql"),
    ),
    (
        5,
        "svid authorities",
        include_str!("../../migrations/postgres/0005_svid_authorities.up.sql"),
        include_str!("../../migrations/postgres/0005_svid_authorities.down.sql"),
    ),
    (
        6,
        "join tokens",
        include_str!("../../migrations/postgres/0006_join_tokens.up.sql"),
        include_str!("../../migrations/postgres/0006_join_tokens.down.sql"),
    ),
    (
        7,
        "login state keys",
        include_str!("../../migrations/postgres/0007_login_state_keys.up.sql"),
        include_str!("../../migrations/postgres/0007_login_state_keys.down.sql"),
    ),
    (
        8,
        "svid keys of sessions",
        include_str!("../../migrations/postgres/0008_svid_keys_of_sessions.up.sql"),
        include_str!("../../migrations/postgres/0008_svid_keys_of_sessions.down.sql"),
    ),
    (
        9,
        "first uses",
        include_str!("../../migrations/postgres/0009_first_uses.up.sql"),
        include_str!("../../migrations/postgres/0009_first_uses.down.sql"),
    ),
    (
        10,
        "measured boot",
        include_str!("../../migrations/postgres/0010_measured_boot.up.sql"),
        include_str!("../../migrations/postgres/0010_measured_boot.down.sql"),
    ),
];

/// The steps of SQLite's schema. A store runs them upwards when it is opened; downwards they are for going back to an
/// earlier release.
#[must_use]
pub fn sqlite() -> Migrator {
    migrator(SQLITE)
}

/// The steps of PostgreSQL's schema; see [`sqlite`].
#[must_use]
pub fn postgres() -> Migrator {
    migrator(POSTGRES)
}

/// The version that this release makes of a PostgreSQL database.
pub(super) fn postgres_version() -> i64 {
    POSTGRES.last().map_or(0, |step| step.0)
}

fn migrator(steps: &[Step]) -> Migrator {
    let both = steps.iter().flat_map(|(version, name, up, down)| {
        let one = |sql: &'static str, kind| {
            let sql = sql.into_sql_str();
            Migration::new(*version, Cow::Borrowed(*name), kind, sql, false)
        };
        [
            one(up, MigrationType::ReversibleUp),
            one(down, MigrationType::ReversibleDown),
        ]
    });
    Migrator::with_migrations(both.collect())
}
