//! One suite for every store: what holds for one holds for all.

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{Attribute, BootState};
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{
    Commit, Conflict, LoginRecord, MemoryStore, NodeUpdate, SQLITE_FILE, SessionRecord,
    SqliteStore, Store,
};
use jiff::Timestamp;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn login(number: u8, ek: &str) -> LoginRecord {
    let spiffe_id = format!("spiffe://example.org/node/{ek}");
    LoginRecord {
        session: SessionRecord {
            id: SessionId([number; 16]),
            login_id: format!("login {number}"),
            cluster: "lab".to_owned(),
            policy: "rack".to_owned(),
            spiffe_id: spiffe_id.clone(),
            ek_hash: ek.to_owned(),
            attributes: vec![
                Attribute {
                    origin: AttestorKind::TPM_EK,
                    name: "tpm_ek.public_hash".into(),
                    value: ek.to_owned(),
                },
                Attribute {
                    origin: AttestorKind::TPM_QUOTE,
                    name: "tpm_quote.note".into(),
                    value: "quotes \" and '; DROP TABLE nodes; --\u{0}é".to_owned(),
                },
            ],
            issued_at: at(1000 + i64::from(number)),
            expires_at: at(5000),
            secret_sha256: [number; 32],
            reattest_at: at(9000),
            renewed_at: None,
            revoked_at: None,
            renewal: None,
            svid_key: Some(vec![0x30, number, 0]),
        },
        node: NodeUpdate {
            ek_hash: ek.to_owned(),
            ak_name: format!("ak of {ek}").into_bytes(),
            spiffe_id,
            cluster: "lab".to_owned(),
            boot: Some(boot(7)),
            judged_against: None,
            seen_at: at(1000 + i64::from(number)),
        },
        first_uses: Vec::new(),
    }
}

pub(crate) fn boot(reset_count: u32) -> BootState {
    // Numbers beyond what a signed 64-bit column shows.
    BootState {
        clock: u64::MAX,
        reset_count,
        restart_count: u32::MAX,
        safe: false,
        firmware_version: u64::MAX - 1,
    }
}

async fn a_login_is_found_again_to_the_letter(store: Arc<dyn Store>) {
    let record = login(1, "a");
    assert_eq!(store.commit_login(&record).await.unwrap(), Commit::Stored);
    assert_eq!(
        store.session(record.session.id).await.unwrap(),
        Some(record.session.clone())
    );
    assert_eq!(
        store.sessions(at(2000), 10).await.unwrap(),
        [record.session]
    );
    let node = store.node("a").await.unwrap().unwrap();
    assert_eq!(
        (node.ek_hash.as_str(), node.ak_name.as_slice()),
        ("a", b"ak of a".as_slice())
    );
    assert_eq!(
        (node.boot, node.first_seen, node.last_seen),
        (Some(boot(7)), at(1001), at(1001))
    );
    assert_eq!(store.nodes(10).await.unwrap(), [node]);
    assert_eq!(store.node("b").await.unwrap(), None);
    assert_eq!(store.session(SessionId([9; 16])).await.unwrap(), None);
}

async fn a_second_login_updates_the_node_and_keeps_both_sessions(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    let mut second = login(2, "a");
    second.node.boot = None;
    assert_eq!(store.commit_login(&second).await.unwrap(), Commit::Stored);
    let node = store.node("a").await.unwrap().unwrap();
    assert_eq!(
        node.boot,
        Some(boot(7)),
        "what is known stays when nothing new was proven"
    );
    assert_eq!((node.first_seen, node.last_seen), (at(1001), at(1002)));
    let mut third = login(3, "a");
    third.node.ak_name = b"new".to_vec();
    third.node.boot = None;
    store.commit_login(&third).await.unwrap();
    let node = store.node("a").await.unwrap().unwrap();
    assert_eq!(
        (node.ak_name.as_slice(), node.boot),
        (b"new".as_slice(), Some(boot(7))),
        "counts belong to the TPM, and another AK erases none"
    );
    let ids: Vec<_> = store
        .sessions(at(0), 10)
        .await
        .unwrap()
        .iter()
        .map(|s| s.id.0[0])
        .collect();
    assert_eq!(ids, [3, 2, 1], "the newest first");
    assert_eq!(store.sessions(at(0), 2).await.unwrap().len(), 2);
}

