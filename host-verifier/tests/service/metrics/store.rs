//! Every call of the store is counted, under the operation that it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::server::Counted;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{
    ApiTokens, AuthorityStore, Ban, ClusterConfigStore, Lifecycle, MemoryStore, Paging, Role, Store,
};
use assay_host_verifier::telemetry::Metrics;
use assay_host_verifier::telemetry::metrics::{StoreOperation, names};
use jiff::Timestamp;

use super::page::Page;
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;

const DOMAIN: &str = "example.org";

/// Successful calls by operation; those without any are left out.
fn counts(metrics: &Metrics) -> BTreeMap<&'static str, f64> {
    let page = Page::read(&metrics.render());
    let count = |operation: &'static str| {
        let labels = [("operation", operation), ("outcome", "success")];
        page.value(names::STORE_CALLS, &labels).unwrap()
    };
    let all = StoreOperation::ALL.iter().map(|name| (*name, count(name)));
    all.filter(|(_, count)| *count > 0.0).collect()
}

#[tokio::test]
async fn each_call_of_the_store_counts_once_under_its_operation() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let metrics = Metrics::new(clock.clone());
    let store = Counted::new(Arc::new(MemoryStore::new()), metrics.clone());
    let now = clock.now().wall;
    let (ek, id) = ("ab".repeat(32), SessionId([7; 16]));

    store.node(&ek).await.unwrap();
    store.evict_node(&ek).await.unwrap();
    let ban = Ban::new(&ek, now, "test", "stolen").unwrap();
    assert!(store.ban(&ban).await.unwrap());
    assert!(store.unban(&ek).await.unwrap());
    store.session(id).await.unwrap();
    store.revoke_session(id, now).await.unwrap();
    store.nodes(1).await.unwrap();
    store.sessions(now, 1).await.unwrap();
    store.kept_sessions(1).await.unwrap();
    store.bans(1).await.unwrap();
    store.session_page(now, None, 1).await.unwrap();
    store.node_page("", 1).await.unwrap();
    store.api_tokens("", 1).await.unwrap();
    store.purge(Timestamp::MIN).await.unwrap();
    assert!(store.take_challenge(&[1; 32], now).await.unwrap());
    let issued = assay_host_verifier::api::auth::ApiToken::issue(
        &SystemRandom,
        now,
        "test",
        Role::Viewer,
        None,
        "test",
    );
    let (token, record) = issued.unwrap();
    assert!(store.add_api_token(&record).await.unwrap());
    assert!(store.api_token(&token.sha256()).await.unwrap().is_some());
    assert!(store.revoke_api_token(&record.id).await.unwrap().is_some());
    store.config_generation().await.unwrap();
    store.config_in_force(0).await.unwrap();
    store.config_at("lab", None).await.unwrap();
    let history = store.config_history("lab", None, None, 1).await;
    history.unwrap();
    store.config_clusters(None, 1).await.unwrap();
    store.authorities(DOMAIN).await.unwrap();
    store.remove_authority(DOMAIN, "x", now).await.unwrap();
    // Counted by whoever asks, with how long it may take.
    store.probe(&[9; 32], now).await.unwrap();
    let expected = [
        ("node", 4.0),
        ("session", 2.0),
        ("list", 7.0),
        ("purge", 1.0),
        ("take_challenge", 1.0),
        ("token", 3.0),
        ("config", 5.0),
        ("authority", 2.0),
    ];
    assert_eq!(counts(&metrics), expected.into());
    let page = Page::read(&metrics.render());
    let samples = format!("{}_count", names::STORE_DURATION);
    let of = [("operation", "list")];
    assert_eq!(page.value(&samples, &of), Some(7.0), "and timed");
}

#[tokio::test]
async fn what_a_login_asks_of_the_store_is_counted() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    granted(desk.login(&tpm).await);
    let counts = counts(&desk.server.metrics);
    let of = |operation| counts.get(operation).copied();
    assert_eq!(of("take_challenge"), Some(2.0), "{counts:?}");
    assert_eq!((of("commit_login"), of("probe")), (Some(1.0), None));
}
