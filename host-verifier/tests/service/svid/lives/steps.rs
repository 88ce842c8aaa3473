//! A calendar that steps, back and on, at any moment of a rotation: before it, between it and what is signed, between two
//! verifiers, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::store::{AuthorityKind, AuthorityRecord, AuthorityStore, MemoryStore};
use assay_host_verifier::svid::rotation::State;
use assay_host_verifier::svid::{IssueError, Settings};
use jiff::{SignedDuration, Timestamp};

use crate::svid::{Folder, HOUR, Office, id, memory_keys};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3600;

/// Every record that was ever seen, whatever was removed since.
type Seen = BTreeMap<String, AuthorityRecord>;

async fn look(store: &MemoryStore, seen: &mut Seen) -> Vec<AuthorityRecord> {
    let all = store.authorities("example.org").await.unwrap().records;
    seen.extend(all.iter().map(|record| (record.id.clone(), record.clone())));
    all
}

/// Of each kind a verifier calls one authority active in the store: the one that it signs with now.
fn one_is_active(all: &[AuthorityRecord], now: Timestamp) {
    for kind in [AuthorityKind::X509, AuthorityKind::Jwt] {
        let of_kind = all.iter().filter(|record| record.kind == kind);
        let mut active: BTreeMap<&str, Vec<&AuthorityRecord>> = BTreeMap::new();
        for record in of_kind.filter(|record| record.state == State::Active) {
            active.entry(&record.replica).or_default().push(record);
        }
        for (replica, active) in active {
            assert_eq!(active.len(), 1, "{replica} at {now}: {active:#?}");
        }
    }
}

/// What is signed at this moment lies within its authority's life, or nothing is signed.
async fn nothing_outlives_its_issuer(office: &Office, seen: &Seen) -> bool {
    let node = node();
    let now = office.now();
    let x509 = office.issuer.issue_x509(&id(), node, now, None).await;
    let jwt = office.issuer.issue_jwt(&id(), &["x"], now, None).await;
    match (x509, jwt) {
        (Ok(x509), Ok(jwt)) => {
            let authority = &seen[&x509.authority];
            assert!(authority.not_before <= now && now < authority.not_after);
            assert!(x509.not_after <= authority.not_after, "at {now}");
            assert!(x509.not_before >= authority.not_before, "at {now}");
            let authority = &seen[&jwt.authority];
            assert!(authority.not_before <= now && now < authority.not_after);
            assert!(jwt.expires_at <= authority.not_after, "at {now}");
            true
        }
        (Err(IssueError::NoAuthority), Err(IssueError::NoAuthority)) => {
            assert!(!office.issuer.ready(now));
            false
        }
        other => panic!("{other:?} at {now}"),
    }
}

/// One key for all, since openssl makes it.
fn node() -> &'static assay_host_verifier::svid::VerifiedKey {
    static NODE: std::sync::OnceLock<assay_host_verifier::svid::VerifiedKey> =
        std::sync::OnceLock::new();
    NODE.get_or_init(|| Folder::new().node("p256"))
}

#[tokio::test]
async fn whatever_the_calendar_does_around_rotations_nothing_outlives_its_issuer() {
    let (mut signed, mut refused, mut steps) = (0, 0, 0);
    for seed in 1..=24u64 {
        let mut state = seed;
        let mut random = |below: i64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(state >> 33).unwrap() % below
        };
        let store = Arc::new(MemoryStore::new());
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        // Two verifiers, whose calendars step by themselves.
        let clocks = [(); 2].map(|()| Arc::new(ManualClock::at(begin)));
        let offices = clocks.clone().map(|clock| {
            let settings = Settings::new("example.org");
            Office::over(settings, memory_keys(), None, store.clone(), clock)
        });
        let mut seen = Seen::new();
        for office in &offices {
            office.rotate().await.unwrap();
        }
        for _ in 0..150 {
            let which = usize::try_from(random(2)).unwrap();
            let (office, clock) = (&offices[which], &clocks[which]);
            match random(4) {
                // Time goes on.
                0 | 1 => clock.advance(Duration::from_secs(random(3 * DAY).cast_unsigned())),
                // The calendar is set: by minutes, or by days, back or on.
                far => {
                    let most = if far == 2 { 90 * MINUTE } else { 3 * DAY };
                    let by = SignedDuration::from_secs(random(2 * most) - most);
                    clock.set_wall(office.now() + by);
                    steps += 1;
                }
            }
            // Before the rotation sees it, too.
            look(&store, &mut seen).await;
            match nothing_outlives_its_issuer(office, &seen).await {
                true => signed += 1,
                false => refused += 1,
            }
            office.rotate().await.unwrap();
            one_is_active(&look(&store, &mut seen).await, office.now());
            let could = nothing_outlives_its_issuer(office, &seen).await;
            assert!(could, "a rotation leaves one that signs");
        }
    }
    println!("{steps} steps: {signed} times signed before a rotation, {refused} times refused");
    assert!(
        steps > 1000 && signed > 500 && refused > 100,
        "{steps} {signed} {refused}"
    );
}

/// The moment that matters most: the next authority has just taken over.
#[tokio::test]
async fn a_step_over_the_moment_of_a_handover_and_back_leaves_one_that_signs() {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (store, clock) = (
        Arc::new(MemoryStore::new()),
        Arc::new(ManualClock::at(begin)),
    );
    let settings = Settings::new("example.org");
    let office = Office::over(settings, memory_keys(), None, store.clone(), clock.clone());
    let mut seen = Seen::new();
    office.rotate().await.unwrap();
    clock.advance(13 * HOUR);
    office.rotate().await.unwrap();
    let made = look(&store, &mut seen).await.len();
    let hands_over = office.issuer.terms(office.now()).x509.unwrap().hands_over;
    let mut signers = Vec::new();
    for seconds in [-1, 0, -3600, 3600, -1, 1, -60, 60, 0, -1] {
        clock.set_wall(hands_over + SignedDuration::from_secs(seconds));
        // Whoever signs is a matter of the time alone, whether a rotation has seen the step or not.
        let before = office.issue(node()).await.authority;
        office.rotate().await.unwrap();
        let svid = office.issue(node()).await;
        assert_eq!(before, svid.authority, "{seconds}");
        let all = look(&store, &mut seen).await;
        one_is_active(&all, office.now());
        let active = all
            .iter()
            .find(|r| r.kind == AuthorityKind::X509 && r.state == State::Active);
        assert_eq!(active.unwrap().id, svid.authority, "{seconds}");
        assert!(svid.not_after <= seen[&svid.authority].not_after);
        assert_eq!(all.len(), made, "{seconds}: nothing is made or lost");
        signers.push((seconds < 0, svid.authority));
    }
    let (mut first, mut second) = (signers.clone(), signers);
    first.retain(|(before, _)| *before);
    second.retain(|(before, _)| !*before);
    let same = |signers: &[(bool, String)]| signers.windows(2).all(|pair| pair[0] == pair[1]);
    assert!(same(&first) && same(&second) && first[0].1 != second[0].1);
}
