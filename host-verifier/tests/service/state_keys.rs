//! The keys that seal logins between two messages: in every store, and over their changes.

use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::login::ChallengeKey;
use assay_host_verifier::login::resume::Saved;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::server::StateKeys;
use assay_host_verifier::server::state_keys::{KEEP, MOST, OpenError, ROTATE_EVERY, TEND_EVERY};
use assay_host_verifier::store::{
    MemoryStore, SQLITE_FILE, SqliteStore, StateKeyRecord, StateKeyStore, Store,
};

use crate::agent::Answer;
use crate::desk::{Desk, asked_of, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;
use crate::stores::{at, conformance};

fn record(family: u8, number: u64) -> StateKeyRecord {
    StateKeyRecord {
        family: [family; 32],
        number,
        sealed: vec![0, 0xff, family],
        made_at: at(1000 - i64::try_from(number).unwrap()),
    }
}

async fn keys_are_found_again_by_number_and_by_family(store: Arc<dyn Store>) {
    assert_eq!(store.state_keys(&[1; 32]).await.unwrap(), []);
    for key in [record(1, 2), record(2, 1), record(1, 1)] {
        assert!(store.add_state_key(&key).await.unwrap());
    }
    let family = store.state_keys(&[1; 32]).await.unwrap();
    assert_eq!(family, [record(1, 1), record(1, 2)]);
    let other = StateKeyRecord {
        sealed: b"other".to_vec(),
        ..record(1, 2)
    };
    assert!(!store.add_state_key(&other).await.unwrap());
    assert_eq!(store.state_keys(&[1; 32]).await.unwrap(), family);
}

async fn only_the_older_keys_of_the_family_are_removed(store: Arc<dyn Store>) {
    for key in [record(1, 1), record(1, 2), record(1, 3), record(2, 1)] {
        assert!(store.add_state_key(&key).await.unwrap());
    }
    assert_eq!(store.remove_state_keys(&[1; 32], 3).await.unwrap(), 2);
    assert_eq!(store.remove_state_keys(&[1; 32], 3).await.unwrap(), 0);
    assert_eq!(store.state_keys(&[1; 32]).await.unwrap(), [record(1, 3)]);
    assert_eq!(store.state_keys(&[2; 32]).await.unwrap(), [record(2, 1)]);
}

async fn of_many_that_make_the_next_key_at_once_one_does(store: Arc<dyn Store>) {
    let makers: Vec<_> = (0..16)
        .map(|maker| {
            let store = store.clone();
            let key = StateKeyRecord {
                sealed: vec![maker],
                ..record(1, 7)
            };
            tokio::spawn(async move { store.add_state_key(&key).await.unwrap() })
        })
        .collect();
    let mut made = 0;
    for maker in makers {
        made += usize::from(maker.await.unwrap());
    }
    assert_eq!(made, 1);
    assert_eq!(store.state_keys(&[1; 32]).await.unwrap().len(), 1);
}

conformance! {
    keys_are_found_again_by_number_and_by_family,
    only_the_older_keys_of_the_family_are_removed,
    of_many_that_make_the_next_key_at_once_one_does,
}

/// Verifiers of one challenge key and one store, each with a clock of its own.
struct House {
    store: Arc<MemoryStore>,
    challenge: ChallengeKey,
}

impl House {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            challenge: ChallengeKey::generate().unwrap(),
        }
    }

    async fn replica(&self) -> (StateKeys, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        (self.with(&clock).await, clock)
    }

    async fn with(&self, clock: &Arc<ManualClock>) -> StateKeys {
        open(self.store.clone(), self.challenge.clone(), clock).await
    }

    async fn numbers(&self) -> Vec<u64> {
        let keys = self.store.state_keys(&self.challenge.family()).await;
        keys.unwrap().iter().map(|key| key.number).collect()
    }
}

