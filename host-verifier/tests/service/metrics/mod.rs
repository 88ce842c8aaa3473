//! What is counted, and what never becomes a label.

pub(crate) mod page;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use assay_common::protocol::{AgentMessage, DenyCode, Hello};
use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::telemetry::Metrics;
use assay_host_verifier::telemetry::metrics::labels::{self, Authority};
use assay_host_verifier::telemetry::metrics::{Limit, LinkKind, ROUTES, StoreOperation, names};

use self::page::Page;
use crate::agent::{Answer, EK, QUOTE, encode};
use crate::desk::{Desk, ek_and_quote, ek_only, granted, say};
use crate::fake_tpm::FakeTpm;

fn read(desk: &Desk) -> Page {
    Page::read(&desk.server.metrics.render())
}

const PROOF: &str = names::SPIRL_PROOF;
const FAILURE: &str = names::SPIRE_NODE_FAILURE;

#[test]
fn every_metric_is_there_from_the_start_with_all_its_series_at_zero() {
    let metrics = Metrics::default();
    let page = Page::read(&metrics.render());
    // These are not there until there is something to expire.
    let later = [
        names::AUTHORITY_ROTATION,
        names::AUTHORITY_EXPIRY,
        names::TLS_EXPIRY,
        names::AWS_CERTIFICATE_EXPIRY,
    ];
    for metric in names::ALL {
        let there = page.metrics().contains(metric.name);
        assert_eq!(there, !later.contains(&metric.name), "{}", metric.name);
    }
    let known: BTreeSet<_> = names::ALL.iter().map(|m| m.name.to_owned()).collect();
    assert_eq!(page.metrics().difference(&known).next(), None);
    for (series, value) in page.all() {
        let fixed = series.starts_with("assay_build_info") || series.starts_with("process_start");
        assert_eq!(*value == 0.0, !fixed, "{series} {value}");
    }
    // An alert at 30 seconds needs a boundary there.
    for le in ["30", "60", "+Inf"] {
        let bucket = format!("{}_bucket", names::SPIRE_NODE_DURATION);
        assert_eq!(page.value(&bucket, &[("le", le)]), Some(0.0));
    }
    assert_eq!(page.value(names::SPIRE_WORKLOAD_FAILURE, &[]), Some(0.0));

    let (hands_over, ends) = ("2026-04-30T20:00:00Z", "2026-05-01T00:00:00Z");
    metrics.authority(
        Authority::X509,
        hands_over.parse().unwrap(),
        ends.parse().unwrap(),
    );
    metrics.tls_expires("2026-06-01T00:00:00Z".parse().unwrap());
    metrics.aws_certificate_expires("2029-04-28T00:00:00Z".parse().unwrap());
    let page = Page::read(&metrics.render());
    let x509 = |name| page.value(name, &[("authority", "x509")]);
    assert_eq!(x509(names::AUTHORITY_EXPIRY), Some(1_777_593_600.0));
    assert_eq!(x509(names::AUTHORITY_ROTATION), Some(1_777_579_200.0));
    assert_eq!(page.value(names::TLS_EXPIRY, &[]), Some(1_780_272_000.0));
    let aws = page.value(names::AWS_CERTIFICATE_EXPIRY, &[]);
    assert_eq!(aws, Some(1_872_028_800.0));
    assert_eq!(
        page.value(names::AUTHORITY_EXPIRY, &[("authority", "jwt")]),
        None
    );
}

#[tokio::test]
async fn a_login_counts_once_per_method_and_its_failure_by_reason_and_family() {
    let (tpm, stranger) = (FakeTpm::new(), FakeTpm::new());
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    granted(desk.login(&tpm).await);
    let page = read(&desk);
    for method in ["tpm_ek", "tpm_quote"] {
        let of = |outcome| page.value(PROOF, &[("attestor_type", method), ("outcome", outcome)]);
        assert_eq!(
            (of("success"), of("failed")),
            (Some(1.0), Some(0.0)),
            "{method}"
        );
    }
    assert_eq!(page.value(FAILURE, &[("attestor_type", "tpm")]), Some(0.0));
    assert_eq!(
        page.value(names::LOGINS, &[("outcome", "granted"), ("code", "none")]),
        Some(1.0)
    );
    assert_eq!(
        page.value(names::SESSIONS, &[("change", "granted")]),
        Some(1.0)
    );
    for operation in ["take_challenge", "node", "commit_login"] {
        let labels = [("operation", operation), ("outcome", "success")];
        assert!(
            page.value(names::STORE_CALLS, &labels) >= Some(1.0),
            "{operation}"
        );
    }

    assert!(matches!(desk.login(&stranger).await, Answer::Denied(..)));
    let page = read(&desk);
    let failed = page.value(PROOF, &[("attestor_type", "tpm_ek"), ("outcome", "failed")]);
    assert_eq!(failed, Some(1.0));
    assert_eq!(page.value(FAILURE, &[("attestor_type", "tpm")]), Some(1.0));
    assert_eq!(
        page.value(FAILURE, &[("attestor_type", "tpm_ek")]),
        None,
        "an alias beside it would count twice"
    );
    let reason = [("attestor_type", "tpm_ek"), ("reason", "refused")];
    assert_eq!(page.value(names::PROOF_FAILURES, &reason), Some(1.0));
    let denied = [("outcome", "denied"), ("code", "refused")];
    assert_eq!(page.value(names::LOGINS, &denied), Some(1.0));
    assert_eq!(
        page.value(names::AUDIT_RECORDS, &[("outcome", "success")]),
        Some(2.0)
    );
}

