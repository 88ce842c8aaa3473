//! Verifiers that start over and over without their keys: what they leave in the store, and what becomes of it.

use std::path::Path;
use std::sync::Arc;

use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::{AuthorityStore, MemoryStore};
use assay_host_verifier::svid::issuer::MAX_OF_REPLICA;
use assay_host_verifier::svid::keys::MemoryKeys;
use assay_host_verifier::svid::{RotateError, Settings};
use jiff::Timestamp;

use super::{Folder, Office, memory_keys};
use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;

/// A verifier of this directory, started anew: it has its name and no keys.
fn start(dir: &Path, store: &Arc<MemoryStore>, clock: &Arc<ManualClock>) -> Office {
    let keys = Arc::new(MemoryKeys::named(dir, &SystemRandom).unwrap());
    let settings = Settings::new("example.org");
    Office::over(settings, keys, None, store.clone(), clock.clone())
}

async fn ids(store: &MemoryStore) -> Vec<String> {
    let all = store.authorities("example.org").await.unwrap();
    all.records.into_iter().map(|record| record.id).collect()
}

#[tokio::test]
async fn what_never_signed_is_withdrawn_at_the_next_start_and_nothing_else_is() {
    let (store, dir) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    // Another verifier, whose authorities are not touched, whatever their state.
    let settings = Settings::new("example.org");
    let other = Office::over(settings, memory_keys(), None, store.clone(), clock.clone());
    other.issuer.prepare(clock.now()).await.unwrap();
    let others = ids(&store).await;
    for _ in 0..100 {
        let office = start(dir.path(), &store, &clock);
        office.issuer.prepare(clock.now()).await.unwrap();
        assert!(office.issuer.ready(clock.now().wall));
    }
    let now = ids(&store).await;
    assert_eq!(now.len(), 4, "one of each kind, and the other verifier's");
    assert!(others.iter().all(|id| now.contains(id)));

    // One that came to serve: what it signed is verified after its end.
    let office = start(dir.path(), &store, &clock);
    office.issuer.prepare(clock.now()).await.unwrap();
    office.rotate().await.unwrap();
    let node = Folder::new().node("p256");
    let svid = office.issue(&node).await;
    drop(office);
    let office = start(dir.path(), &store, &clock);
    office.issuer.prepare(clock.now()).await.unwrap();
    assert!(ids(&store).await.contains(&svid.authority));
    assert_ne!(office.issue(&node).await.authority, svid.authority);
}

#[tokio::test]
async fn one_verifier_that_loses_its_keys_again_and_again_takes_no_others_place() {
    let (store, dir) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp::now()));
    for _ in 0..MAX_OF_REPLICA / 2 {
        let office = start(dir.path(), &store, &clock);
        office.rotate().await.unwrap();
    }
    let office = start(dir.path(), &store, &clock);
    let refused = office.issuer.prepare(clock.now()).await;
    assert!(
        matches!(refused, Err(RotateError::TooManyOwn)),
        "{refused:?}"
    );
    assert!(
        refused
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("assay authority remove")
    );
    assert!(!office.issuer.ready(clock.now().wall));
    // Nobody else is held up.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = start(elsewhere.path(), &store, &clock);
    other.issuer.prepare(clock.now()).await.unwrap();
    // And it goes on when somebody makes room.
    for id in ids(&store).await.iter().take(4) {
        let removed = store.remove_authority("example.org", id, Timestamp::MAX);
        assert!(removed.await.unwrap());
    }
    office.issuer.prepare(clock.now()).await.unwrap();
}

#[test]
fn a_service_that_cannot_start_publishes_nothing_and_an_operator_can_remove_what_is_left() {
    let site = Site::with(&[&FakeTpm::new()], "keyManager: memory\n");
    let trail = site.path("data/audit.jsonl");
    std::fs::create_dir_all(&trail).unwrap();
    for _ in 0..3 {
        let output = site.refused();
        assert!(text(&output.stderr).contains("audit.jsonl"), "{output:?}");
    }
    assert_eq!(site.json(&["authority", "list"]), serde_json::json!([]));
    std::fs::remove_dir(&trail).unwrap();

    let daemon = site.serve();
    let all = site.json(&["authority", "list"]);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    daemon.terminate();
    let id = all[0]["id"].as_str().unwrap();
    let table = site.assay(&["authority", "list"]);
    assert!(text(&table.stdout).contains(id), "{table:?}");
    assert_eq!(site.json(&["authority", "remove", id])["removed"], id);
    let again = site.assay(&["authority", "remove", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("hint: "), "{again:?}");
    assert_eq!(
        site.json(&["authority", "list"]).as_array().unwrap().len(),
        1
    );
}
