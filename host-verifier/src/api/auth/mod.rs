//! Who may do what: bearer tokens and client certificates, three roles, sessions of nodes, and the gate before every route.
//!
//! A route belongs to one group of [`Access`], and a group is made by `gated`, which puts the gate before its routes and
//! writes into the document what they ask for. So the document cannot say anything else than what is done.

pub mod acts;
mod attempts;
pub(in crate::api) mod session;
pub mod token;

use core::fmt;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;

pub use token::ApiToken;

use super::openapi::{BEARER, MTLS, SESSION, operations};
use super::peer::{ClientCertificate, Peer};
use super::problem::Problem;
use super::{ApiState, openapi};
use crate::audit::{Actor, ActorKind};
use crate::store::Role;
use crate::telemetry::names;
use acts::{Attempt, Tries};
use attempts::Attempts;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: what it answers is public, or it asks for proofs of its own.
    Public,
    /// A node that holds a live session.
    Session,
    /// Who has at least this role.
    Role(Role),
}

/// Who sent a request; in its extensions behind a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's id and name, or the name in the certificate.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// As the audit trail knows it.
    pub actor: Actor,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What gates share.
#[derive(Debug, Clone, Default)]
pub(super) struct Gatekeeper {
    tokens: Arc<Attempts>,
    tries: Tries,
    sessions: Arc<Attempts>,
}

/// Routes behind a gate.
pub(super) fn gated(
    state: &ApiState,
    access: Access,
    mut routes: OpenApiRouter<ApiState>,
) -> OpenApiRouter<ApiState> {
    let security = match access {
        Access::Public => Vec::new(),
        Access::Session => vec![SecurityRequirement::new(SESSION, [""; 0])],
        Access::Role(role) => [BEARER, MTLS]
            .map(|scheme| SecurityRequirement::new(scheme, [role.name()]))
            .into(),
    };
    for operation in operations(routes.get_openapi_mut()) {
        operation.security = Some(security.clone());
        openapi::add_problems(operation, access);
    }
    match access {
        Access::Public => routes,
        Access::Session => routes.route_layer(from_fn_with_state(state.clone(), session::gate)),
        Access::Role(role) => routes.route_layer(from_fn_with_state((state.clone(), role), gate)),
    }
}

async fn gate(
    State((state, role)): State<(ApiState, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Problem::internal(&"a request without a peer").into_response();
    };
    let route = request.extensions().get::<MatchedPath>();
    let attempt = Attempt {
        server: state.server.clone(),
        tries: state.gatekeeper.tries.clone(),
        peer: peer.clone(),
        method: request.method().clone(),
        route: route.map_or_else(String::new, |route| route.as_str().to_owned()),
        path: request.uri().path().to_owned(),
    };
    let principal = match authenticate(&state, &peer, request.headers()).await {
        Ok(principal) => principal,
        Err(problem) => {
            if let (StatusCode::FORBIDDEN, Some(certificate)) =
                (problem.status(), &peer.certificate)
            {
                attempt
                    .refused(&stranger(certificate), problem.code())
                    .await;
            }
            return problem.into_response();
        }
    };
    if principal.role < role {
        attempt.log(&principal, StatusCode::FORBIDDEN);
        let problem = Problem::new(
            StatusCode::FORBIDDEN,
            "role-too-small",
            format!(
                "this needs the role {role}, and {principal} has {}",
                principal.role
            ),
        )
        .hint("ask an administrator for a token of that role (`assay token create --role …`)");
        attempt.refused(&principal.actor, problem.code()).await;
        return problem.into_response();
    }
    request.extensions_mut().insert(principal.clone());
    let changes = !request.method().is_safe();
    let work = async move {
        let mut response = next.run(request).await;
        if changes {
            response = attempt.answered(&principal, response).await;
        }
        let headers = response.headers_mut();
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        attempt.log(&principal, response.status());
        response
    };
    match changes {
        false => work.await,
        // What was changed is recorded, also when the one who asked for it has hung up meanwhile.
        true => match tokio::spawn(work).await {
            Ok(response) => response,
            Err(error) => Problem::internal(&error).into_response(),
        },
    }
}

