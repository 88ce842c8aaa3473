//! Instances that are bound to the key that logged in first: one suite for every store.

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::store::{
    Commit, Conflict, FirstUse, LoginRecord, MemoryStore, SQLITE_FILE, SqliteStore, Store,
};

use crate::stores::{at, conformance, login};

fn sha256(key: &[u8]) -> [u8; 32] {
    assay_host_verifier::crypto::sha256(&[key])
}

fn first(method: AttestorKind, instance: u8, key: u8) -> FirstUse {
    FirstUse {
        method,
        identity: [instance; 32],
        key: [key; 32],
        held: true,
        binds: true,
    }
}

/// A login of a node, of an EC2 instance, with a key.
fn with(number: u8, node: &str, instance: u8, key: u8) -> LoginRecord {
    LoginRecord {
        first_uses: vec![first(AttestorKind::AWS_IID, instance, key)],
        ..login(number, node)
    }
}

async fn the_first_key_is_the_instances(store: Arc<dyn Store>) {
    let stored = store.commit_login(&with(1, "a", 1, 7)).await.unwrap();
    assert_eq!(stored, Commit::Stored);
    // The same key may come again, another may not, by whatever identity; nothing of its login is stored.
    let again = store.commit_login(&with(2, "a", 1, 7)).await.unwrap();
    assert_eq!(again, Commit::Stored);
    let refused = Commit::Refused(Conflict::BoundElsewhere {
        method: AttestorKind::AWS_IID,
        node: "a".to_owned(),
        since: at(1001),
    });
    let taken = store.commit_login(&with(3, "a", 1, 8)).await.unwrap();
    assert_eq!(taken, refused);
    let taken = store.commit_login(&with(4, "b", 1, 8)).await.unwrap();
    assert_eq!(taken, refused);
    assert_eq!(store.node("b").await.unwrap(), None);
    assert_eq!(store.sessions(at(2000), 10).await.unwrap().len(), 2);
}

/// Two instances with one SPIFFE ID are one node to the store: one of them is unbound, with its own sessions.
async fn an_instance_is_unbound_alone(store: Arc<dyn Store>) {
    let of = |number: u8, instance: u8, key: &[u8]| {
        let mut record = with(number, "a", instance, 0);
        record.first_uses[0].key = sha256(key);
        record.session.svid_key = Some(key.to_vec());
        record
    };
    for (number, instance, key) in [(1, 1, b"one"), (2, 2, b"two"), (3, 1, b"one")] {
        let stored = store.commit_login(&of(number, instance, key)).await;
        assert_eq!(stored.unwrap(), Commit::Stored);
    }
    let method = AttestorKind::AWS_IID;
    let bound = store.bound(method, &[1; 32]).await.unwrap().unwrap();
    assert_eq!((bound.node.as_str(), bound.key), ("a", sha256(b"one")));
    // Neither another method's of the same name, nor one that is not bound.
    let gcp = AttestorKind::GCP_IIT;
    assert_eq!(store.unbind(gcp, &[1; 32]).await.unwrap(), None);
    assert_eq!(store.unbind(method, &[9; 32]).await.unwrap(), None);
    assert_eq!(store.kept_sessions(10).await.unwrap().len(), 3);
    let unbound = store.unbind(method, &[1; 32]).await.unwrap();
    assert_eq!(unbound, Some(bound));
    assert_eq!(store.bound(method, &[1; 32]).await.unwrap(), None);
    assert_eq!(store.unbind(method, &[1; 32]).await.unwrap(), None);
    let left = store.kept_sessions(10).await.unwrap();
    let left: Vec<_> = left.iter().map(|session| &session.svid_key).collect();
    assert_eq!(left, [&Some(b"two".to_vec())]);
    assert!(store.node("a").await.unwrap().is_some());
    // The other one is bound as it was; this one takes another key.
    let taken = store.commit_login(&of(4, 2, b"six")).await.unwrap();
    assert!(
        matches!(taken, Commit::Refused(Conflict::BoundElsewhere { .. })),
        "{taken:?}"
    );
    let anew = store.commit_login(&of(5, 1, b"six")).await.unwrap();
    assert_eq!(anew, Commit::Stored);
}

