//! Health and metrics, in the clear, on ports of their own: for probes and scrapers that have no certificate. They listen on
//! loopback unless the configuration says otherwise, and say nothing that is secret.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::SignedDuration;
use tokio::sync::watch;

use super::tls::Tls;
use super::{unknown, wrong_method};
use crate::server::Server;
use crate::telemetry::health::{Answer, Component, State};
use crate::telemetry::names;

/// How long before its end a certificate that nobody has replaced is told as degraded.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(72);

/// What to do about one that has ended.
const HINT: &str = "replace the file and its key; they are read again without a restart";

/// `/live` and `/ready`.
pub(super) fn health(server: &Server) -> Router {
    let (live, ready) = (server.health.clone(), server.health.clone());
    Router::new()
        .route("/live", get(async move || answer(live.live())))
        .route("/ready", get(async move || answer(ready.ready())))
        .fallback(async || unknown())
        .method_not_allowed_fallback(async || wrong_method())
}

fn answer(answer: Answer) -> impl IntoResponse {
    let status = match answer.is_ok() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(CACHE_CONTROL, "no-store")], Json(answer))
}

/// `/metrics`, in Prometheus' text format 0.0.4.
pub(super) fn metrics(server: &Server) -> Router {
    let metrics = server.metrics.clone();
    let page = async move || {
        let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, metrics.render())
    };
    Router::new()
        .route("/metrics", get(page))
        .fallback(async || unknown())
        .method_not_allowed_fallback(async || wrong_method())
}

/// Keeps the API's certificate as its files are, and tells how long it lasts.
pub(super) async fn keep_certificate(tls: &Arc<Tls>, server: &Server, stop: watch::Receiver<bool>) {
    // So that the log says it once.
    let ended = AtomicBool::new(false);
    let told = |tls: &Tls| {
        let (not_after, now) = (tls.not_after(), server.clock.now().wall);
        server.metrics.tls_expires(not_after);
        let left = not_after.duration_since(now);
        let over = left.is_negative() || left.is_zero();
        if !ended.swap(over, Ordering::Relaxed) && over {
            let certificate = tls.certificate().display();
            tracing::error!(%certificate, %not_after, hint = HINT, "{}", names::TLS_EXPIRED);
        }
        let state = if over {
            State::Failing(format!("the certificate ended at {not_after}"))
        } else if left < RENEW_BEFORE {
            State::Degraded(format!("the certificate ends at {not_after}"))
        } else {
            State::Ok
        };
        server.health.report_of(Component::Listeners, "api", state);
    };
    tls.clone().watch(stop, told).await;
}
