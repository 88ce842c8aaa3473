//! Authorities over a simulated year, with restarts, clocks that are set wrong, and a store that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::store::{
    Authorities, AuthorityKind, AuthorityRecord, AuthorityStore, MemoryStore, StoreError,
};
use assay_host_verifier::svid::keys::KeyManager;
use assay_host_verifier::svid::rotation::State;
use assay_host_verifier::svid::{RotateError, Settings, VerifiedKey};
use jiff::Timestamp;

use super::{DAY, Folder, HOUR, Office, id, memory_keys, open_keys};

const MINUTE: Duration = Duration::from_secs(60);

fn settings() -> Settings {
    Settings::new("example.org")
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()))
}

async fn stored(store: &MemoryStore) -> Authorities {
    store.authorities("example.org").await.unwrap()
}

fn ids(authorities: &Authorities, kind: AuthorityKind) -> BTreeSet<String> {
    let records = authorities.records.iter().filter(|r| r.kind == kind);
    records.map(|record| record.id.clone()).collect()
}

/// What must hold at every moment: both kinds of SVID can be had, they end with their authority at the latest, whoever
/// verifies finds the authority, and nothing piles up.
async fn check(office: &Office, store: &MemoryStore, key: &VerifiedKey) {
    let now = office.now();
    let x509 = office.issue(key).await;
    let jwt = office
        .issuer
        .issue_jwt(&id(), &["x"], now, None)
        .await
        .unwrap();
    let all = stored(store).await;
    let find = |id: &str| all.records.iter().find(|record| record.id == id).unwrap();
    assert!(x509.not_after <= find(&x509.authority).not_after);
    assert!(jwt.expires_at <= find(&jwt.authority).not_after);
    assert!(x509.not_before >= find(&x509.authority).not_before);
    assert_eq!(office.issuer.bundle().sequence(), all.sequence);
    assert!(office.issuer.bundle().jwks().contains(&jwt.authority));
}

#[tokio::test]
async fn over_a_year_every_svid_can_be_verified_for_its_whole_life() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let keys = memory_keys();
    let office = Office::over(settings(), keys.clone(), None, store.clone(), clock.clone());
    let node = Folder::new().node("p256");
    // By authority, the last end of what it signed.
    let mut issued: BTreeMap<String, Timestamp> = BTreeMap::new();
    let (mut sequence, mut signers) = (0, BTreeSet::new());
    for step in 0..365 * 24 * 2 {
        office.rotate().await.unwrap();
        let now = office.now();
        let all = stored(&store).await;
        assert!(all.sequence >= sequence);
        sequence = all.sequence;
        let live = ids(&all, AuthorityKind::X509);
        assert!(all.records.len() <= 8, "{}", all.records.len());
        for (authority, until) in &issued {
            assert!(
                *until <= now || live.contains(authority),
                "{authority} at {now}"
            );
        }
        if step % 3 == 0 {
            check(&office, &store, &node).await;
            let svid = office.issue(&node).await;
            let begins = now.as_second() - svid.not_before.as_second();
            let lasts = svid.not_after.as_second() - now.as_second();
            assert_eq!((begins, lasts), (60, 3600), "a whole life at any time");
            issued.insert(svid.authority.clone(), svid.not_after);
            signers.insert(svid.authority);
        }
        clock.advance(30 * MINUTE);
    }
    // One every twelve hours, of either kind; keys go with them.
    assert!((728..=732).contains(&signers.len()), "{}", signers.len());
    assert!((2900..=2930).contains(&sequence), "{sequence}");
    let keys = keys.keys().await.unwrap();
    assert!(keys.len() <= 8, "{}", keys.len());
}

#[tokio::test]
async fn the_next_authority_is_in_the_bundle_for_a_third_of_a_life_before_it_signs() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let office = Office::over(
        settings(),
        memory_keys(),
        None,
        store.clone(),
        clock.clone(),
    );
    let node = Folder::new().node("p256");
    let mut shown: BTreeMap<String, Timestamp> = BTreeMap::new();
    for minute in 0..3 * 24 * 60 {
        office.rotate().await.unwrap();
        let now = office.now();
        for id in ids(&stored(&store).await, AuthorityKind::X509) {
            shown.entry(id).or_insert(now);
        }
        let signer = office.issue(&node).await.authority;
        let since = now.as_second() - shown[&signer].as_second();
        assert!(
            minute < 20 * 60 || since >= 8 * 3600 - 120,
            "{since} at {now}"
        );
        clock.advance(MINUTE);
    }
    assert!(shown.len() >= 6, "{}", shown.len());
}

#[tokio::test]
async fn states_in_the_store_follow_and_change_no_sequence() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let office = Office::over(
        settings(),
        memory_keys(),
        None,
        store.clone(),
        clock.clone(),
    );
    let states = |all: &Authorities| {
        let x509 = all.records.iter().filter(|r| r.kind == AuthorityKind::X509);
        x509.map(|record| record.state).collect::<Vec<_>>()
    };
    office.rotate().await.unwrap();
    assert_eq!(states(&stored(&store).await), [State::Active]);
    clock.advance(13 * HOUR);
    office.rotate().await.unwrap();
    let prepared = stored(&store).await;
    assert_eq!(states(&prepared), [State::Active, State::Prepared]);
    clock.advance(8 * HOUR);
    office.rotate().await.unwrap();
    let rotated = stored(&store).await;
    assert_eq!(states(&rotated), [State::Old, State::Active]);
    assert_eq!(
        rotated.sequence, prepared.sequence,
        "the bundle is the same"
    );
}

