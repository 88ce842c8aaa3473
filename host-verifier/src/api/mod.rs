//! The HTTPS API: for agents, operators and whoever needs the trust bundle.
//!
//! * [`listener`], `connection`, [`tls`]: ports, connections and certificates, all bounded.
//! * [`peer`]: who is at the other end. [`rate`], `admission`, `arrivals`: how much of it.
//! * [`auth`]: who may do what. [`routes`]: what is at each path, and for whom.
//! * [`problem`]: errors. [`extract`], [`tagged`]: requests and answers. [`openapi`]: the document that describes all of it.
//! * [`ops`]: health and metrics, on ports of their own.
//!
//! A route is added in [`routes`], to the group that says who may use it. What is in the OpenAPI document is what is
//! served: both are made from the same handlers.

mod admission;
mod arrivals;
pub mod auth;
mod connection;
pub mod extract;
pub mod listener;
pub mod login;
mod object;
pub mod openapi;
pub mod ops;
pub mod peer;
pub mod problem;
pub mod rate;
pub mod routes;
pub mod start;
pub mod tagged;
pub mod tls;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

pub use listener::HttpListener;
pub use peer::Peer;
pub use problem::Problem;
pub use tls::{Tls, TlsError};

use crate::config::{Config, HttpSettings};
use crate::server::{RequestLogins, Server};
use admission::Admission;
use auth::Gatekeeper;

/// What handlers share; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// The service behind the API.
    pub server: Server,
    /// How the API is configured.
    pub settings: Arc<HttpSettings>,
    /// TLS of the listener; `None` in harnesses that call the router themselves.
    pub tls: Option<Arc<Tls>>,
    /// The logins that came with requests.
    pub logins: Arc<RequestLogins>,
    /// The file of the audit trail.
    pub audit_trail: Arc<PathBuf>,
    /// One reads it at a time.
    audit_search: Arc<Semaphore>,
    gatekeeper: Gatekeeper,
}

impl ApiState {
    /// The state of the API of a service with this configuration.
    #[must_use]
    pub fn new(server: Server, config: &Config, tls: Option<Arc<Tls>>) -> Self {
        Self {
            server,
            settings: Arc::new(config.http.clone()),
            tls,
            logins: Arc::default(),
            audit_trail: Arc::new(config.data_dir.join(crate::audit::FILE)),
            audit_search: Arc::new(Semaphore::new(1)),
            gatekeeper: Gatekeeper::default(),
        }
    }
}

/// Everything that the API serves.
pub fn router(state: ApiState) -> Router {
    let limits = &state.settings.limits;
    let admission = Admission::new(limits, state.server.metrics.clone());
    let (routes, document) = documented(&state).split_for_parts();
    openapi::serve(routes, document)
        .fallback(|| async { unknown() })
        .method_not_allowed_fallback(|| async { wrong_method() })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(admission, admission::admit))
        .with_state(state)
}

/// The OpenAPI document of a router with this state.
#[must_use]
pub fn document(state: &ApiState) -> utoipa::openapi::OpenApi {
    documented(state).into_openapi()
}

fn documented(state: &ApiState) -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::document()).merge(routes::all(state))
}

fn unknown() -> Problem {
    Problem::not_found("no-such-path", "there is nothing at this path")
        .hint("/openapi.json describes every path")
}

fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        "this path has no such method",
    )
    .hint("/openapi.json describes every path")
}
