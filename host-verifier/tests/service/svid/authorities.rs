//! Published authorities: one suite for every store.

use std::sync::Arc;

use assay_host_verifier::store::authorities::MAX_AUTHORITIES;
use assay_host_verifier::store::{
    AuthorityKind, AuthorityRecord, MemoryStore, SQLITE_FILE, SqliteStore, Store, StoreError,
};
use assay_host_verifier::svid::rotation::State;

use crate::stores::{at, conformance};

const DOMAIN: &str = "example.org";

fn record(id: &str, kind: AuthorityKind, not_before: i64) -> AuthorityRecord {
    AuthorityRecord {
        trust_domain: DOMAIN.to_owned(),
        id: id.to_owned(),
        kind,
        state: State::Prepared,
        replica: "a replica".to_owned(),
        public: vec![0x30, 0, 0xff],
        chain: Vec::new(),
        roots: vec![0x30, 0],
        not_before: at(not_before),
        not_after: at(not_before + 1000),
    }
}

fn x509(id: &str, not_before: i64) -> AuthorityRecord {
    record(id, AuthorityKind::X509, not_before)
}

async fn what_is_published_is_read_back_to_the_letter_and_in_order(store: Arc<dyn Store>) {
    let empty = store.authorities(DOMAIN).await.unwrap();
    assert_eq!((empty.sequence, empty.records.len()), (0, 0));
    let later = x509("b", 2000);
    let earlier = x509("c", 1000);
    let jwt = record("a", AuthorityKind::Jwt, 500);
    let foreign = AuthorityRecord {
        trust_domain: "example.com".to_owned(),
        ..x509("b", 1)
    };
    for one in [&later, &earlier, &jwt, &foreign] {
        assert!(store.publish_authority(one).await.unwrap());
    }
    let all = store.authorities(DOMAIN).await.unwrap();
    assert_eq!(all.sequence, 3);
    assert_eq!(all.records, [earlier, later, jwt]);
    let other = store.authorities("example.com").await.unwrap();
    assert_eq!((other.sequence, other.records), (1, vec![foreign]));
}

async fn a_name_that_is_taken_changes_nothing(store: Arc<dyn Store>) {
    assert!(store.publish_authority(&x509("a", 1000)).await.unwrap());
    let again = AuthorityRecord {
        public: b"other".to_vec(),
        ..x509("a", 2000)
    };
    assert!(!store.publish_authority(&again).await.unwrap());
    let all = store.authorities(DOMAIN).await.unwrap();
    assert_eq!((all.sequence, all.records), (1, vec![x509("a", 1000)]));
}

async fn a_state_is_noted_and_the_sequence_stays(store: Arc<dyn Store>) {
    store.publish_authority(&x509("a", 1000)).await.unwrap();
    let set = |id: &'static str, state| {
        let store = store.clone();
        async move { store.set_authority_state(DOMAIN, id, state).await.unwrap() }
    };
    for state in [State::Active, State::Old, State::Prepared, State::Active] {
        assert!(set("a", state).await);
        let all = store.authorities(DOMAIN).await.unwrap();
        assert_eq!((all.sequence, all.records[0].state), (1, state));
    }
    assert!(!set("b", State::Old).await);
    let elsewhere = store.set_authority_state("example.com", "a", State::Old);
    assert!(!elsewhere.await.unwrap());
}

async fn only_what_has_ended_can_be_removed_and_the_sequence_tells(store: Arc<dyn Store>) {
    store.publish_authority(&x509("a", 1000)).await.unwrap();
    store.publish_authority(&x509("b", 5000)).await.unwrap();
    let remove = |domain: &'static str, id: &'static str, before| {
        let store = store.clone();
        async move {
            store
                .remove_authority(domain, id, at(before))
                .await
                .unwrap()
        }
    };
    assert!(!remove(DOMAIN, "a", 2000).await, "it ends now");
    assert!(!remove(DOMAIN, "b", 2001).await);
    assert!(!remove("example.com", "a", 9000).await);
    assert_eq!(store.authorities(DOMAIN).await.unwrap().sequence, 2);
    assert!(remove(DOMAIN, "a", 2001).await);
    assert!(!remove(DOMAIN, "a", 2001).await);
    let all = store.authorities(DOMAIN).await.unwrap();
    assert_eq!((all.sequence, all.records), (3, vec![x509("b", 5000)]));
    assert!(remove(DOMAIN, "b", 9000).await);
    assert_eq!(store.authorities(DOMAIN).await.unwrap().sequence, 4);
    assert!(store.publish_authority(&x509("a", 1000)).await.unwrap());
    assert_eq!(store.authorities(DOMAIN).await.unwrap().sequence, 5);
}

async fn of_many_that_publish_at_once_each_has_a_number_of_its_own(store: Arc<dyn Store>) {
    let publishers: Vec<_> = (0..16)
        .map(|number| {
            let store = store.clone();
            // Each name twice.
            let record = x509(&format!("{}", number / 2), 1000);
            tokio::spawn(async move { store.publish_authority(&record).await.unwrap() })
        })
        .collect();
    let mut published = 0;
    for publisher in publishers {
        published += usize::from(publisher.await.unwrap());
    }
    let all = store.authorities(DOMAIN).await.unwrap();
    assert_eq!((published, all.records.len(), all.sequence), (8, 8, 8));
}

async fn there_is_a_limit_to_how_many_a_bundle_has(store: Arc<dyn Store>) {
    for number in 0..MAX_AUTHORITIES {
        let one = x509(&format!("{number}"), 1000);
        assert!(store.publish_authority(&one).await.unwrap());
    }
    let refused = store.publish_authority(&x509("more", 1000)).await;
    assert!(matches!(refused, Err(StoreError::TooManyAuthorities)));
    let again = store.publish_authority(&x509("7", 1000)).await;
    assert!(matches!(again, Ok(false)), "{again:?}");
    let all = store.authorities(DOMAIN).await.unwrap();
    assert_eq!(all.records.len(), MAX_AUTHORITIES);
    assert_eq!(all.sequence, MAX_AUTHORITIES as u64);
}

conformance! {
    what_is_published_is_read_back_to_the_letter_and_in_order,
    a_name_that_is_taken_changes_nothing,
    a_state_is_noted_and_the_sequence_stays,
    only_what_has_ended_can_be_removed_and_the_sequence_tells,
    of_many_that_publish_at_once_each_has_a_number_of_its_own,
    there_is_a_limit_to_how_many_a_bundle_has,
}
