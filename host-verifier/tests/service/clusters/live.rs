//! What is in force, and from when.

use std::sync::Arc;
use std::time::Duration;

use assay_common::protocol::DenyCode;
use assay_host_verifier::server::Clusters;
use assay_host_verifier::server::clusters::{Base, ConfigStatus, Live};
use assay_host_verifier::store::{ClusterConfigStore, SQLITE_FILE, SqliteStore, Store};
use assay_host_verifier::telemetry::health::{Component, State};

use super::{A, attestation, by, document, issuance};
use crate::agent::Answer;
use crate::config_versions::change;
use crate::desk::{Desk, ek_and_quote, ek_only, granted, tell};
use crate::fake_tpm::FakeTpm;
use crate::metrics::page::Page;

/// Long enough for a slow machine; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sets a document and waits until the desk serves it.
async fn set(desk: &Desk, text: String) {
    let clusters = &desk.server.clusters;
    clusters.set("lab", &[document(text)], &by()).await.unwrap();
    clusters
        .refresh(&desk.server.verifier, false)
        .await
        .unwrap();
}

/// Puts a text into the store as another release would.
async fn put(desk: &Desk, section: &str, text: &str) {
    let change = change(&[(section, Some(text))]);
    desk.store.change_config(&change).await.unwrap();
    let live = &desk.server.verifier;
    desk.server.clusters.refresh(live, false).await.unwrap();
}

async fn until(live: &Live, holds: impl FnMut(&ConfigStatus) -> bool) -> ConfigStatus {
    let mut status = live.watch_status();
    let waited = tokio::time::timeout(PATIENCE, status.wait_for(holds)).await;
    waited.expect("it never comes to be").unwrap().clone()
}

fn code(answer: &Answer) -> Option<DenyCode> {
    match answer {
        Answer::Denied(code, _) => Some(*code),
        _ => None,
    }
}

#[tokio::test]
async fn a_login_ends_under_the_configuration_that_it_began_with() {
    let (known, other) = (FakeTpm::new(), FakeTpm::new());
    let desk = Desk::new(&ek_and_quote(&[&known]));
    let (mut link, mut agent, asked) = desk.at_round_1(&known).await;
    set(&desk, attestation(&ek_only("other", &[&other]))).await;
    // Under the new one this node would be refused.
    let refused = desk.login(&known).await;
    assert_eq!(code(&refused), Some(DenyCode::REFUSED), "{refused:?}");
    granted(desk.login(&other).await);
    let proofs = agent.answer(&known, &asked);
    let opened = granted(tell(&mut link, &mut agent, &proofs).await);
    let id = assay_host_verifier::session::SessionId(opened.session_id);
    let session = desk.store.session(id).await.unwrap().unwrap();
    assert_eq!(session.policy, "rack");
}

#[tokio::test]
async fn the_spiffe_id_is_what_the_clusters_issuance_policy_says() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let hash = tpm.ek_hash();
    let id = granted(desk.login(&tpm).await).spiffe_id;
    assert_eq!(id, format!("spiffe://example.org/node/{hash}"));
    set(&desk, issuance("/fleet/{{tpm_ek.public_hash}}")).await;
    let id = granted(desk.login(&tpm).await).spiffe_id;
    assert_eq!(id, format!("spiffe://example.org/fleet/{hash}"));

    // The first override that fits, by the values of this node.
    let overrides = format!(
        "{}  policyOverrides:\n    - when: {{tpm_ek.public_hash: [\"{}\"]}}\n      policy: {{pathTemplate: \"/no/{{{{tpm_ek.public_hash}}}}\"}}\n    \
         - when: {{tpm_ek.public_hash: [\"{hash}\", other]}}\n      policy: {{pathTemplate: \"/one/{{{{tpm_ek.public_hash}}}}\"}}\n    \
         - when: {{tpm_ek.public_hash: \"{hash}\"}}\n      policy: {{pathTemplate: \"/two/{{{{tpm_ek.public_hash}}}}\"}}\n",
        issuance("/fleet/{{tpm_ek.public_hash}}"),
        "0".repeat(64),
    );
    set(&desk, overrides).await;
    let id = granted(desk.login(&tpm).await).spiffe_id;
    assert_eq!(id, format!("spiffe://example.org/one/{hash}"));

    let section = assay_host_verifier::policy::Section::SvidIssuancePolicy;
    let clusters = &desk.server.clusters;
    clusters.remove("lab", &[section], &by()).await.unwrap();
    clusters
        .refresh(&desk.server.verifier, false)
        .await
        .unwrap();
    let id = granted(desk.login(&tpm).await).spiffe_id;
    assert_eq!(id, format!("spiffe://example.org/node/{hash}"));
}

