//! All series, made once.

use metrics::{Counter, Gauge, Histogram, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use super::family::{Family, counter, gauge, histogram};
use super::{
    Authority, Limit, LinkKind, Occasion, ROUTES, SessionChange, StoreOperation, labels, names,
};
use crate::cloud::Cloud;
use crate::telemetry::health::Component;

/// Buckets of a login, seconds: from a verifier's own work to chips that make RSA keys.
const LOGIN_BUCKETS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];
/// Buckets of a verifier's own work for a login, seconds.
const NODE_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0,
];
/// Buckets of a disk, a database and a request, seconds.
const CALL_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const OUTCOMES: [&str; 2] = ["success", "failed"];
const CALL_OUTCOMES: [&str; 4] = ["answered", "throttled", "denied", "failed"];

pub(super) struct Series {
    pub(super) proofs: Family<Family<Counter>>,
    pub(super) reasons: Family<Family<Counter>>,
    pub(super) spire_failures: Family<Counter>,
    pub(super) spire_duration: Histogram,
    pub(super) logins: Family<Family<Counter>>,
    pub(super) login_duration: Histogram,
    pub(super) in_flight: Gauge,
    pub(super) links: Family<Counter>,
    pub(super) links_open: Family<Gauge>,
    pub(super) sessions: Family<Counter>,
    pub(super) svids: Family<Family<Family<Counter>>>,
    pub(super) audit: Family<Counter>,
    pub(super) audit_duration: Histogram,
    pub(super) store: Family<Family<Counter>>,
    pub(super) store_duration: Family<Histogram>,
    pub(super) generation: Gauge,
    pub(super) config_errors: Counter,
    pub(super) http: Family<Family<Counter>>,
    pub(super) http_duration: Histogram,
    pub(super) limited: Family<Counter>,
    pub(super) components: Family<Gauge>,
    pub(super) cloud_calls: Family<Family<Counter>>,
    pub(super) cloud_answers: Family<Family<Counter>>,
}

/// A recorder with the buckets and help texts.
pub(super) fn recorder() -> PrometheusRecorder {
    let buckets = [
        (names::SPIRE_NODE_DURATION, NODE_BUCKETS),
        (names::LOGIN_DURATION, LOGIN_BUCKETS),
        (names::AUDIT_APPEND, CALL_BUCKETS),
        (names::STORE_DURATION, CALL_BUCKETS),
        (names::HTTP_DURATION, CALL_BUCKETS),
    ];
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in buckets {
        // Only an empty list is an error.
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
            .unwrap_or_default();
    }
    let recorder = builder.build_recorder();
    for metric in names::ALL {
        let (name, help) = (metric.name.into(), metric.help.into());
        match metric.kind {
            names::Kind::Counter => recorder.describe_counter(name, None, help),
            names::Kind::Gauge => recorder.describe_gauge(name, None, help),
            names::Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
    recorder
}

impl Series {
    pub(super) fn new(to: &PrometheusRecorder) -> Self {
        let by_outcome = |name, label: &'static str, value| {
            Family::new(OUTCOMES, move |outcome| {
                counter(to, name, &[(label, value), ("outcome", outcome)])
            })
        };
        let one = |name, label: &'static str| move |value| counter(to, name, &[(label, value)]);
        let spire = labels::methods().map(labels::spire_method);
        counter(to, names::SPIRE_WORKLOAD_FAILURE, &[]).absolute(0);
        gauge(
            to,
            names::BUILD_INFO,
            &[("version", env!("CARGO_PKG_VERSION"))],
        )
        .set(1.0);
        Self {
            proofs: Family::new(labels::methods(), |method| {
                by_outcome(names::SPIRL_PROOF, "attestor_type", method)
            }),
            reasons: Family::new(labels::methods(), |method| {
                Family::new(labels::REASONS.iter().copied(), |reason| {
                    let labels = [("attestor_type", method), ("reason", reason)];
                    counter(to, names::PROOF_FAILURES, &labels)
                })
            }),
            spire_failures: Family::new(spire, one(names::SPIRE_NODE_FAILURE, "attestor_type")),
            spire_duration: histogram(to, names::SPIRE_NODE_DURATION, &[]),
            logins: Family::new(["granted", "denied", "abandoned"], |outcome| {
                let codes: Vec<_> = match outcome {
                    "denied" => labels::codes().collect(),
                    _ => vec!["none"],
                };
                Family::new(codes, |code| {
                    counter(to, names::LOGINS, &[("outcome", outcome), ("code", code)])
                })
            }),
            login_duration: histogram(to, names::LOGIN_DURATION, &[]),
            in_flight: gauge(to, names::LOGINS_IN_FLIGHT, &[]),
            links: Family::new(LinkKind::ALL.iter().copied(), one(names::LINKS, "kind")),
            links_open: Family::new(LinkKind::ALL.iter().copied(), |kind| {
                gauge(to, names::LINKS_OPEN, &[("kind", kind)])
            }),
            sessions: Family::new(
                SessionChange::ALL.iter().copied(),
                one(names::SESSIONS, "change"),
            ),
            svids: Family::new(Authority::ALL.iter().copied(), |kind| {
                // Tokens are for those who hold a session.
                let occasions = match kind {
                    "jwt" => vec!["session"],
                    _ => Occasion::ALL.to_vec(),
                };
                Family::new(occasions, |occasion| {
                    Family::new(OUTCOMES, |outcome| {
                        let labels = [("kind", kind), ("occasion", occasion), ("outcome", outcome)];
                        counter(to, names::SVIDS, &labels)
                    })
                })
            }),
            audit: Family::new(OUTCOMES, one(names::AUDIT_RECORDS, "outcome")),
            audit_duration: histogram(to, names::AUDIT_APPEND, &[]),
            store: Family::new(StoreOperation::ALL.iter().copied(), |operation| {
                by_outcome(names::STORE_CALLS, "operation", operation)
            }),
            store_duration: Family::new(StoreOperation::ALL.iter().copied(), |operation| {
                histogram(to, names::STORE_DURATION, &[("operation", operation)])
            }),
            generation: gauge(to, names::CONFIG_GENERATION, &[]),
            config_errors: counter(to, names::CONFIG_ERRORS, &[]),
            http: Family::new(ROUTES.iter().copied().chain([labels::OTHER]), |route| {
                Family::new(labels::STATUS_CLASSES.iter().copied(), |status| {
                    let labels = [("route", route), ("status", status)];
                    counter(to, names::HTTP_REQUESTS, &labels)
                })
            }),
            http_duration: histogram(to, names::HTTP_DURATION, &[]),
            limited: Family::new(
                Limit::ALL.iter().copied(),
                one(names::RATE_LIMITED, "limit"),
            ),
            components: Family::new(Component::ALL.iter().map(|c| c.name()), |component| {
                gauge(to, names::COMPONENT_STATE, &[("part", component)])
            }),
            cloud_calls: Family::new(Cloud::ALL.map(Cloud::name), |cloud| {
                Family::new(CALL_OUTCOMES, |outcome| {
                    let labels = [("cloud", cloud), ("outcome", outcome)];
                    counter(to, names::CLOUD_CALLS, &labels)
                })
            }),
            cloud_answers: Family::new(Cloud::ALL.map(Cloud::name), |cloud| {
                Family::new(["kept", "asked"], |source| {
                    let labels = [("cloud", cloud), ("source", source)];
                    counter(to, names::CLOUD_ANSWERS, &labels)
                })
            }),
        }
    }
}
