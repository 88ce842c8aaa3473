//! A store that fails, other verifiers that are mistaken, keys without authorities, another key type.

use std::sync::Arc;

use assay_host_verifier::clock::Clock;
use assay_host_verifier::store::{
    Authorities, AuthorityKind, AuthorityRecord, AuthorityStore, MemoryStore, StoreError,
};
use assay_host_verifier::svid::keys::KeyManager;
use assay_host_verifier::svid::rotation::State;
use assay_host_verifier::svid::{RotateError, Settings};
use jiff::Timestamp;

use super::{MINUTE, check, clock, ids, settings, stored};
use crate::svid::{DAY, Folder, HOUR, Office, id, memory_keys};

/// A verifier whose calendar is wrong for long removes what has not ended; the one it belongs to publishes it again.
#[tokio::test]
async fn what_another_verifier_removes_wrongly_is_published_again() {
    let node = Folder::new().node("p256");
    let store = Arc::new(MemoryStore::new());
    let (right, wrong) = (clock(), clock());
    let office = Office::over(settings(), memory_keys(), None, store.clone(), right);
    let mistaken = Office::over(
        settings(),
        memory_keys(),
        None,
        store.clone(),
        wrong.clone(),
    );
    office.rotate().await.unwrap();
    let authority = office.issue(&node).await.authority;
    wrong.advance(30 * DAY);
    mistaken.rotate().await.unwrap();
    wrong.advance(59 * MINUTE);
    mistaken.rotate().await.unwrap();
    let known = ids(&stored(&store).await, AuthorityKind::X509);
    assert!(known.contains(&authority), "not before an hour has passed");
    wrong.advance(MINUTE);
    mistaken.rotate().await.unwrap();
    let known = ids(&stored(&store).await, AuthorityKind::X509);
    assert!(!known.contains(&authority));
    office.rotate().await.unwrap();
    let known = ids(&stored(&store).await, AuthorityKind::X509);
    assert!(known.contains(&authority));
    assert_eq!(office.issue(&node).await.authority, authority);
}

/// A store that refuses to publish, or says nothing of having published.
#[derive(Debug, Default)]
struct Moody {
    inner: MemoryStore,
    mood: std::sync::Mutex<Mood>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Mood {
    #[default]
    Good,
    Gone,
    Publishes,
    Silent,
}

impl Moody {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

#[async_trait::async_trait]
impl AuthorityStore for Moody {
    async fn publish_authority(&self, record: &AuthorityRecord) -> Result<bool, StoreError> {
        match self.mood() {
            Mood::Good => self.inner.publish_authority(record).await,
            Mood::Gone | Mood::Publishes => Err(StoreError::TimedOut),
            Mood::Silent => {
                self.inner.publish_authority(record).await?;
                Err(StoreError::TimedOut)
            }
        }
    }

    async fn set_authority_state(
        &self,
        trust_domain: &str,
        id: &str,
        state: State,
    ) -> Result<bool, StoreError> {
        self.inner
            .set_authority_state(trust_domain, id, state)
            .await
    }

    async fn remove_authority(
        &self,
        trust_domain: &str,
        id: &str,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.remove_authority(trust_domain, id, before).await
    }

    async fn authorities(&self, trust_domain: &str) -> Result<Authorities, StoreError> {
        match self.mood() {
            Mood::Gone => Err(StoreError::TimedOut),
            _ => self.inner.authorities(trust_domain).await,
        }
    }
}

#[tokio::test]
async fn nothing_is_signed_with_an_authority_that_nobody_was_told_of() {
    let node = Folder::new().node("p256");
    let (store, clock, keys) = (Arc::new(Moody::default()), clock(), memory_keys());
    let office = Office::over(settings(), keys.clone(), None, store.clone(), clock.clone());
    store.set(Mood::Publishes);
    for _ in 0..30 {
        assert!(matches!(office.rotate().await, Err(RotateError::Store(_))));
        assert!(!office.issuer.ready(office.now()));
        clock.advance(MINUTE);
    }
    assert_eq!(
        keys.keys().await.unwrap().len(),
        2,
        "the keys wait, no more are made"
    );
    store.set(Mood::Good);
    office.rotate().await.unwrap();
    check(&office, &store.inner, &node).await;
    assert_eq!(keys.keys().await.unwrap().len(), 2);

    // With the store gone for a while, the next one waits, and the old one signs.
    let first = office.issue(&node).await.authority;
    store.set(Mood::Gone);
    clock.advance(21 * HOUR);
    assert!(matches!(office.rotate().await, Err(RotateError::Store(_))));
    assert_eq!(office.issue(&node).await.authority, first);
    store.set(Mood::Good);
    office.rotate().await.unwrap();
    check(&office, &store.inner, &node).await;
}

#[tokio::test]
async fn an_authority_whose_publication_was_not_answered_is_found_and_used() {
    let node = Folder::new().node("p256");
    let (store, clock, keys) = (Arc::new(Moody::default()), clock(), memory_keys());
    let office = Office::over(settings(), keys.clone(), None, store.clone(), clock.clone());
    store.set(Mood::Silent);
    assert!(office.rotate().await.is_err());
    assert!(!office.issuer.ready(office.now()));
    store.set(Mood::Good);
    office.rotate().await.unwrap();
    check(&office, &store.inner, &node).await;
    assert_eq!(
        stored(&store.inner).await.records.len(),
        2,
        "none was made twice"
    );
    assert_eq!(keys.keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_whose_authority_is_unknown_is_kept_for_an_hour_and_then_destroyed() {
    let (store, clock, keys) = (Arc::new(MemoryStore::new()), clock(), memory_keys());
    let orphan = keys.create(Default::default()).await.unwrap();
    let office = Office::over(settings(), keys.clone(), None, store, clock.clone());
    let there = || async {
        let keys = keys.keys().await.unwrap();
        keys.iter().any(|key| key.id() == orphan.id())
    };
    office.rotate().await.unwrap();
    clock.advance(59 * MINUTE);
    office.rotate().await.unwrap();
    assert!(there().await);
    clock.advance(MINUTE);
    office.rotate().await.unwrap();
    assert!(!there().await);
    assert!(office.issuer.ready(office.clock.now().wall));
}

#[tokio::test]
async fn another_key_type_takes_over_and_the_old_authority_stays_in_the_bundle() {
    use assay_host_verifier::svid::keys::KeyType;
    let node = Folder::new().node("p256");
    let (store, clock, keys) = (Arc::new(MemoryStore::new()), clock(), memory_keys());
    let office = Office::over(settings(), keys.clone(), None, store.clone(), clock.clone());
    office.rotate().await.unwrap();
    let old = office.issue(&node).await.authority;
    let changed = Settings {
        x509_key: KeyType::EcP384,
        jwt_key: KeyType::EcP384,
        ..settings()
    };
    let office = Office::over(changed, keys, None, store.clone(), clock.clone());
    office.rotate().await.unwrap();
    assert_eq!(
        office.issue(&node).await.authority,
        old,
        "others do not know the new one yet"
    );
    clock.advance(10 * MINUTE);
    let new = office.issue(&node).await.authority;
    assert_ne!(new, old);
    let now = office.now();
    let token = office
        .issuer
        .issue_jwt(&id(), &["x"], now, None)
        .await
        .unwrap();
    let jwks = office.issuer.bundle();
    assert!(jwks.jwks().contains("ES384") && jwks.jwks().contains(&token.authority));
    assert_eq!(ids(&stored(&store).await, AuthorityKind::X509).len(), 2);
}
