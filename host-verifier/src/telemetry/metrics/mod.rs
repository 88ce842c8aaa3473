//! Metrics, in Prometheus' text format.
//!
//! * [`names`]: every metric with its help text. Some carry the names that existing alerts and dashboards ask for
//!   (`spirl_attestation_signer_proof_total`, `spire_server_*`), ours begin with `assay_`.
//! * [`labels`]: what labels may say. Every series is made at the start, none because of what somebody sent (GO-2026-5851).
//! * [`tally`]: what the proofs of a login count for.
//!
//! There is no global recorder: a [`Metrics`] is a value, and several servers in one process have one each.
//!
//! # The names of others
//!
//! `spire_server_node_attestor_failure_total` calls every TPM method `tpm`, since that is what the alerts on it filter
//! by; `spirl_attestation_signer_proof_total` and ours have the methods' own names. `spire_server_workload_attestor_failure_total`
//! exists and stays 0. `spire_server_node_attestor_duration_seconds` is the verifier's own time: a chip may take minutes
//! for an RSA key, and an alert on this latency is about the server.

mod family;
pub mod labels;
pub mod names;
mod series;
pub mod tally;

use std::sync::Arc;
use std::time::Duration;

use assay_common::protocol::DenyCode;
use jiff::Timestamp;
use metrics::Gauge;
use metrics_exporter_prometheus::{PrometheusHandle, PrometheusRecorder};

pub use labels::{Authority, Limit, LinkKind, Occasion, SessionChange, StoreOperation};
pub use tally::Tally;

use self::family::gauge;
use self::series::Series;
use crate::clock::{Clock, SystemClock};
use crate::cloud::{Cloud, Counts};

/// How often samples must be folded into their histograms ([`Metrics::upkeep`]) where nobody reads the page.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The routes of the API, as templates. A request for anything else counts as [`labels::OTHER`].
pub const ROUTES: &[&str] = &[
    "/v1/login",
    "/v1/clusters",
    "/v1/clusters/{id}/config",
    "/v1/clusters/{id}/config/history",
    "/v1/clusters/{id}/config/rollback",
    "/v1/policies",
    "/v1/sessions",
    "/v1/sessions/{id}",
    "/v1/nodes",
    "/v1/nodes/{id}",
    "/v1/nodes/{id}/ban",
    "/v1/nodes/{id}/boots",
    "/v1/bans",
    "/v1/identities",
    "/v1/eks",
    "/v1/eks/{id}",
    "/v1/tokens",
    "/v1/tokens/{id}",
    "/v1/join-tokens",
    "/v1/join-tokens/{id}",
    "/v1/evidence/{id}",
    "/v1/audit",
    "/v1/audit/{id}",
    "/v1/audit/events",
    "/v1/bundle",
    "/v1/bundle/spiffe",
    "/v1/svids/jwt",
    "/v1/svids/x509",
    "/openapi.json",
    "/.well-known/openid-configuration",
    "/keys",
];

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginEnd {
    /// A session.
    Granted,
    /// A refusal.
    Denied(DenyCode),
    /// The node went away or began again.
    Abandoned,
}

/// Where everything is counted; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    series: Series,
}

impl core::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::new()))
    }
}