/// As another policy, without `tofu`, or another cluster has it.
async fn a_binding_holds_for_logins_that_bind_nothing(store: Arc<dyn Store>) {
    let passing = |number, node, key| {
        let mut record = with(number, node, 1, key);
        record.first_uses[0].binds = false;
        record
    };
    let stored = store.commit_login(&passing(1, "a", 7)).await.unwrap();
    assert_eq!(stored, Commit::Stored);
    // It has bound nothing.
    let bound = store.commit_login(&with(2, "b", 1, 8)).await.unwrap();
    assert_eq!(bound, Commit::Stored);
    let result = store.commit_login(&passing(3, "a", 7)).await.unwrap();
    assert!(
        matches!(&result, Commit::Refused(Conflict::BoundElsewhere { node, .. }) if node == "b"),
        "{result:?}"
    );
    let own = store.commit_login(&passing(4, "b", 8)).await.unwrap();
    assert_eq!(own, Commit::Stored);
}

/// A request for the bound key's certificate is good to show again; a login that shows no more than that is somebody's copy.
async fn a_bound_key_must_be_held(store: Arc<dyn Store>) {
    store.commit_login(&with(1, "a", 1, 7)).await.unwrap();
    for binds in [true, false] {
        let mut copy = with(2, "a", 1, 7);
        copy.first_uses[0].held = false;
        copy.first_uses[0].binds = binds;
        let result = store.commit_login(&copy).await.unwrap();
        assert!(
            matches!(&result, Commit::Refused(Conflict::KeyNotShown { method }) if *method == AttestorKind::AWS_IID),
            "{result:?}"
        );
    }
    assert_eq!(store.sessions(at(2000), 10).await.unwrap().len(), 1);
}

async fn an_instance_is_its_methods(store: Arc<dyn Store>) {
    store.commit_login(&with(1, "a", 1, 7)).await.unwrap();
    let mut other = login(2, "b");
    other.first_uses = vec![
        first(AttestorKind::GCP_IIT, 1, 8),
        first(AttestorKind::AWS_IID, 2, 8),
    ];
    let stored = store.commit_login(&other).await.unwrap();
    assert_eq!(stored, Commit::Stored);
}

async fn of_several_one_that_is_taken_is_enough(store: Arc<dyn Store>) {
    store.commit_login(&with(1, "a", 1, 7)).await.unwrap();
    let mut other = login(2, "b");
    other.first_uses = vec![
        first(AttestorKind::AWS_IID, 9, 8),
        first(AttestorKind::AWS_IID, 1, 8),
    ];
    let result = store.commit_login(&other).await.unwrap();
    assert!(
        matches!(result, Commit::Refused(Conflict::BoundElsewhere { .. })),
        "{result:?}"
    );
    // The free one was not bound on the way.
    let stored = store.commit_login(&with(3, "c", 9, 5)).await.unwrap();
    assert_eq!(stored, Commit::Stored);
}

async fn an_instance_goes_with_its_node(store: Arc<dyn Store>) {
    store.commit_login(&with(1, "a", 1, 7)).await.unwrap();
    // It is another node now, by another path template, with the same key.
    let moved = store.commit_login(&with(2, "b", 1, 7)).await.unwrap();
    assert_eq!(moved, Commit::Stored);
    assert!(store.evict_node("a").await.unwrap());
    let result = store.commit_login(&with(3, "c", 1, 8)).await.unwrap();
    assert!(
        matches!(&result, Commit::Refused(Conflict::BoundElsewhere { node, .. }) if node == "b"),
        "{result:?}"
    );
    assert!(store.evict_node("b").await.unwrap());
    let free = store.commit_login(&with(4, "c", 1, 8)).await.unwrap();
    assert_eq!(free, Commit::Stored);
}

async fn of_many_first_logins_at_once_one_key_wins(store: Arc<dyn Store>) {
    let mut logins = tokio::task::JoinSet::new();
    for key in 1..=16u8 {
        let store = store.clone();
        let record = with(key, &format!("node {key}"), 1, key);
        logins.spawn(async move { store.commit_login(&record).await });
    }
    let results = logins.join_all().await;
    let stored = results.iter().filter(|r| matches!(r, Ok(Commit::Stored)));
    assert_eq!(stored.count(), 1, "{results:?}");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(store.nodes(100).await.unwrap().len(), 1);
}

conformance! {
    the_first_key_is_the_instances,
    a_binding_holds_for_logins_that_bind_nothing,
    a_bound_key_must_be_held,
    an_instance_is_unbound_alone,
    an_instance_is_its_methods,
    of_several_one_that_is_taken_is_enough,
    an_instance_goes_with_its_node,
    of_many_first_logins_at_once_one_key_wins,
}
