//! The schemas of both databases: up and down, and from a file that an earlier release has written.

use std::path::Path;

use assay_host_verifier::store::{
    Commit, Conflict, PostgresStore, SQLITE_FILE, SqliteStore, Store, migrations,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Executor, Row};

use crate::postgres;
use crate::stores::{at, boot, login};

/// As `sqlite3`'s `.dump` writes it, from a file that assayd made when this schema was its only one. A node logged in,
/// was refused when its counters had gone back, was evicted, and logged in anew.
const SQLITE_1: &str = include_str!("testdata/sqlite-schema-1.sql");

async fn sqlite(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    SqlitePool::connect_with(options).await.unwrap()
}

/// Every table and index with its columns, as the database itself tells.
async fn sqlite_schema(pool: &SqlitePool) -> Vec<String> {
    let rows = sqlx::query(
        "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema \
         WHERE name NOT LIKE '\\_sqlx%' ESCAPE '\\' AND tbl_name <> '_sqlx_migrations' ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_opened_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let old = sqlite(&path).await;
    old.execute(SQLITE_1).await.unwrap();
    old.close().await;

    let store = SqliteStore::open(&path).await.unwrap();
    let nodes = store.nodes(10).await.unwrap();
    let [node] = nodes.as_slice() else {
        panic!("{nodes:?}")
    };
    assert!(node.ek_hash.starts_with("59e89184d02f"), "{node:?}");
    assert_eq!(node.boot.unwrap().reset_count, 6);
    let sessions = store.sessions(at(0), 10).await.unwrap();
    let [session] = sessions.as_slice() else {
        panic!("{sessions:?}")
    };
    assert_eq!(
        (&session.ek_hash, &session.spiffe_id),
        (&node.ek_hash, &node.spiffe_id)
    );
    assert!(session.attributes.iter().any(|a| a.value == node.ek_hash));
    let answered = "162dff1d795db4e3f4a69ebf60898c0c4ba992e93e0da1d7bccfadfbfd98e09f";
    let answered = hex::decode(answered).unwrap().try_into().unwrap();
    assert!(!store.take_challenge(&answered, at(5000)).await.unwrap());
    assert_eq!(
        session.renewal, None,
        "it was granted when there was no renewal"
    );
    // What the old file knows decides about new logins.
    let mut back = login(9, &node.ek_hash);
    back.node.boot = Some(boot(5));
    assert!(matches!(
        store.commit_login(&back).await.unwrap(),
        Commit::Refused(Conflict::WentBack { .. })
    ));
    store.commit_login(&login(9, "new")).await.unwrap();
    store.close().await;

    // And it is the schema that a new file has.
    let new = dir.path().join("new.sqlite");
    SqliteStore::open(&new).await.unwrap().close().await;
    let (old, new) = (sqlite(&path).await, sqlite(&new).await);
    assert_eq!(sqlite_schema(&old).await, sqlite_schema(&new).await);
}

#[tokio::test]
async fn sqlite_goes_down_step_by_step_to_nothing_and_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit_login(&login(1, "a")).await.unwrap();
    store.close().await;
    let pool = sqlite(&path).await;
    let (full, steps) = (sqlite_schema(&pool).await, migrations::sqlite());
    for step in steps
        .iter()
        .filter(|step| step.migration_type.is_down_migration())
    {
        steps.undo(&pool, step.version - 1).await.unwrap();
        steps.run_to(step.version, &pool).await.unwrap();
    }
    assert_eq!(sqlite_schema(&pool).await, full);
    steps.undo(&pool, 0).await.unwrap();
    assert!(sqlite_schema(&pool).await.is_empty());
    pool.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(
        store.commit_login(&login(1, "a")).await.unwrap(),
        Commit::Stored
    );
}

#[tokio::test]
async fn postgres_goes_down_step_by_step_to_nothing_and_up_again() {
    const SCHEMA: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
        SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS line \
            FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' \
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations' \
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f') s";
    let database = postgres::database();
    let store = database.store().await;
    store.commit_login(&login(1, "a")).await.unwrap();
    store.close().await;
    let full = database.sql(SCHEMA);
    assert!(full.contains("nodes.ak_name bytea NO"), "{full}");
    let pool = database.pool().await;
    let steps = migrations::postgres();
    for step in steps
        .iter()
        .filter(|step| step.migration_type.is_down_migration())
    {
        steps.undo(&pool, step.version - 1).await.unwrap();
        steps.run_to(step.version, &pool).await.unwrap();
    }
    assert_eq!(database.sql(SCHEMA), full);
    steps.undo(&pool, 0).await.unwrap();
    assert_eq!(database.sql(SCHEMA), "");
    pool.close().await;
    let store = PostgresStore::open(&database.settings()).await.unwrap();
    assert_eq!(
        store.commit_login(&login(1, "a")).await.unwrap(),
        Commit::Stored
    );
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    SqliteStore::open(&path).await.unwrap().close().await;
    let pool = sqlite(&path).await;
    let lite: String = sqlx::query_scalar(
        "SELECT group_concat(line, char(10)) FROM (SELECT m.name || '.' || c.name || ' ' || c.\"notnull\" AS line \
         FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' \
         AND m.name <> '_sqlx_migrations' ORDER BY 1)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let database = postgres::database();
    database.store().await.close().await;
    let postgres = database.sql(
        "SELECT string_agg(line, E'\\n' ORDER BY line COLLATE \"C\") FROM (SELECT table_name || '.' || column_name || ' ' || \
            (is_nullable = 'NO')::int AS line FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations') s",
    );
    assert_eq!(lite, postgres);
}

#[tokio::test]
async fn a_database_whose_released_steps_were_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    SqliteStore::open(&path).await.unwrap().close().await;
    let pool = sqlite(&path).await;
    pool.execute("UPDATE _sqlx_migrations SET checksum = x'00'")
        .await
        .unwrap();
    pool.close().await;
    assert!(SqliteStore::open(&path).await.is_err());
    let database = postgres::database();
    database.store().await.close().await;
    database.sql("UPDATE _sqlx_migrations SET checksum = ''");
    assert!(PostgresStore::open(&database.settings()).await.is_err());
}
