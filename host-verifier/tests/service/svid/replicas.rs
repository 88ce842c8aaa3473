//! Two verifiers of one trust domain, on one store.

use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::store::{AuthorityKind, AuthorityStore, MemoryStore, Store};
use assay_host_verifier::svid::Settings;
use jiff::Timestamp;

use super::{DAY, Folder, HOUR, Office, memory_keys};

struct Pair {
    one: Office,
    other: Office,
    clock: Arc<ManualClock>,
    store: Arc<dyn AuthorityStore>,
}

impl Pair {
    fn on(one: Arc<dyn AuthorityStore>, other: Arc<dyn AuthorityStore>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::now()));
        let office = |store: &Arc<dyn AuthorityStore>| {
            let settings = Settings::new("example.org");
            Office::over(settings, memory_keys(), None, store.clone(), clock.clone())
        };
        Self {
            one: office(&one),
            other: office(&other),
            clock,
            store: one,
        }
    }

    async fn rotate(&self) {
        self.one.rotate().await.unwrap();
        self.other.rotate().await.unwrap();
        // What the second one published, the first one finds at its next turn.
        self.one.rotate().await.unwrap();
    }
}

async fn each_verifies_what_the_other_issues(pair: Pair) {
    let folder = Folder::new();
    let node = folder.node("p256");
    for _ in 0..10 {
        pair.rotate().await;
        assert_eq!(pair.one.issuer.bundle(), pair.other.issuer.bundle());
        for (issues, verifies) in [(&pair.one, &pair.other), (&pair.other, &pair.one)] {
            let svid = issues.issue(&node).await;
            folder.write_svid(&svid, verifies.issuer.bundle().pem());
            folder.verify(issues.now()).unwrap();
        }
        let (one, other) = (pair.one.issue(&node).await, pair.other.issue(&node).await);
        assert_ne!(one.authority, other.authority);
        pair.clock.advance(5 * HOUR);
    }
    let all = pair.store.authorities("example.org").await.unwrap();
    let replicas: std::collections::BTreeSet<_> =
        all.records.iter().map(|record| &record.replica).collect();
    assert_eq!(replicas.len(), 2);
}

#[tokio::test]
async fn in_memory_each_verifies_what_the_other_issues() {
    let store = Arc::new(MemoryStore::new());
    each_verifies_what_the_other_issues(Pair::on(store.clone(), store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_each_verifies_what_the_other_issues() {
    let database = crate::postgres::database();
    let (one, other) = (database.store().await, database.store().await);
    each_verifies_what_the_other_issues(Pair::on(Arc::new(one.clone()), Arc::new(other.clone())))
        .await;
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn the_authority_of_a_verifier_that_is_gone_stays_until_its_last_svid_has_ended() {
    let folder = Folder::new();
    let node = folder.node("p256");
    let store = Arc::new(MemoryStore::new());
    let pair = Pair::on(store.clone(), store.clone());
    pair.rotate().await;
    let svid = pair.other.issue(&node).await;
    let Pair {
        one, other, clock, ..
    } = pair;
    drop(other);
    let ends = |all: &assay_host_verifier::store::Authorities| {
        let gone = all.records.iter().find(|r| r.id == svid.authority);
        gone.map(|record| record.not_after)
    };
    let end = ends(&store.authorities("example.org").await.unwrap()).unwrap();
    assert!(end >= svid.not_after);
    while one.now() <= end {
        one.rotate().await.unwrap();
        assert!(ends(&store.authorities("example.org").await.unwrap()).is_some());
        clock.advance(Duration::from_secs(1800));
    }
    for _ in 0..4 {
        one.rotate().await.unwrap();
        clock.advance(Duration::from_secs(1800));
    }
    let all = store.authorities("example.org").await.unwrap();
    assert_eq!(ends(&all), None, "and then it goes");
    assert!(!one.issuer.bundle().pem().is_empty());
}

/// Both want to remove, both want to publish: the sequence counts every change once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_two_that_rotate_at_once_count_every_change_once() {
    let database = crate::postgres::database();
    let (one, other) = (database.store().await, database.store().await);
    let pair = Pair::on(Arc::new(one.clone()), Arc::new(other.clone()));
    let mut last = 0;
    for _ in 0..24 {
        let (first, second) = tokio::join!(pair.one.rotate(), pair.other.rotate());
        first.unwrap();
        second.unwrap();
        let all = one.authorities("example.org").await.unwrap();
        assert!(all.sequence >= last, "{} after {last}", all.sequence);
        last = all.sequence;
        pair.clock.advance(DAY / 8);
    }
    let count = |sql: &str| database.sql(sql).parse::<u64>().unwrap();
    let here = count("SELECT count(*) FROM svid_authorities");
    let x509 = one.authorities("example.org").await.unwrap();
    let x509 = x509
        .records
        .iter()
        .filter(|r| r.kind == AuthorityKind::X509);
    assert!(x509.count() >= 4);
    // Published = here + removed, and the sequence = published + removed.
    assert_eq!((last - here) % 2, 0, "{last} and {here}");
    one.close().await;
    other.close().await;
}
