//! Before a request is worked on: whether its peer asks too often, whether there is room for it, and how long it may take.
//! Whoever is turned away is so early, cheaply, and with a time to come back.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::arrivals::Arrivals;
use super::listener::Peers;
use super::peer::{Peer, PeerKey};
use super::problem::Problem;
use super::rate::Rate;
use crate::config::ApiLimits;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Limit;

/// What requests are counted with; one for all connections of the API.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    rate: Arc<Rate>,
    /// Bodies that are on their way. What waits for its peer waits there, and takes no place from what can be worked on.
    arrivals: Arc<Arrivals>,
    room: Arc<Semaphore>,
    /// Who is in the room: a peer has a share, and the others always find a place.
    peers: Peers,
    share: usize,
    time: Duration,
    metrics: Metrics,
}

impl Admission {
    pub(super) fn new(limits: &ApiLimits, metrics: Metrics) -> Self {
        Self {
            rate: Arc::new(Rate::per_second(limits.requests_per_second)),
            arrivals: Arc::new(Arrivals::new(limits)),
            room: Arc::new(Semaphore::new(limits.requests_in_flight)),
            peers: Peers::default(),
            share: limits.requests_in_flight - limits.requests_in_flight / 4,
            time: limits.request_timeout,
            metrics,
        }
    }
}

/// The middleware.
pub(super) async fn admit(
    State(admission): State<Admission>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = let_in(&admission, request, next).await;
    let status = response.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        admission.metrics.rate_limited(Limit::Body);
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    admission
        .metrics
        .http_request(route, status.as_u16(), began.elapsed());
    response
}

async fn let_in(admission: &Admission, request: Request, next: Next) -> Response {
    // The listener puts it there. A request that came from nowhere is nobody's.
    let Some(peer) = request.extensions().get::<Peer>() else {
        return Problem::internal(&"a request without a peer").into_response();
    };
    if let Err(wait) = admission.rate.take(peer.key()) {
        admission.metrics.rate_limited(Limit::Peer);
        return Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "too many requests from this address",
        )
        .hint("wait as long as Retry-After says")
        .retry_after(wait)
        .into_response();
    }
    let key = peer.key();
    let request = match whole(admission, key, request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let Ok(_room) = admission.room.try_acquire() else {
        admission.metrics.rate_limited(Limit::Requests);
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many requests are being worked on",
        )
        .hint("wait as long as Retry-After says, or ask another replica")
        .retry_after(Duration::from_secs(1))
        .into_response();
    };
    let Some(_place) = admission.peers.enter(key, admission.share) else {
        admission.metrics.rate_limited(Limit::Peer);
        return Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "too many requests of this address are being worked on",
        )
        .hint("come back when Retry-After says")
        .retry_after(Duration::from_secs(1))
        .into_response();
    };
    match timeout(admission.time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the request took too long",
        )
        .hint("a long list can be asked for in pages")
        .into_response(),
    }
}

/// The request with its body, which has come to its end.
async fn whole(admission: &Admission, peer: PeerKey, request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = admission.arrivals.whole(peer, body).await;
    let body = body.inspect_err(|problem| match problem.status() {
        StatusCode::TOO_MANY_REQUESTS => admission.metrics.rate_limited(Limit::Peer),
        StatusCode::SERVICE_UNAVAILABLE => admission.metrics.rate_limited(Limit::Requests),
        _ => {}
    })?;
    Ok(Request::from_parts(parts, Body::from(body)))
}
