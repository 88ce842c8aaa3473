//! Authorities over their lives.

mod steps;
mod troubles;
mod years;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::store::{Authorities, AuthorityKind, AuthorityStore, MemoryStore};
use assay_host_verifier::svid::{Settings, VerifiedKey};

use crate::svid::{Office, id};

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