/// Issuing asks the time itself: a rotation that comes late, or not at all, does not matter until all has ended.
#[tokio::test]
async fn the_next_authority_signs_in_time_without_a_rotation() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let office = Office::over(
        settings(),
        memory_keys(),
        None,
        store.clone(),
        clock.clone(),
    );
    let node = Folder::new().node("p256");
    office.rotate().await.unwrap();
    let first = office.issue(&node).await.authority;
    clock.advance(13 * HOUR);
    office.rotate().await.unwrap();
    assert_eq!(office.issue(&node).await.authority, first);
    clock.advance(8 * HOUR);
    let second = office.issue(&node).await;
    assert_ne!(second.authority, first);
    clock.advance(15 * HOUR + 30 * MINUTE);
    let last = office.issue(&node).await;
    assert_eq!(last.authority, second.authority);
    let all = stored(&store).await;
    let authority = all.records.iter().find(|r| r.id == last.authority).unwrap();
    assert_eq!(
        last.not_after, authority.not_after,
        "no longer than its authority"
    );
    clock.advance(HOUR);
    assert!(!office.issuer.ready(office.now()));
}

#[tokio::test]
async fn a_restart_in_any_phase_goes_on_with_the_same_authorities() {
    let folder = Folder::new();
    let node = folder.node("p256");
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let open = || {
        let keys = open_keys(&folder.path("keys")).unwrap();
        Office::over(
            settings(),
            Arc::new(keys),
            None,
            store.clone(),
            clock.clone(),
        )
    };
    // Without restarts, on a store and keys of its own, for comparison.
    let twin_store = Arc::new(MemoryStore::new());
    let twin = Office::over(
        settings(),
        memory_keys(),
        None,
        twin_store.clone(),
        clock.clone(),
    );
    for _ in 0..12 * 32 {
        let office = open();
        office.rotate().await.unwrap();
        twin.rotate().await.unwrap();
        check(&office, &store, &node).await;
        let (all, expected) = (stored(&store).await, stored(&twin_store).await);
        let shape = |all: &Authorities| {
            let each = |r: &AuthorityRecord| (r.kind, r.state, r.not_before, r.not_after);
            all.records.iter().map(each).collect::<Vec<_>>()
        };
        // A process that ends within the hour removes nothing; all else is the same.
        let ended = |all: Vec<(_, _, _, Timestamp)>| {
            let now = office.now();
            all.into_iter()
                .filter(|one| one.3 > now)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ended(shape(&all)),
            ended(shape(&expected)),
            "at {}",
            office.now()
        );
        let replicas: BTreeSet<_> = all.records.iter().map(|r| &r.replica).collect();
        assert_eq!(replicas.len(), 1, "the same verifier");
        assert!(all.records.len() <= 32 + 8, "{}", all.records.len());
        drop(office);
        clock.advance(45 * MINUTE);
    }
    // One that runs for longer clears up after the others.
    let office = open();
    office.rotate().await.unwrap();
    let began = office.now();
    clock.advance(HOUR);
    office.rotate().await.unwrap();
    let all = stored(&store).await;
    assert!(
        all.records.iter().all(|r| r.not_after >= began),
        "{}",
        all.records.len()
    );
    let files = std::fs::read_dir(folder.path("keys")).unwrap();
    let keys = files.filter(|f| f.as_ref().unwrap().path().extension().is_some());
    assert_eq!(
        keys.count(),
        all.records.len(),
        "no key without an authority"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_and_forth_costs_no_authority() {
    let node = Folder::new().node("p256");
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let office = Office::over(
        settings(),
        memory_keys(),
        None,
        store.clone(),
        clock.clone(),
    );
    let begin = office.now();
    office.rotate().await.unwrap();
    clock.advance(13 * HOUR);
    office.rotate().await.unwrap();
    let first = office.issue(&node).await.authority;
    clock.advance(8 * HOUR);
    office.rotate().await.unwrap();
    let second = office.issue(&node).await.authority;
    assert_ne!(first, second);
    let before = stored(&store).await;

    // Back by four hours: the one of that time signs again, nothing is made and nothing lost.
    clock.set_wall(begin + 17 * HOUR);
    office.rotate().await.unwrap();
    assert_eq!(office.issue(&node).await.authority, first);
    assert_eq!(ids(&stored(&store).await, AuthorityKind::X509).len(), 2);
    assert_eq!(stored(&store).await.sequence, before.sequence);

    // To before anything was made: there must be one for that time too.
    clock.set_wall(begin - 48 * HOUR);
    office.rotate().await.unwrap();
    check(&office, &store, &node).await;
    assert_eq!(ids(&stored(&store).await, AuthorityKind::X509).len(), 3);

    // A year ahead, for less than an hour: all that was is still there.
    clock.set_wall(begin + 365 * DAY);
    for _ in 0..50 {
        office.rotate().await.unwrap();
        check(&office, &store, &node).await;
        clock.advance(MINUTE);
    }
    clock.set_wall(begin + 21 * HOUR);
    office.rotate().await.unwrap();
    assert_eq!(office.issue(&node).await.authority, second);
    let after = stored(&store).await;
    for authority in &before.records {
        assert!(after.records.iter().any(|r| r.id == authority.id));
    }

    // And many times over: no more of them than there are times to sign at.
    for turn in 0..500u32 {
        let ahead = [0, 6, 400, 2][turn as usize % 4];
        clock.set_wall(begin + ahead * DAY + 21 * HOUR);
        office.rotate().await.unwrap();
        office.issue(&node).await;
    }
    assert!(stored(&store).await.records.len() <= 14);
}

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
