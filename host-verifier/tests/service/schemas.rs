//! The schemas of both databases: up and down, and from a file that an earlier release has written.

use std::path::Path;

use assay_host_verifier::store::{
    Commit, Conflict, PostgresStore, Role, SQLITE_FILE, SqliteStore, Store, migrations,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Executor, Row};

use crate::postgres;
use crate::stores::{at, boot, login};

/// As `sqlite3`'s `.dump` writes it, from a file that assayd made when this schema was its only one. A node logged in,
/// was refused when its counters had gone back, was evicted, and logged in anew.
const SQLITE_1: &str = include_str!("testdata/sqlite-schema-1.sql");

/// As they were written with the schema that was the last one before join tokens: a node whose first session was revoked and who
/// logged in anew, another that was banned after its login, a cluster's configuration, and a token for the API.
const SQLITE_5: &str = include_str!("testdata/sqlite-schema-5.sql");
/// By `pg_dump --inserts`, without comments and settings.
const POSTGRES_5: &str = include_str!("testdata/postgres-schema-5.sql");

/// Every column, index and foreign key, as the database itself tells.
const POSTGRES_SCHEMA: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
    SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS line \
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' \
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations' \
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f') s";

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

/// What a store has to know that was opened on schema 5, and that it goes on with it. `token` is the hash of the API's.
async fn goes_on_from_schema_5(store: &dyn Store, token: &str) {
    const EK: &str = "5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc";
    const BANNED: &str = "ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9";
    // Before any of its sessions had ended.
    let then = at(1_795_349_600);
    let sessions = store.sessions(then, 10).await.unwrap();
    let [session] = sessions.as_slice() else {
        panic!("{sessions:?}")
    };
    assert_eq!(session.ek_hash, EK, "the others were revoked");
    let nodes = store.nodes(10).await.unwrap();
    let banned: Vec<_> = nodes
        .iter()
        .map(|n| (n.ek_hash.as_str(), n.ban.is_some()))
        .collect();
    assert_eq!(banned, [(EK, false), (BANNED, true)]);
    assert_eq!(
        store.bans(10).await.unwrap()[0].reason,
        "stolen from rack 7"
    );
    let config = store.config_at("spare", None).await.unwrap();
    assert_eq!(
        (config.len(), config[0].entry.comment.as_str()),
        (1, "as agreed")
    );
    assert_eq!(config[0].document, Some(crate::clusters::one_hash('1')));
    let token = hex::decode(token).unwrap().try_into().unwrap();
    let token = store.api_token(&token).await.unwrap().unwrap();
    assert_eq!((token.name.as_str(), token.role), ("ci", Role::Operator));
    let authorities = store.authorities("example.org").await.unwrap();
    assert_eq!(authorities.records.len(), 2);
    // And it has what is new.
    assert_eq!(store.join_tokens("", 10).await.unwrap(), []);
    let join = crate::join_tokens::token(1);
    assert!(store.add_join_token(&join).await.unwrap());
    assert_eq!(store.join_tokens("", 10).await.unwrap(), [join]);
    assert!(matches!(
        store.commit_login(&login(1, BANNED)).await.unwrap(),
        Commit::Refused(Conflict::Banned { .. })
    ));
    assert_eq!(
        store.commit_login(&login(1, "new")).await.unwrap(),
        Commit::Stored
    );
}

#[tokio::test]
async fn databases_of_the_schema_before_join_tokens_are_opened_with_all_that_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let old = sqlite(&path).await;
    old.execute(SQLITE_5).await.unwrap();
    old.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    let token = "b9b9a8d5cc401b893f8a71c7c3c2daea738936d7ff492b14e4c6b88a1fed180b";
    goes_on_from_schema_5(&store, token).await;
    store.close().await;
    let new = dir.path().join("new.sqlite");
    SqliteStore::open(&new).await.unwrap().close().await;
    let (old, new) = (sqlite(&path).await, sqlite(&new).await);
    assert_eq!(sqlite_schema(&old).await, sqlite_schema(&new).await);

    let (database, new) = (postgres::database(), postgres::database());
    database.sql(POSTGRES_5);
    let store = database.store().await;
    let token = "76fcfc32d848d71bd0972a3a8ce49b2e1b2f2968edd80abd5a41a52761b60947";
    goes_on_from_schema_5(&store, token).await;
    store.close().await;
    new.store().await.close().await;
    assert_eq!(database.sql(POSTGRES_SCHEMA), new.sql(POSTGRES_SCHEMA));
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
    let database = postgres::database();
    let store = database.store().await;
    store.commit_login(&login(1, "a")).await.unwrap();
    store.close().await;
    let full = database.sql(POSTGRES_SCHEMA);
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
    assert_eq!(database.sql(POSTGRES_SCHEMA), full);
    steps.undo(&pool, 0).await.unwrap();
    assert_eq!(database.sql(POSTGRES_SCHEMA), "");
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