#[tokio::test]
async fn a_cluster_comes_and_goes_without_a_restart() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let clusters = &desk.server.clusters;
    let text = attestation(&ek_only("rack", &[&tpm]));
    clusters.set("new", &[document(text)], &by()).await.unwrap();
    clusters
        .refresh(&desk.server.verifier, false)
        .await
        .unwrap();
    let served = |name: &str| {
        let verifier = desk.server.verifier.current();
        verifier.clusters.get(name).map(|cluster| cluster.version)
    };
    assert_eq!((served("new"), served("lab")), (Some(1), Some(0)));
    clusters.remove("new", &[], &by()).await.unwrap();
    clusters
        .refresh(&desk.server.verifier, false)
        .await
        .unwrap();
    assert_eq!((served("new"), served("lab")), (None, Some(0)));
}

#[tokio::test]
async fn only_clusters_that_changed_are_built_anew() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    set(&desk, attestation(&ek_only("rack", &[&tpm]))).await;
    let policies = |name: &str| {
        desk.server.verifier.current().clusters[name]
            .policies
            .clone()
    };
    let before = policies("lab");
    let text = attestation(&ek_only("rack", &[&tpm]));
    let clusters = &desk.server.clusters;
    clusters.set("new", &[document(text)], &by()).await.unwrap();
    clusters.refresh(&desk.server.verifier, true).await.unwrap();
    assert!(Arc::ptr_eq(&before, &policies("lab")));
    policies("new");
}

/// A newer release has set something that this one cannot read.
#[tokio::test]
async fn a_document_that_cannot_be_used_leaves_the_cluster_as_it_was_and_is_told() {
    let (tpm, other) = (FakeTpm::new(), FakeTpm::new());
    let desk = Desk::new(&ek_only("base", &[&other]));
    set(&desk, attestation(&ek_only("rack", &[&tpm]))).await;
    let newer = attestation(&ek_only("rack", &[&other])).replace("tpm_ek", "tpm_ek2");
    for (section, text, told) in [
        (
            A,
            newer.as_str(),
            "lab/AgentAttestation@2:7:13: unknown attestor type `tpm_ek2`",
        ),
        (
            "NextSection",
            "section: NextSection\n",
            "this version does not know section `NextSection`",
        ),
    ] {
        if section == "NextSection" {
            set(&desk, attestation(&ek_only("rack", &[&tpm]))).await;
        }
        put(&desk, section, text).await;
        let status = desk.server.verifier.status();
        let [problem] = status.problems.as_slice() else {
            panic!("{status:?}")
        };
        assert!(problem.error.contains(told), "{problem:?}");
        assert!(problem.hint.is_some(), "{problem:?}");
        assert_eq!(problem.serving, Some(problem.version - 1), "{problem:?}");
        let State::Degraded(why) = status.health() else {
            panic!("{:?}", status.health())
        };
        assert!(why.contains("serving version"), "{why}");
        granted(desk.login(&tpm).await);
        assert!(desk.server.verifier.current().unusable.is_empty());
    }
    // A section that cannot be used is no reason to serve the others without it, also when these change.
    set(&desk, attestation(&ek_only("rack", &[&other]))).await;
    granted(desk.login(&tpm).await);
    assert_eq!(desk.server.verifier.status().problems[0].version, 5);
    // Removed, all is well.
    let remove = change(&[("NextSection", None)]);
    desk.store.change_config(&remove).await.unwrap();
    let live = &desk.server.verifier;
    desk.server.clusters.refresh(live, false).await.unwrap();
    assert!(live.status().problems.is_empty());
    granted(desk.login(&other).await);
}

