//! Before a request is worked on: whether its peer asks too often, whether there is room for it, and how long it may take.
//! Whoever is turned away is so early, cheaply, and with a time to come back.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::listener::Peers;
use super::peer::Peer;
use super::problem::Problem;
use super::rate::Rate;
use crate::config::ApiLimits;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Limit;

/// What requests are counted with; one for all connections of the API.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    rate: Arc<Rate>,
    room: Arc<Semaphore>,
    /// Who is in the room. A request is in it while its body is on the way, so that bodies that do not come would fill it:
    /// a peer has a share, and the others always find a place.
    peers: Peers,
    share: usize,
    time: Duration,
    metrics: Metrics,
}

impl Admission {
    pub(super) fn new(limits: &ApiLimits, metrics: Metrics) -> Self {
        Self {
            rate: Arc::new(Rate::per_second(limits.requests_per_second)),
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
    let Some(_place) = admission.peers.enter(peer.key(), admission.share) else {
        admission.metrics.rate_limited(Limit::Peer);
        return Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "too many requests of this address are being worked on",
        )
        .hint("send bodies at once, or come back when Retry-After says")
        .retry_after(Duration::from_secs(1))
        .into_response();
    };
    match timeout(admission.time, next.run(request)).await {
        Ok(response) => response,
        // Most often the body does not come.
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the request took too long",
        )
        .hint("send the body at once; a long list can be asked for in pages")
        .into_response(),
    }
}