async fn a_login_that_contradicts_what_is_stored_leaves_nothing(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    let before = store.node("a").await.unwrap();

    let mut taken = login(2, "b");
    taken.node.spiffe_id = "spiffe://example.org/node/a".to_owned();
    let commit = store.commit_login(&taken).await.unwrap();
    assert!(
        matches!(commit, Commit::Refused(Conflict::IdentityTaken { .. })),
        "{commit:?}"
    );

    let mut taken = login(2, "b");
    taken.node.ak_name = b"ak of a".to_vec();
    let commit = store.commit_login(&taken).await.unwrap();
    assert!(
        matches!(commit, Commit::Refused(Conflict::KeyTaken { .. })),
        "{commit:?}"
    );

    let mut back = login(2, "a");
    back.node.boot = Some(boot(6));
    let commit = store.commit_login(&back).await.unwrap();
    assert!(
        matches!(commit, Commit::Refused(Conflict::WentBack { .. })),
        "{commit:?}"
    );

    assert_eq!(store.node("a").await.unwrap(), before);
    assert_eq!(store.node("b").await.unwrap(), None);
    assert_eq!(store.sessions(at(0), 10).await.unwrap().len(), 1);
}

async fn a_session_id_that_exists_is_not_written_over(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    let mut again = login(1, "b");
    again.session.policy = "other".to_owned();
    assert!(store.commit_login(&again).await.is_err());
    let kept = store.session(SessionId([1; 16])).await.unwrap().unwrap();
    assert_eq!(kept.policy, "rack");
    assert_eq!(store.node("b").await.unwrap(), None, "both or neither");
}