#[tokio::test]
async fn a_node_on_the_second_of_two_lists_is_no_failure() {
    let (tpm, other) = (FakeTpm::new(), FakeTpm::new());
    let lists = ek_only("one", &[&other]) + &ek_only("two", &[&tpm]);
    let desk = Desk::new(&lists);
    granted(desk.login(&tpm).await);
    let page = read(&desk);
    let of = |outcome| page.value(PROOF, &[("attestor_type", "tpm_ek"), ("outcome", outcome)]);
    assert_eq!((of("success"), of("failed")), (Some(1.0), Some(0.0)));
    assert_eq!(page.value(FAILURE, &[("attestor_type", "tpm")]), Some(0.0));
}

#[tokio::test]
async fn a_login_is_in_flight_while_its_challenge_is_out() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let in_flight = || read(&desk).value(names::LOGINS_IN_FLIGHT, &[]);
    assert_eq!(in_flight(), Some(0.0));
    let (link, ..) = desk.at_round_0().await;
    assert_eq!(in_flight(), Some(1.0));
    drop(link);
    assert_eq!(
        in_flight(),
        Some(0.0),
        "a link that is gone takes its login along"
    );
    let (mut link, ..) = desk.at_round_0().await;
    close(&mut link);
    assert_eq!(in_flight(), Some(0.0));
    let page = read(&desk);
    let abandoned = [("outcome", "abandoned"), ("code", "none")];
    assert_eq!(page.value(names::LOGINS, &abandoned), Some(1.0));
    // The proof that was never judged is neither a success nor a failure.
    let of = |outcome| page.value(PROOF, &[("attestor_type", "tpm_ek"), ("outcome", outcome)]);
    assert_eq!((of("success"), of("failed")), (Some(0.0), Some(0.0)));
}

fn close(link: &mut assay_host_verifier::server::LoginConversation) {
    use assay_host_verifier::transport::connection::Conversation;
    link.closed();
}

#[tokio::test]
async fn a_login_beyond_those_in_flight_is_counted_as_turned_away() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let turned_away = || read(&desk).value(names::RATE_LIMITED, &[("limit", "logins_in_flight")]);
    let mut held = Vec::new();
    for _ in 0..desk.server.permits.available_permits() {
        held.push(desk.at_round_0().await);
    }
    assert_eq!(turned_away(), Some(0.0));
    let answer = desk.login(&tpm).await;
    assert!(matches!(answer, Answer::Denied(DenyCode::OVERLOADED, _)));
    assert_eq!(turned_away(), Some(1.0));
}

#[tokio::test]
async fn the_duration_of_a_login_is_the_nodes_and_the_verifiers_part_of_it_is_its_own() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    // A chip that takes its time.
    desk.clock.advance(Duration::from_secs(100));
    let proofs = agent.answer(&tpm, &asked);
    let asked = crate::desk::asked_of(crate::desk::tell(&mut link, &mut agent, &proofs).await);
    let proofs = agent.answer(&tpm, &asked);
    granted(crate::desk::tell(&mut link, &mut agent, &proofs).await);
    let page = read(&desk);
    let sum = |name: &str| page.value(&format!("{name}_sum"), &[]);
    assert_eq!(sum(names::LOGIN_DURATION), Some(100.0));
    assert_eq!(sum(names::SPIRE_NODE_DURATION), Some(0.0));
}