pub(crate) async fn open(
    store: Arc<dyn Store>,
    challenge: ChallengeKey,
    clock: &Arc<ManualClock>,
) -> StateKeys {
    let random = Arc::new(SystemRandom);
    StateKeys::open(store, challenge, clock.clone(), random)
        .await
        .unwrap()
}

/// A state that was reached.
async fn saved() -> Saved {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let logins = assay_host_verifier::server::RequestLogins::default();
    let hello = desk.agent().hello();
    let blobs = assay_host_verifier::blobs::Blobs::default();
    let reply = logins.turn(&desk.server, "test", &[], &blobs, &hello).await;
    let opened = desk.server.state_keys.open_state(&reply.state).await;
    opened.unwrap()
}

async fn opens(keys: &StateKeys, state: &[u8]) -> bool {
    match keys.open_state(state).await {
        Ok(_) => true,
        Err(OpenError::Foreign) => false,
        Err(error) => panic!("{error}"),
    }
}

/// A state of a key that is nowhere, which uses up the reading that this second has.
async fn distract(keys: &StateKeys) {
    assert!(!opens(keys, &[0x7f; 100]).await);
}

#[tokio::test]
async fn neither_the_challenge_key_nor_the_database_alone_opens_a_state() {
    let house = House::new();
    let (keys, clock) = house.replica().await;
    let state = keys.seal(&saved().await).unwrap();
    assert!(opens(&house.with(&clock).await, &state).await);
    // Whoever copied the challenge key and nothing else.
    let copied = open(
        Arc::new(MemoryStore::new()),
        house.challenge.clone(),
        &clock,
    )
    .await;
    assert!(!opens(&copied, &state).await);
    // Whoever reads the database: the records are there for the taking, under the family's name or another.
    let other = ChallengeKey::generate().unwrap();
    let read = Arc::new(MemoryStore::new());
    for record in house
        .store
        .state_keys(&house.challenge.family())
        .await
        .unwrap()
    {
        let family = other.family();
        let taken = StateKeyRecord { family, ..record };
        read.add_state_key(&taken).await.unwrap();
        assert!(
            other
                .unwrap_state_key(taken.number, &taken.sealed)
                .is_none()
        );
    }
    assert!(!opens(&open(read, other, &clock).await, &state).await);
}

#[tokio::test]
async fn replicas_take_each_others_states_at_any_moment_of_a_change_without_asking_the_store() {
    let house = House::new();
    let saved = saved().await;
    let (one, first) = house.replica().await;
    let (other, second) = house.replica().await;
    let mut before: Option<[Vec<u8>; 2]> = None;
    for step in 0..400 {
        for clock in [&first, &second] {
            clock.advance(TEND_EVERY);
        }
        // They look after the keys at different times; one of them now and then not for a while.
        if step % 2 == 0 {
            one.tend().await.unwrap();
        }
        if step % 7 == 3 {
            other.tend().await.unwrap();
        }
        let states = [one.seal(&saved).unwrap(), other.seal(&saved).unwrap()];
        for keys in [&one, &other] {
            distract(keys).await;
            for state in states.iter().chain(before.iter().flatten()) {
                assert!(opens(keys, state).await, "step {step}");
            }
        }
        before = Some(states);
    }
    assert!(*house.numbers().await.last().unwrap() >= 5, "keys changed");
}

#[tokio::test]
async fn keys_change_by_the_hour_and_the_old_ones_are_forgotten() {
    let house = House::new();
    let (keys, clock) = house.replica().await;
    assert_eq!(house.numbers().await, [1, 2]);
    let old = keys.seal(&saved().await).unwrap();
    clock.advance(ROTATE_EVERY - Duration::from_secs(1));
    keys.tend().await.unwrap();
    assert_eq!(house.numbers().await, [1, 2]);
    clock.advance(Duration::from_secs(1));
    keys.tend().await.unwrap();
    assert_eq!(house.numbers().await, [1, 2, 3]);
    // What was sealed just before is accepted for as long as a login may take, and no longer.
    assert!(opens(&keys, &old).await);
    assert_ne!(keys.seal(&saved().await).unwrap()[..8], old[..8]);
    clock.advance(KEEP - Duration::from_secs(1));
    keys.tend().await.unwrap();
    assert!(opens(&keys, &old).await);
    clock.advance(Duration::from_secs(1));
    keys.tend().await.unwrap();
    assert_eq!(house.numbers().await, [2, 3]);
    assert!(!opens(&keys, &old).await);
    assert!(!opens(&house.with(&clock).await, &old).await);
}