async fn of_many_who_take_a_challenge_at_once_one_gets_it(store: Arc<dyn Store>) {
    for round in 0..8u8 {
        let takes: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
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

async fn of_many_nodes_that_take_an_identity_at_once_one_gets_it(store: Arc<dyn Store>) {
    let commits: Vec<_> = (0..8u8)
        .map(|number| {
            let store = store.clone();
            let mut record = login(number, &format!("ek{number}"));
            record.node.spiffe_id = "spiffe://example.org/one".to_owned();
            tokio::spawn(async move { store.commit_login(&record).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for commit in commits {
        stored += usize::from(commit.await.unwrap() == Commit::Stored);
    }
    assert_eq!(stored, 1);
    assert_eq!(store.nodes(100).await.unwrap().len(), 1);
    assert_eq!(store.sessions(at(0), 100).await.unwrap().len(), 1);
}

async fn of_many_logins_of_one_tpm_at_once_none_takes_its_counters_back(store: Arc<dyn Store>) {
    let commits: Vec<_> = (0..8u8)
        .map(|number| {
            let store = store.clone();
            let mut record = login(number, "a");
            record.node.boot = Some(boot(u32::from(number)));
            tokio::spawn(async move { store.commit_login(&record).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for commit in commits {
        stored += usize::from(commit.await.unwrap() == Commit::Stored);
    }
    let node = store.node("a").await.unwrap().unwrap();
    assert_eq!(node.boot, Some(boot(7)), "the latest is never refused");
    assert_eq!(store.sessions(at(0), 100).await.unwrap().len(), stored);
}

async fn of_many_logins_that_name_one_session_one_is_stored(store: Arc<dyn Store>) {
    let commits: Vec<_> = (0..8u8)
        .map(|number| {
            let store = store.clone();
            let record = login(1, &format!("ek{number}"));
            tokio::spawn(async move { store.commit_login(&record).await })
        })
        .collect();
    let mut stored = 0;
    for commit in commits {
        stored += usize::from(matches!(commit.await.unwrap(), Ok(Commit::Stored)));
    }
    assert_eq!(stored, 1);
    assert_eq!(store.nodes(100).await.unwrap().len(), 1, "both or neither");
}

async fn an_evicted_node_is_gone_with_its_sessions_and_frees_its_identity(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    store.commit_login(&login(2, "b")).await.unwrap();
    assert!(store.evict_node("a").await.unwrap());
    assert!(!store.evict_node("a").await.unwrap());
    assert_eq!(store.node("a").await.unwrap(), None);
    assert_eq!(store.session(SessionId([1; 16])).await.unwrap(), None);
    assert!(store.session(SessionId([2; 16])).await.unwrap().is_some());
    let mut heir = login(3, "c");
    heir.node.spiffe_id = "spiffe://example.org/node/a".to_owned();
    heir.node.ak_name = b"ak of a".to_vec();
    assert_eq!(store.commit_login(&heir).await.unwrap(), Commit::Stored);
}

async fn what_has_ended_is_purged_and_nothing_else(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    let mut long = login(2, "a");
    long.session.expires_at = at(9000);
    store.commit_login(&long).await.unwrap();
    assert!(store.take_challenge(&[1; 32], at(5000)).await.unwrap());
    assert!(store.take_challenge(&[2; 32], at(9000)).await.unwrap());
    assert!(
        store.sessions(at(5000), 10).await.unwrap().len() == 1,
        "an ended session is not listed"
    );
    assert_eq!(
        store.purge(at(5000)).await.unwrap(),
        0,
        "at its end a record is still there"
    );
    assert_eq!(store.purge(at(5001)).await.unwrap(), 2);
    assert!(store.session(SessionId([1; 16])).await.unwrap().is_none());
    assert!(store.session(SessionId([2; 16])).await.unwrap().is_some());
    assert!(!store.take_challenge(&[2; 32], at(9000)).await.unwrap());
    assert!(
        store.node("a").await.unwrap().is_some(),
        "a node outlives its sessions"
    );
}

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod memory {
            use super::{Arc, MemoryStore};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(Arc::new(MemoryStore::new())).await;
            })*
        }
        mod sqlite {
            use super::{Arc, SQLITE_FILE, SqliteStore, Store};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let dir = tempfile::tempdir().unwrap();
                let store = SqliteStore::open(&dir.path().join(SQLITE_FILE)).await.unwrap();
                super::$test(Arc::new(store.clone())).await;
                store.close().await;
            })*
        }
        mod postgres {
            use super::{Arc, Store};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let store = crate::postgres::database().store().await;
                super::$test(Arc::new(store.clone())).await;
                store.close().await;
            })*
        }
    };
}

pub(crate) use conformance;

conformance! {
    a_login_is_found_again_to_the_letter,
    a_second_login_updates_the_node_and_keeps_both_sessions,
    a_login_that_contradicts_what_is_stored_leaves_nothing,
    a_session_id_that_exists_is_not_written_over,
    of_many_who_take_a_challenge_at_once_one_gets_it,
    of_many_nodes_that_take_an_identity_at_once_one_gets_it,
    of_many_logins_of_one_tpm_at_once_none_takes_its_counters_back,
    of_many_logins_that_name_one_session_one_is_stored,
    an_evicted_node_is_gone_with_its_sessions_and_frees_its_identity,
    what_has_ended_is_purged_and_nothing_else,
}

#[tokio::test]
async fn what_was_stored_in_sqlite_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit_login(&login(1, "a")).await.unwrap();
    assert!(store.take_challenge(&[1; 32], at(5000)).await.unwrap());
    // No close: as after a crash.
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.sessions(at(0), 10).await.unwrap().len(), 1);
    assert!(!store.take_challenge(&[1; 32], at(5000)).await.unwrap());
}

#[tokio::test]
async fn a_purge_of_many_records_goes_in_steps_and_lets_logins_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = SqliteStore::open(&path).await.unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) \
        INSERT INTO answered_challenges SELECT randomblob(32), i FROM n";
    let made = std::process::Command::new("sqlite3")
        .arg(&path)
        .arg(rows)
        .status();
    assert!(made.expect("sqlite3 (Debian package sqlite3)").success());
    // The login waits behind the first step, not behind the last: it is stored while there is more to remove.
    let purge = tokio::spawn({
        let store = store.clone();
        async move { store.purge(at(11_001)).await }
    });
    let mut late = login(1, "a");
    late.session.expires_at = at(20_000);
    let commit = store.commit_login(&late).await.unwrap();
    assert_eq!(commit, Commit::Stored);
    assert_eq!(purge.await.unwrap().unwrap(), 11_000);
    assert_eq!(store.purge(at(11_001)).await.unwrap(), 0);
    assert!(store.session(SessionId([1; 16])).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert!(SqliteStore::open(&path).await.is_err());
}

#[tokio::test]
async fn a_sqlite_file_and_its_log_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit_login(&login(1, "a")).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file:?}");
    }
}
