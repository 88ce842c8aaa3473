//! The HTTPS API: for agents, operators and whoever needs the trust bundle.
//!
//! * [`listener`], [`connection`], [`tls`]: ports, connections and certificates, all bounded.
//! * [`peer`]: who is at the other end. [`rate`], [`admission`]: how much of it.
//! * [`problem`]: errors. [`openapi`]: the document that describes the rest.
//!
//! A route is added in [`router`], with the group that says who may use it. What is in the OpenAPI document is what is
//! served: both are made from the same handlers.

mod admission;
mod connection;
pub mod listener;
pub mod login;
pub mod openapi;
pub mod peer;
pub mod problem;
pub mod rate;
pub mod start;
pub mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use listener::HttpListener;
pub use peer::Peer;
pub use problem::Problem;
pub use tls::{Tls, TlsError};

use crate::config::HttpSettings;
use crate::server::{RequestLogins, Server};
use admission::Admission;

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
}

impl ApiState {
    /// The state of an API with these settings.
    #[must_use]
    pub fn new(server: Server, settings: HttpSettings, tls: Option<Arc<Tls>>) -> Self {
        Self {
            server,
            settings: Arc::new(settings),
            tls,
            logins: Arc::default(),
        }
    }
}

/// Everything that the API serves.
#[must_use]
pub fn router(state: ApiState) -> Router {
    let limits = &state.settings.limits;
    let admission = Admission::new(limits);
    let (routes, document) = routes().split_for_parts();
    openapi::serve(routes, document)
        .fallback(|| async { unknown() })
        .method_not_allowed_fallback(|| async { wrong_method() })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(admission, admission::admit))
        .with_state(state)
}

/// The routes with their documentation.
fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::document()).routes(routes!(login::login))
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