/// What the service's own configuration says may be weaker than what was set.
#[tokio::test]
async fn at_the_start_a_document_that_cannot_be_used_leaves_its_cluster_unserved() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_only("base", &[&tpm]));
    let newer = attestation(&ek_only("rack", &[&tpm])).replace("tpm_ek", "tpm_ek2");
    put(&desk, A, &newer).await;
    let status = desk.server.verifier.status();
    assert_eq!(status.problems[0].serving, None, "{status:?}");
    assert!(matches!(status.health(), State::Degraded(why) if why.contains("not served")));
    let answer = desk.login(&tpm).await;
    assert_eq!(code(&answer), Some(DenyCode::MISCONFIGURED), "{answer:?}");
    let told = desk.last_denial();
    assert!(
        told.contains("version 1 of its configuration cannot be used"),
        "{told}"
    );
    set(&desk, attestation(&ek_only("rack", &[&tpm]))).await;
    granted(desk.login(&tpm).await);
}

/// The file that a document names was not on this replica yet.
#[tokio::test]
async fn what_could_not_be_used_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let pem = crate::vendor::Vendor::new("vendor").pem();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let desk = Desk::new(&ek_only("base", &[&FakeTpm::new()]));
    let clusters = Clusters::new(
        Base::new(std::collections::BTreeMap::new(), Some(files.clone())),
        desk.store.clone(),
    );
    let live = &desk.server.verifier;
    let naming = attestation(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {manufacturerCAs: [ca.pem]}\n",
    );
    let change = change(&[(A, Some(&naming))]);
    desk.store.change_config(&change).await.unwrap();
    clusters.refresh(live, true).await.unwrap();
    assert!(
        live.status().problems[0]
            .error
            .contains("there is no file \"ca.pem\"")
    );
    std::fs::write(files.join("ca.pem"), &pem).unwrap();
    clusters.refresh(live, false).await.unwrap();
    assert_eq!(live.status().problems.len(), 1, "not at every question");
    clusters.refresh(live, true).await.unwrap();
    assert!(live.status().problems.is_empty());
    assert!(live.current().clusters.contains_key("lab"));
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_everything_in_force() {
    let tpm = FakeTpm::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let desk = Desk::new(&ek_only("base", &[&FakeTpm::new()]));
    let clusters = Clusters::new(Base::default(), store.clone());
    let live = &desk.server.verifier;
    let text = attestation(&ek_only("rack", &[&tpm]));
    clusters.set("lab", &[document(text)], &by()).await.unwrap();
    clusters.refresh(live, false).await.unwrap();
    store.close().await;
    clusters.refresh(live, false).await.unwrap_err();
    let status = live.status();
    assert!(status.store_error.is_some(), "{status:?}");
    assert!(matches!(status.health(), State::Degraded(_)));
    granted(desk.login(&tpm).await);
    let back = Clusters::new(
        Base::default(),
        Arc::new(SqliteStore::open(&path).await.unwrap()),
    );
    back.refresh(live, false).await.unwrap();
    assert_eq!(live.status().store_error, None);
    assert_eq!(live.status().health(), State::Ok);
}

