//! A simulated year, restarts, and calendars that are set wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_host_verifier::store::{Authorities, AuthorityKind, AuthorityRecord, MemoryStore};
use assay_host_verifier::svid::keys::KeyManager;
use assay_host_verifier::svid::rotation::State;
use jiff::Timestamp;

use super::{MINUTE, check, clock, ids, settings, stored};
use crate::svid::{DAY, Folder, HOUR, Office, memory_keys, open_keys};

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