/// Somebody whose certificate is good and has no role.
fn stranger(certificate: &ClientCertificate) -> Actor {
    let name = certificate.names.first().map(ToString::to_string);
    Actor {
        kind: ActorKind::Certificate,
        id: name.unwrap_or_else(|| certificate.subject.clone()),
        name: Some(certificate.subject.clone()),
        role: None,
    }
}

/// Who sent a request with these headers. A credential that is there and does not hold is refused, whatever else is there.
async fn authenticate(
    state: &ApiState,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Principal, Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    match (sent.next(), sent.next()) {
        (None, _) => match &peer.certificate {
            Some(certificate) => by_certificate(state, certificate),
            None => Err(unauthenticated("no-credential", "this needs a credential")),
        },
        (Some(header), None) => by_token(state, peer, header).await,
        (Some(_), Some(_)) => Err(unauthenticated(
            "two-credentials",
            "more than one Authorization header",
        )),
    }
}

async fn by_token(
    state: &ApiState,
    peer: &Peer,
    header: &HeaderValue,
) -> Result<Principal, Problem> {
    let found = match bearer(header).and_then(ApiToken::read) {
        Some(token) => state.server.store.api_token(&token.sha256()).await?,
        None => None,
    };
    let now = state.server.clock.now().wall;
    let live = found.filter(|token| token.expires_at.is_none_or(|end| now < end));
    if let Some(token) = live {
        return Ok(Principal {
            name: format!("token {} ({})", token.id, token.name),
            role: token.role,
            actor: Actor {
                kind: ActorKind::Token,
                id: token.id,
                name: Some(token.name),
                role: Some(token.role),
            },
        });
    }
    if let Some(wait) = state.gatekeeper.tokens.refused(peer.key()) {
        return Err(too_many(wait));
    }
    // Neither what was sent nor its hash: a token that expired an hour ago may be somebody's password elsewhere.
    tracing::warn!(peer = %peer.address, "{}", names::CREDENTIAL_REFUSED);
    Err(unauthenticated(
        "unknown-token",
        "the token is not known, was revoked, or has expired",
    ))
}

/// The token of a header (RFC 6750, section 2.1; the scheme's case does not count).
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// TLS has verified the chain, once. Here is what may have changed since: the time, and the authorities.
fn by_certificate(state: &ApiState, certificate: &ClientCertificate) -> Result<Principal, Problem> {
    let now = state.server.clock.now().wall;
    let authorities = state.tls.as_ref().and_then(|tls| tls.client_cas());
    if certificate.not_after <= now || authorities != Some(certificate.verified_by) {
        return Err(unauthenticated(
            "stale-certificate",
            "the client certificate has ended, or its authorities have changed, since this connection began",
        )
        .hint("connect again"));
    }
    // The first that is listed decides: the order is the operator's.
    let mut clients = state.settings.clients.iter();
    let client = clients.find(|client| certificate.names.contains(&client.name));
    match client {
        Some(client) => Ok(Principal {
            name: client.name.to_string(),
            role: client.role,
            actor: Actor {
                kind: ActorKind::Certificate,
                id: client.name.to_string(),
                name: Some(certificate.subject.clone()),
                role: Some(client.role),
            },
        }),
        None => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "no-role",
            format!(
                "no name of the certificate of {} has a role",
                certificate.subject
            ),
        )
        .hint("list its SPIFFE ID or DNS name under `api.clients`")),
    }
}

fn unauthenticated(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail).hint(
        "send `Authorization: Bearer TOKEN` (`assay token create`), or a client certificate of `clientCAs`",
    )
}

fn too_many(wait: std::time::Duration) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-refusals",
        "too many credentials from this address were refused",
    )
    .hint("wait as long as Retry-After says, then send one that is known")
    .retry_after(wait)
}