/// Its generation is behind what was served.
#[tokio::test]
async fn a_store_that_was_restored_from_a_backup_is_served_as_it_is() {
    let (then, now) = (FakeTpm::new(), FakeTpm::new());
    let desk = Desk::new(&ek_only("base", &[&FakeTpm::new()]));
    set(&desk, attestation(&ek_only("rack", &[&then]))).await;
    set(&desk, issuance("/n/{{tpm_ek.public_hash}}")).await;
    let backup = Desk::new(&ek_only("base", &[&now]));
    set(&backup, issuance("/m/{{tpm_ek.public_hash}}")).await;
    let live = &desk.server.verifier;
    backup.server.clusters.refresh(live, false).await.unwrap();
    assert_eq!(live.status().generation, Some(1));
    assert!(matches!(desk.login(&then).await, Answer::Denied(..)));
    let id = granted(desk.login(&now).await).spiffe_id;
    assert!(id.contains("/m/"), "{id}");
}

/// Without anybody asking for it, as the service runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_the_store_serves_what_another_replica_sets() {
    let tpm = FakeTpm::new();
    let database = crate::postgres::database();
    let (here, there) = (database.store().await, database.store().await);
    let desk = Desk::new(&ek_only("base", &[&FakeTpm::new()]));
    let follower = Clusters::new(Base::default(), Arc::new(here));
    let live = desk.server.verifier.clone();
    let task = tokio::spawn(async move { follower.follow(&live).await });
    let live = &desk.server.verifier;
    until(live, |status| status.generation == Some(0)).await;
    let other = Clusters::new(Base::default(), Arc::new(there));
    let text = attestation(&ek_only("rack", &[&tpm]));
    other.set("lab", &[document(text)], &by()).await.unwrap();
    until(live, |status| status.generation == Some(1)).await;
    granted(desk.login(&tpm).await);
    // A document and a template set together are seen together: in each of these states they are of one kind.
    for digit in ['a', 'b', 'a', 'b'] {
        let both = [
            document(attestation(&ek_only(&digit.to_string(), &[&tpm]))),
            document(issuance(&format!("/{digit}/{{{{tpm_ek.public_hash}}}}"))),
        ];
        other.set("lab", &both, &by()).await.unwrap();
        live.wake();
        let cluster = live.current().clusters["lab"].clone();
        let policy = cluster.policies.policies()[0].name().to_owned();
        if let Some(issuance) = &cluster.issuance {
            assert!(issuance.base.text.starts_with(&format!("/{policy}/")));
        }
    }
    until(live, |status| status.generation == Some(5)).await;
    assert_eq!(live.current().clusters["lab"].version, 5);
    task.abort();
}

/// As the service runs it, from the store to what a probe and a scraper see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_tell_of_a_document_that_cannot_be_used() {
    let desk = Desk::new(&ek_only("base", &[&FakeTpm::new()]));
    let server = desk.server.clone();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(async move { server.serve(Vec::new(), stopped).await });
    // What is told follows the status; asked until it has.
    let told = async |holds: &dyn Fn(&State) -> bool| {
        let began = std::time::Instant::now();
        while !holds(&desk.server.health.state(Component::Config)) {
            assert!(began.elapsed() < PATIENCE, "it is never told");
            tokio::task::yield_now().await;
        }
    };
    told(&|state| *state == State::Ok).await;
    let value = |name: &str| {
        let page = Page::read(&desk.server.metrics.render());
        page.value(name, &[]).unwrap()
    };
    assert_eq!(value("assay_config_errors_total"), 0.0);
    let newer = change(&[("NextSection", Some("section: NextSection\n"))]);
    desk.store.change_config(&newer).await.unwrap();
    told(&|state| matches!(state, State::Degraded(why) if why.contains("NextSection"))).await;
    assert_eq!(value("assay_config_errors_total"), 1.0);
    assert_eq!(value("assay_config_generation"), 1.0);
    assert!(
        !desk
            .server
            .health
            .ready()
            .not_ready
            .iter()
            .any(|why| why.starts_with("config"))
    );
    let removed = change(&[("NextSection", None)]);
    desk.store.change_config(&removed).await.unwrap();
    told(&|state| *state == State::Ok).await;
    assert_eq!(value("assay_config_errors_total"), 1.0);
    stop.send(true).unwrap();
    serving.await.unwrap().unwrap();
}