impl Metrics {
    /// Every series, at zero. Latencies are read off `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let recorder = series::recorder();
        let series = Series::new(&recorder);
        gauge(&recorder, names::PROCESS_START, &[]).set(seconds(clock.now().wall));
        Self(Arc::new(Inner {
            clock,
            handle: recorder.handle(),
            recorder,
            series,
        }))
    }

    /// The page: Prometheus' text format 0.0.4, to be served as `text/plain; version=0.0.4`.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.handle.render()
    }

    /// Folds samples into histograms. They take memory until this or [`Metrics::render`] is called.
    pub fn upkeep(&self) {
        self.0.handle.run_upkeep();
    }

    fn since(&self, began: Duration) -> f64 {
        let now = self.0.clock.now().monotonic;
        now.saturating_sub(began).as_secs_f64()
    }

    /// Counts a method's proof; `failure` is one of [`labels::REASONS`].
    pub fn proof(&self, method: &str, failure: Option<&str>) {
        let outcome = if failure.is_none() {
            "success"
        } else {
            "failed"
        };
        if let Some(counter) = self.0.series.proofs.get2(method, outcome) {
            counter.increment(1);
        }
        let reason = failure.and_then(|reason| self.0.series.reasons.get2(method, reason));
        if let Some(counter) = reason {
            counter.increment(1);
        }
    }

    /// Counts a login in which a proof of this family ([`labels::spire_method`]) failed.
    pub fn spire_failure(&self, family: &str) {
        if let Some(counter) = self.0.series.spire_failures.get(family) {
            counter.increment(1);
        }
    }

    /// Counts a login that ended: how, how long it took in all, and how much of that the verifier worked on it. A login
    /// that ended before it had a challenge has no durations.
    pub fn login_ended(&self, end: LoginEnd, took: Option<Duration>, worked: Duration) {
        let (outcome, code) = match end {
            LoginEnd::Granted => ("granted", "none"),
            LoginEnd::Denied(code) => ("denied", code.name().unwrap_or(labels::OTHER)),
            LoginEnd::Abandoned => ("abandoned", "none"),
        };
        let series = &self.0.series;
        if let Some(counter) = series.logins.get2(outcome, code) {
            counter.increment(1);
        }
        if let Some(took) = took {
            series.login_duration.record(took.as_secs_f64());
            series.spire_duration.record(worked.as_secs_f64());
        }
    }

    /// A login whose challenge is out, until the guard is dropped.
    #[must_use]
    pub fn login_in_flight(&self) -> Held {
        Held::of(self.0.series.in_flight.clone())
    }

    /// A link that was opened, until the guard is dropped.
    #[must_use]
    pub fn link_opened(&self, kind: LinkKind) -> Option<Held> {
        let series = &self.0.series;
        if let Some(counter) = series.links.get(kind.text()) {
            counter.increment(1);
        }
        series.links_open.get(kind.text()).cloned().map(Held::of)
    }

    /// Counts a change of a session.
    pub fn session(&self, change: SessionChange) {
        if let Some(counter) = self.0.series.sessions.get(change.text()) {
            counter.increment(1);
        }
    }

    /// Runs a call of the store and counts it.
    ///
    /// # Errors
    ///
    /// The call's.
    pub async fn store<T, E>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = self.0.clock.now().monotonic;
        let result = call.await;
        let series = &self.0.series;
        if let Some(counter) = series.store.get2(operation.text(), outcome(&result)) {
            counter.increment(1);
        }
        if let Some(histogram) = series.store_duration.get(operation.text()) {
            histogram.record(self.since(began));
        }
        result
    }

    /// Runs an append to the audit trail and counts it.
    ///
    /// # Errors
    ///
    /// The append's.
    pub async fn audit<T, E>(&self, append: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = self.0.clock.now().monotonic;
        let result = append.await;
        let series = &self.0.series;
        if let Some(counter) = series.audit.get(outcome(&result)) {
            counter.increment(1);
        }
        series.audit_duration.record(self.since(began));
        result
    }

    /// Counts records that other processes have left.
    pub fn audit_noted(&self, count: usize) {
        if let (Some(counter), Ok(count @ 1..)) =
            (self.0.series.audit.get("success"), count.try_into())
        {
            counter.increment(count);
        }
    }

    /// Counts an SVID, or one that could not be issued.
    pub fn svid_issued(&self, kind: Authority, occasion: Occasion, issued: bool) {
        let outcome = if issued { "success" } else { "failed" };
        let by_kind = self.0.series.svids.get(kind.text());
        if let Some(counter) = by_kind.and_then(|kind| kind.get2(occasion.text(), outcome)) {
            counter.increment(1);
        }
    }

    /// The configuration that is served from now on.
    pub fn config_served(&self, generation: u64) {
        // Exact up to 2^53 versions.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        self.0.series.generation.set(generation as f64);
    }

    /// Counts a configuration that was refused.
    pub fn config_error(&self) {
        self.0.series.config_errors.increment(1);
    }

    /// The authority that signs: when another should take over, and when it ends.
    pub fn authority(&self, authority: Authority, hands_over: Timestamp, ends: Timestamp) {
        let labels = [("authority", authority.text())];
        for (name, at) in [
            (names::AUTHORITY_ROTATION, hands_over),
            (names::AUTHORITY_EXPIRY, ends),
        ] {
            gauge(&self.0.recorder, name, &labels).set(seconds(at));
        }
    }

    /// When the certificate of the HTTPS listener ends.
    pub fn tls_expires(&self, at: Timestamp) {
        gauge(&self.0.recorder, names::TLS_EXPIRY, &[]).set(seconds(at));
    }

    /// When the first of AWS's certificates ends.
    pub fn aws_certificate_expires(&self, at: Timestamp) {
        gauge(&self.0.recorder, names::AWS_CERTIFICATE_EXPIRY, &[]).set(seconds(at));
    }

    /// Counts an HTTP request: `route` is the template that matched, one of [`ROUTES`], `took` what it took.
    pub fn http_request(&self, route: Option<&str>, status: u16, took: Duration) {
        let series = &self.0.series;
        let class = labels::status_class(status);
        let counter = route.and_then(|route| series.http.get2(route, class));
        if let Some(counter) = counter.or_else(|| series.http.get2(labels::OTHER, class)) {
            counter.increment(1);
        }
        series.http_duration.record(took.as_secs_f64());
    }

    /// Counts something that was turned away early.
    pub fn rate_limited(&self, limit: Limit) {
        if let Some(counter) = self.0.series.limited.get(limit.text()) {
            counter.increment(1);
        }
    }

    /// The state of a component: 0 ok, 1 degraded, 2 failing.
    pub fn component(&self, name: &str, state: u8) {
        if let Some(gauge) = self.0.series.components.get(name) {
            gauge.set(f64::from(state));
        }
    }
}

impl Counts for Metrics {
    fn called(&self, cloud: Cloud, outcome: &'static str) {
        if let Some(counter) = self.0.series.cloud_calls.get2(cloud.name(), outcome) {
            counter.increment(1);
        }
    }

    fn asked(&self, cloud: Cloud, kept: bool) {
        let source = if kept { "kept" } else { "asked" };
        if let Some(counter) = self.0.series.cloud_answers.get2(cloud.name(), source) {
            counter.increment(1);
        }
    }
}

/// Something that is counted as long as this exists. Not `Clone`: each counts once.
pub struct Held(Gauge);

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    fn of(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn outcome<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "success" } else { "failed" }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