/// GO-2026-5851.
#[tokio::test]
async fn nothing_that_anybody_sends_makes_a_series() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let before: BTreeSet<_> = read(&desk).all().keys().cloned().collect();
    let agent = desk.agent();
    let good = agent.hello_message();
    let clusters = [
        "lab",
        "other",
        "x\"} 1\nevil{a=\"b",
        "\u{7f}",
        "a\\",
        "spirl",
    ];
    for cluster in clusters {
        for methods in [
            vec![],
            vec![0],
            vec![200, 255, 18],
            (0..16).collect::<Vec<u8>>(),
        ] {
            let hello = Hello {
                cluster,
                methods: &methods,
                untrusted_board: "board{}\n",
                ..good.clone()
            };
            say(&mut desk.link(), &encode(&AgentMessage::Hello(hello))).await;
        }
    }
    let metrics = &desk.server.metrics;
    for (route, status) in [
        (Some("/v1/sessions/4711"), 404),
        (Some("/../../etc/passwd"), 400),
        (Some("/x\"} 1\n"), 999),
        (None, 200),
        (Some("/v1/nodes/{id}"), 200),
    ] {
        metrics.http_request(route, status, Duration::ZERO);
    }
    metrics.proof("evil", None);
    metrics.proof("tpm_ek", Some("evil"));
    metrics.component("evil", 2);
    metrics.login_ended(
        assay_host_verifier::telemetry::metrics::LoginEnd::Denied(DenyCode(250)),
        None,
        Duration::ZERO,
    );
    drop(metrics.link_opened(LinkKind::of("evil://\"}")));
    let page = read(&desk);
    let after: BTreeSet<_> = page.all().keys().cloned().collect();
    assert_eq!(
        after.difference(&before).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    // They were counted all the same.
    let other = |class| {
        page.value(
            names::HTTP_REQUESTS,
            &[("route", "other"), ("status", class)],
        )
    };
    assert_eq!(
        (other("4xx"), other("5xx"), other("2xx")),
        (Some(2.0), Some(1.0), Some(1.0))
    );
    let known = [("route", "/v1/nodes/{id}"), ("status", "2xx")];
    assert_eq!(page.value(names::HTTP_REQUESTS, &known), Some(1.0));
    let code = [("outcome", "denied"), ("code", "other")];
    assert_eq!(page.value(names::LOGINS, &code), Some(1.0));
    let unknown = [("outcome", "denied"), ("code", "unknown-cluster")];
    assert!(page.value(names::LOGINS, &unknown) > Some(0.0));
}

#[tokio::test]
async fn calls_that_fail_are_counted_as_such_and_by_their_time() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let metrics = Metrics::new(clock.clone());
    let slow = async {
        clock.advance(Duration::from_millis(40));
        Err::<(), _>("gone")
    };
    assert_eq!(metrics.store(StoreOperation::Node, slow).await, Err("gone"));
    assert_eq!(
        metrics.audit(async { Err::<(), _>("full") }).await,
        Err("full")
    );
    metrics.rate_limited(Limit::Peer);
    metrics.config_error();
    metrics.config_served(7);
    let page = Page::read(&metrics.render());
    let node = [("operation", "node"), ("outcome", "failed")];
    assert_eq!(page.value(names::STORE_CALLS, &node), Some(1.0));
    let bucket = format!("{}_bucket", names::STORE_DURATION);
    let under = |le| page.value(&bucket, &[("operation", "node"), ("le", le)]);
    assert_eq!((under("0.025"), under("0.05")), (Some(0.0), Some(1.0)));
    assert_eq!(
        page.value(names::AUDIT_RECORDS, &[("outcome", "failed")]),
        Some(1.0)
    );
    assert_eq!(
        page.value(names::RATE_LIMITED, &[("limit", "peer")]),
        Some(1.0)
    );
    assert_eq!(page.value(names::CONFIG_ERRORS, &[]), Some(1.0));
    assert_eq!(page.value(names::CONFIG_GENERATION, &[]), Some(7.0));
    assert_eq!(page.value(names::PROCESS_START, &[]), Some(1_767_225_600.0));
}

#[tokio::test]
async fn two_services_in_one_process_count_for_themselves() {
    let tpm = FakeTpm::new();
    let (one, other) = (
        Desk::new(&ek_only("rack", &[&tpm])),
        Desk::new(&ek_only("rack", &[&tpm])),
    );
    granted(one.login(&tpm).await);
    let logins =
        |desk| read(desk).value(names::LOGINS, &[("outcome", "granted"), ("code", "none")]);
    assert_eq!((logins(&one), logins(&other)), (Some(1.0), Some(0.0)));
}

#[test]
fn labels_are_short_and_plain() {
    let methods = [labels::method(EK), labels::method(QUOTE)];
    assert_eq!(methods.map(labels::spire_method), ["tpm", "tpm"]);
    assert_eq!(labels::spire_method("aws_iid"), "aws_iid");
    for route in ROUTES {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/{}.-_".contains(c);
        assert!(
            route.starts_with('/') && route.chars().all(plain),
            "{route}"
        );
    }
}
