//! Several verifiers on one PostgreSQL: what the database decides when they write at once, and what is left of a replica
//! that ends in the middle. Another connection plays the other replica, so that every race has the outcome that the
//! test is about.

use std::sync::Arc;
use std::time::Duration;

use assay_common::protocol::{VerifierMessage, decode};
use assay_host_verifier::random::SeededRandom;
use assay_host_verifier::store::{
    Commit, Conflict, LoginRecord, PostgresStore, Store, StoreError, migrations,
};
use sqlx::Connection;

use crate::desk::{Desk, asked_of, ek_and_quote, say, tell};
use crate::fake_tpm::FakeTpm;
use crate::postgres::{self, Database};
use crate::stores::{at, boot, login};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_take_a_challenge_at_two_replicas_one_gets_it() {
    let database = postgres::database();
    let replicas = [database.store().await, database.store().await];
    for round in 0..8u8 {
        let takes: Vec<_> = (0..32)
            .map(|number| {
                let store = replicas[number % 2].clone();
                tokio::spawn(
                    async move { store.take_challenge(&[round; 32], at(5000)).await.unwrap() },
                )
            })
            .collect();
        let mut taken = 0;
        for take in takes {
            taken += usize::from(take.await.unwrap());
        }
        assert_eq!(taken, 1, "round {round}");
    }
}

/// The database's own default would turn the second of two such takes into an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_isolation_is_the_stores_own_whatever_the_databases_default_is() {
    let database = postgres::database();
    let name = &database.name;
    database.sql(&format!(
        "ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
    ));
    let store = database.store().await;
    let mut other = database.connect().await;
    let mut tx = other.begin().await.unwrap();
    let take = "INSERT INTO answered_challenges VALUES (decode(repeat('07', 32), 'hex'), 5000)";
    sqlx::query(take).execute(&mut *tx).await.unwrap();
    let taking = tokio::spawn(async move { store.take_challenge(&[7; 32], at(5000)).await });
    let waits = database.clone();
    tokio::task::spawn_blocking(move || waits.wait_for_a_waiter())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(!taking.await.unwrap().unwrap());
}

#[tokio::test]
async fn what_one_replica_stores_the_other_sees_at_once() {
    let database = postgres::database();
    let (one, other) = (database.store().await, database.store().await);
    let record = login(1, "a");
    assert_eq!(one.commit_login(&record).await.unwrap(), Commit::Stored);
    assert_eq!(
        other.session(record.session.id).await.unwrap(),
        Some(record.session)
    );
    assert_eq!(other.nodes(10).await.unwrap().len(), 1);
    let mut back = login(2, "a");
    back.node.boot = Some(boot(6));
    let commit = other.commit_login(&back).await.unwrap();
    assert!(
        matches!(commit, Commit::Refused(Conflict::WentBack { .. })),
        "{commit:?}"
    );
    assert!(other.evict_node("a").await.unwrap());
    assert_eq!(one.node("a").await.unwrap(), None);
    assert!(one.sessions(at(0), 10).await.unwrap().is_empty());
}

/// Eight verifiers that make the same nonces, which no true ones do: whoever answers such a nonce at all of them at once
/// gets through at one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_fits_at_every_replica_is_taken_by_one() {
    let database = postgres::database();
    let tpm = FakeTpm::new();
    for seed in 0..4 {
        let mut answers = Vec::new();
        for _ in 0..8 {
            let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
            desk.server.random = Arc::new(SeededRandom::new(seed));
            desk.server.store = Arc::new(database.store().await);
            let (mut link, mut agent) = (desk.link(), desk.agent());
            let hello = agent.hello();
            let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
            let proofs = agent.answer(&tpm, &asked);
            answers.push(tokio::spawn(async move {
                let answer = say(&mut link, &proofs).await.unwrap();
                matches!(
                    decode::<VerifierMessage<'_>>(&answer),
                    Ok(VerifierMessage::Challenge(_))
                )
            }));
        }
        let mut through = 0;
        for answer in answers {
            through += usize::from(answer.await.unwrap());
        }
        assert_eq!(through, 1, "seed {seed}");
    }
}

const NODE_A: &str = "INSERT INTO nodes (ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe, \
     firmware_version, first_seen, last_seen) \
     VALUES ('a', 'ak of a', 'spiffe://example.org/node/a', 'lab', 0, 9, 0, 1, 1, 1, 1)";

