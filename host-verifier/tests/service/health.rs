//! What `/live` and `/ready` say.

use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::audit::AuditError;
use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::telemetry::Health;
use assay_host_verifier::telemetry::health::{ClockWatch, Component, State, probe};
use serde_json::json;

use crate::metrics::page::Page;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn all_well(health: &Health) {
    for component in Component::ALL {
        health.report(component, State::Ok);
    }
}

#[test]
fn nothing_is_ready_that_has_not_said_so() {
    let health = Health::starting(clock());
    for (number, component) in Component::ALL.into_iter().enumerate() {
        let ready = health.ready();
        assert!(!ready.is_ok());
        assert_eq!(ready.not_ready.len(), Component::ALL.len() - number);
        assert!(health.live().is_ok());
        health.report(component, State::Ok);
    }
    assert!(health.ready().is_ok());
}

#[test]
fn the_answer_says_what_is_not_ready_why_and_since_when() {
    let clock = clock();
    let health = Health::starting(clock.clone());
    all_well(&health);
    clock.advance(Duration::from_secs(60));
    health.report(
        Component::Store,
        State::Failing("connection refused".to_owned()),
    );
    clock.advance(Duration::from_secs(60));
    // The same trouble in other words began when it began.
    health.report(
        Component::Store,
        State::Failing("no answer within 2000 ms".to_owned()),
    );
    health.report(Component::Clock, State::Degraded("set back".to_owned()));
    let ready = health.ready();
    assert!(!ready.is_ok());
    let answer = serde_json::to_value(&ready).unwrap();
    assert_eq!(answer["status"], "failing");
    assert_eq!(
        answer["notReady"],
        json!(["store: no answer within 2000 ms"])
    );
    let of = |name: &str| {
        let parts = answer["components"].as_array().unwrap();
        parts
            .iter()
            .find(|part| part["component"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        of("store"),
        json!({"component": "store", "status": "failing", "reason": "no answer within 2000 ms", "since": "2026-01-01T00:01:00Z"})
    );
    assert_eq!(of("clock")["status"], "degraded");
    assert_eq!(
        of("audit"),
        json!({"component": "audit", "status": "ok", "since": "2026-01-01T00:00:00Z"})
    );
    // A database that is away is no reason to be killed.
    assert!(health.live().is_ok());

    health.report(Component::Store, State::Ok);
    let ready = serde_json::to_value(health.ready()).unwrap();
    assert_eq!(ready["status"], "ok", "what is degraded still works");
    assert!(ready.get("notReady").is_none());
}

#[test]
fn a_part_is_as_well_as_the_worst_of_its_pieces() {
    let health = Health::starting(clock());
    all_well(&health);
    health.report_of(
        Component::Listeners,
        "/dev/ttyUSB0",
        State::Degraded("not there".to_owned()),
    );
    health.report_of(
        Component::Listeners,
        "tcp:127.0.0.1:1",
        State::Failing("in use".to_owned()),
    );
    let failing = State::Failing("tcp:127.0.0.1:1: in use".to_owned());
    assert_eq!(health.state(Component::Listeners), failing);
    health.report_of(Component::Listeners, "tcp:127.0.0.1:1", State::Ok);
    let degraded = State::Degraded("/dev/ttyUSB0: not there".to_owned());
    assert_eq!(health.state(Component::Listeners), degraded);
    assert!(health.ready().is_ok());
}

#[test]
fn only_what_a_restart_mends_is_a_reason_for_one() {
    let health = Health::starting(clock());
    all_well(&health);
    let full = AuditError::File {
        path: "audit.jsonl".to_owned(),
        reason: "no space left on device".to_owned(),
    };
    health.report(Component::Audit, full.health());
    assert!(health.live().is_ok() && !health.ready().is_ok());
    health.report(Component::Audit, AuditError::Full.health());
    assert!(health.live().is_ok() && health.ready().is_ok());
    health.report(Component::Audit, AuditError::Closed.health());
    assert!(!health.live().is_ok() && !health.ready().is_ok());
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up_in_time() {
    let hangs = std::future::pending::<Result<(), String>>();
    let said = probe(Duration::from_millis(1), hangs).await;
    assert_eq!(said, Err("no answer within 1 ms".to_owned()));
    let long = Duration::from_secs(3600);
    assert_eq!(probe(long, async { Ok::<_, String>(()) }).await, Ok(()));
    assert_eq!(
        probe(long, async { Err::<(), _>("gone") }).await,
        Err("gone".to_owned())
    );
}

#[test]
fn a_calendar_that_is_set_is_noticed_and_one_from_before_the_program_is_refused() {
    let clock = clock();
    let mut watch = ClockWatch::default();
    for _ in 0..3 {
        assert_eq!(watch.observe(clock.now()), State::Ok);
        clock.advance(Duration::from_secs(5));
    }
    clock.set_wall("2026-03-01T00:00:00Z".parse().unwrap());
    let state = watch.observe(clock.now());
    assert!(
        matches!(&state, State::Degraded(why) if why.contains("forward by 50975")),
        "{state:?}"
    );
    clock.advance(Duration::from_secs(599));
    assert!(matches!(watch.observe(clock.now()), State::Degraded(_)));
    clock.advance(Duration::from_secs(2));
    assert_eq!(watch.observe(clock.now()), State::Ok);
    clock.set_wall("1970-01-01T00:00:00Z".parse().unwrap());
    assert!(matches!(watch.observe(clock.now()), State::Failing(_)));
}

#[tokio::test]
async fn a_service_that_serves_looks_after_itself() {
    let tpm = crate::fake_tpm::FakeTpm::new();
    let desk = crate::desk::Desk::new(&crate::desk::ek_only("rack", &[&tpm]));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn({
        let server = desk.server.clone();
        async move { server.serve(Vec::new(), stopped).await }
    });
    let health = desk.server.health.clone();
    tokio::time::timeout(Duration::from_secs(20), async {
        while !health.ready().is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("ready");
    stop.send(true).unwrap();
    assert_eq!(serving.await.unwrap(), Ok(()));
    let page = Page::read(&desk.server.metrics.render());
    let probed = [("operation", "probe"), ("outcome", "success")];
    assert_eq!(page.value("assay_store_calls_total", &probed), Some(1.0));
}