#[tokio::test]
async fn what_an_old_backup_holds_seals_no_more_after_a_start() {
    let house = House::new();
    let (keys, clock) = house.replica().await;
    let old = keys.seal(&saved().await).unwrap();
    drop(keys);
    clock.advance(24 * ROTATE_EVERY);
    let keys = house.with(&clock).await;
    let new = keys.seal(&saved().await).unwrap();
    assert_eq!(old[..8], 1u64.to_be_bytes());
    assert_eq!(new[..8], 3u64.to_be_bytes(), "neither 1 nor 2");
}

#[tokio::test]
async fn a_calendar_that_was_set_back_does_not_stop_the_change() {
    let house = House::new();
    let (keys, clock) = house.replica().await;
    let before = clock.now().wall;
    clock.set_wall(before.checked_sub(24 * ROTATE_EVERY).unwrap());
    keys.tend().await.unwrap();
    assert_eq!(house.numbers().await.last(), Some(&4));
    keys.tend().await.unwrap();
    assert_eq!(house.numbers().await.last(), Some(&4), "once is enough");
}

#[tokio::test]
async fn a_verifier_that_never_lives_long_leaves_no_heap_of_keys() {
    let house = House::new();
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    for _ in 0..3 * MOST {
        house.with(&clock).await;
        clock.advance(ROTATE_EVERY);
    }
    assert_eq!(house.numbers().await.len() as u64, MOST);
}

#[tokio::test]
async fn a_state_of_a_newer_key_has_the_store_read_once_a_second() {
    let house = House::new();
    let saved = saved().await;
    let (late, late_clock) = house.replica().await;
    let (keys, clock) = house.replica().await;
    for _ in 0..2 {
        clock.advance(ROTATE_EVERY);
        keys.tend().await.unwrap();
    }
    let state = keys.seal(&saved).unwrap();
    distract(&late).await;
    // It learned of the keys of that time; those that are made now are for the next second.
    assert!(opens(&late, &state).await);
    for _ in 0..2 {
        clock.advance(ROTATE_EVERY);
        keys.tend().await.unwrap();
    }
    let state = keys.seal(&saved).unwrap();
    assert!(!opens(&late, &state).await);
    late_clock.advance(Duration::from_secs(1));
    assert!(opens(&late, &state).await);
}

#[tokio::test]
async fn a_login_goes_on_at_a_verifier_that_was_started_anew() {
    use assay_host_verifier::server::RequestLogins;
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let blobs = assay_host_verifier::blobs::Blobs::default();
    let mut agent = desk.agent();
    let mut message = agent.hello();
    let mut state = Vec::new();
    loop {
        let logins = RequestLogins::default();
        let reply = logins
            .turn(&desk.server, "test", &state, &blobs, &message)
            .await;
        match agent.hear(&reply.message) {
            Answer::Asked(asked) => message = agent.answer(&tpm, &asked_of(Answer::Asked(asked))),
            other => {
                granted(other);
                break;
            }
        }
        state = reply.state;
        // An hour and a start between any two messages would be too long for the login; a start alone is not.
        let challenge = desk.server.verifier.current().key.clone();
        desk.server.state_keys = open(desk.store.clone(), challenge, &desk.clock).await;
    }
    assert_eq!(desk.sessions().await, 1);
}