/// Runs a statement as another replica that has not committed yet, commits a login meanwhile, and lets the other end.
async fn beside(
    database: &Database<'static>,
    store: &PostgresStore,
    statement: &'static str,
    record: LoginRecord,
    keep: bool,
) -> Commit {
    let mut other = database.connect().await;
    let mut tx = other.begin().await.unwrap();
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    let store = store.clone();
    let committing = tokio::spawn(async move { store.commit_login(&record).await.unwrap() });
    let waits = database.clone();
    tokio::task::spawn_blocking(move || waits.wait_for_a_waiter())
        .await
        .unwrap();
    if keep {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await.unwrap();
    }
    committing.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_appears_while_it_logs_in_elsewhere_is_judged_by_its_new_record() {
    let database = postgres::database();
    let store = database.store().await;
    // The same TPM, first seen by both at once, with later counters there.
    let commit = beside(&database, &store, NODE_A, login(1, "a"), true).await;
    assert!(
        matches!(commit, Commit::Refused(Conflict::WentBack { .. })),
        "{commit:?}"
    );
    assert_eq!(database.sql("SELECT reset_count FROM nodes"), "9");
    assert_eq!(database.sql("SELECT count(*) FROM sessions"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_or_key_that_another_takes_meanwhile_is_refused_and_free_again_if_it_gives_up()
{
    for (keep, same_ak) in [(true, false), (true, true), (false, false)] {
        let database = postgres::database();
        let store = database.store().await;
        let mut record = login(1, "b");
        match same_ak {
            true => record.node.ak_name = b"ak of a".to_vec(),
            false => record.node.spiffe_id = "spiffe://example.org/node/a".to_owned(),
        }
        let commit = beside(&database, &store, NODE_A, record, keep).await;
        let refused = match &commit {
            Commit::Refused(Conflict::IdentityTaken { holder, .. }) => !same_ak && holder == "a",
            Commit::Refused(Conflict::KeyTaken { holder }) => same_ak && holder == "a",
            _ => false,
        };
        assert_eq!(refused, keep, "{commit:?}");
        assert_eq!(commit == Commit::Stored, !keep, "{commit:?}");
        let nodes = database.sql("SELECT string_agg(ek_hash, ' ') FROM nodes");
        assert_eq!(nodes, if keep { "a" } else { "b" });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_rise_elsewhere_while_a_login_commits_are_not_written_over() {
    let database = postgres::database();
    let store = database.store().await;
    store.commit_login(&login(1, "a")).await.unwrap();
    let rise = "UPDATE nodes SET reset_count = 9 WHERE ek_hash = 'a'";
    let mut record = login(2, "a");
    record.node.boot = Some(boot(8));
    // The attestor had judged 8 against what was known then.
    record.node.judged_against = Some(boot(7));
    let commit = beside(&database, &store, rise, record, true).await;
    assert!(
        matches!(commit, Commit::Refused(Conflict::WentBack { .. })),
        "{commit:?}"
    );
    assert_eq!(database.sql("SELECT reset_count FROM nodes"), "9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_node_that_changes_to_a_key_taken_meanwhile_is_refused() {
    let database = postgres::database();
    let store = database.store().await;
    store.commit_login(&login(1, "b")).await.unwrap();
    let mut record = login(2, "b");
    record.node.ak_name = b"ak of a".to_vec();
    let commit = beside(&database, &store, NODE_A, record, true).await;
    assert!(
        matches!(commit, Commit::Refused(Conflict::KeyTaken { .. })),
        "{commit:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_in_the_middle_of_a_commit_leaves_nothing_and_the_next_login_works() {
    let database = postgres::database();
    let store = database.store().await;
    // The node can be written, the session has to wait: both stand in one transaction.
    let mut other = database.connect().await;
    let mut tx = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let committing = {
        let store = store.clone();
        tokio::spawn(async move { store.commit_login(&login(1, "a")).await })
    };
    let waits = database.clone();
    tokio::task::spawn_blocking(move || {
        waits.wait_for_a_waiter();
        waits.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    })
    .await
    .unwrap();
    let result = committing.await.unwrap();
    assert!(matches!(result, Err(StoreError::Database(_))), "{result:?}");
    tx.rollback().await.unwrap();
    assert_eq!(store.node("a").await.unwrap(), None);
    assert!(store.sessions(at(0), 10).await.unwrap().is_empty());
    assert_eq!(
        store.commit_login(&login(1, "a")).await.unwrap(),
        Commit::Stored
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_given_up_in_the_middle_of_a_commit_leaves_nothing() {
    let database = postgres::database();
    let mut settings = database.settings();
    settings.max_connections = 1;
    let store = PostgresStore::open(&settings).await.unwrap();
    let mut other = database.connect().await;
    let mut tx = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let record = login(1, "a");
    let given_up = tokio::time::timeout(Duration::from_secs(1), store.commit_login(&record)).await;
    assert!(given_up.is_err());
    // Its connection waits for the lock until the server gives up; the next call does not wait for that.
    assert!(store.take_challenge(&[1; 32], at(5000)).await.unwrap());
    tx.rollback().await.unwrap();
    assert_eq!(store.node("a").await.unwrap(), None);
    assert_eq!(store.commit_login(&record).await.unwrap(), Commit::Stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waits_too_long_is_an_error_and_leaves_nothing() {
    let database = postgres::database();
    let store = database.store().await;
    let mut other = database.connect().await;
    let mut tx = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let result = store.commit_login(&login(1, "a")).await;
    assert!(matches!(result, Err(StoreError::Database(_))), "{result:?}");
    tx.rollback().await.unwrap();
    assert_eq!(store.node("a").await.unwrap(), None);
}

#[tokio::test]
async fn replicas_that_start_at_once_make_the_schema_once() {
    let database = postgres::database();
    let opens: Vec<_> = (0..6)
        .map(|_| {
            let settings = database.settings();
            tokio::spawn(async move { PostgresStore::open(&settings).await.is_ok() })
        })
        .collect();
    for open in opens {
        assert!(open.await.unwrap());
    }
    let steps = migrations::postgres();
    let steps = steps
        .iter()
        .filter(|step| step.migration_type.is_up_migration());
    assert_eq!(
        database.sql("SELECT count(*) FROM _sqlx_migrations"),
        steps.count().to_string()
    );
}

#[tokio::test]
async fn a_reader_makes_no_schema_and_a_newer_one_is_left_alone() {
    let database = postgres::database();
    let attached = PostgresStore::attach(&database.settings()).await;
    assert!(
        matches!(attached, Err(StoreError::NoSchema)),
        "{attached:?}"
    );
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );
    database.store().await.close().await;
    assert!(PostgresStore::attach(&database.settings()).await.is_ok());
    database.sql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', true, '', 0)");
    for result in [
        PostgresStore::attach(&database.settings()).await,
        PostgresStore::open(&database.settings()).await,
    ] {
        let error = result.unwrap_err();
        assert!(error.hint().unwrap().contains("newer assayd"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_record_is_an_error() {
    let database = postgres::database();
    let store = database.store().await;
    store.commit_login(&login(1, "a")).await.unwrap();
    database.sql("UPDATE nodes SET reset_count = -1");
    let node = store.node("a").await;
    assert!(matches!(node, Err(StoreError::Damaged("node"))), "{node:?}");
    database.sql("UPDATE nodes SET reset_count = NULL");
    let node = store.node("a").await;
    assert!(matches!(node, Err(StoreError::Damaged("node"))), "{node:?}");
    database.sql("UPDATE sessions SET attributes = '[]x'");
    let session = store.sessions(at(0), 10).await;
    assert!(
        matches!(session, Err(StoreError::Damaged("session"))),
        "{session:?}"
    );
}

#[tokio::test]
async fn more_than_one_batch_is_purged() {
    let database = postgres::database();
    let store = database.store().await;
    database.sql("INSERT INTO answered_challenges SELECT decode(lpad(to_hex(n), 64, '0'), 'hex'), n FROM generate_series(1, 12000) n");
    assert_eq!(store.purge(at(11_001)).await.unwrap(), 11_000);
    assert_eq!(store.purge(at(11_001)).await.unwrap(), 0);
    assert_eq!(
        database.sql("SELECT count(*) FROM answered_challenges"),
        "1000"
    );
}
