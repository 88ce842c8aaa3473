//! Nodes that hold a live session: `Authorization: Assay <id>.<secret>`, the id in hex and the secret in base64.
//!
//! The store is asked for every request, so that a revocation counts from its return on, whichever verifier it came to. A
//! live session never waits for what others behind its address got wrong: what is limited is how often a refusal is worth a
//! log line.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::too_many;
use crate::api::ApiState;
use crate::api::peer::Peer;
use crate::api::problem::Problem;
use crate::session::{SessionId, secret_hash};
use crate::store::SessionRecord;
use crate::telemetry::names;

/// The scheme in the header.
const SCHEME: &str = "assay";

/// The gate: behind it the session is in the request's extensions.
pub(super) async fn gate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Problem::internal(&"a request without a peer").into_response();
    };
    match authenticate(&state, &peer, request.headers()).await {
        Ok(session) => request.extensions_mut().insert(session),
        Err(problem) => return challenged(problem),
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A refusal with the scheme that is wanted here.
fn challenged(problem: Problem) -> Response {
    let refused = problem.status() == StatusCode::UNAUTHORIZED;
    let mut response = problem.into_response();
    if refused {
        let scheme = HeaderValue::from_static("Assay realm=\"assay\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

async fn authenticate(
    state: &ApiState,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<SessionRecord, Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = match (sent.next(), sent.next()) {
        (Some(header), None) => header,
        (None, _) => return Err(no_session("no-credential", "this needs a session")),
        (Some(_), Some(_)) => {
            return Err(no_session(
                "two-credentials",
                "more than one Authorization header",
            ));
        }
    };
    if let Some((id, secret)) = credential(header) {
        let session = state.server.store.session(id).await?;
        let now = state.server.clock.now().wall;
        let hash = secret_hash(&secret);
        let live = session.filter(|session| {
            let same =
                aws_lc_rs::constant_time::verify_slices_are_equal(&hash, &session.secret_sha256);
            same.is_ok() && session.is_live(now)
        });
        if let Some(session) = live {
            return Ok(session);
        }
    }
    if let Some(wait) = state.gatekeeper.sessions.refused(peer.key()) {
        return Err(too_many(wait));
    }
    tracing::warn!(peer = %peer.address, "{}", names::CREDENTIAL_REFUSED);
    Err(over())
}

/// Id and secret of a header; the scheme's case does not count (RFC 9110, section 11.1).
fn credential(header: &HeaderValue) -> Option<(SessionId, Zeroizing<[u8; 32]>)> {
    let (scheme, credential) = header.to_str().ok()?.split_once(' ')?;
    let (id, secret) = credential.split_once('.')?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    // What 44 characters of base64 may at most make.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = STANDARD.decode_slice(secret, bytes.as_mut_slice()).ok()?;
    let secret = bytes.get(..length)?.try_into().ok()?;
    Some((id.parse().ok()?, Zeroizing::new(secret)))
}

/// The refusal of a session that is not known, has ended, or was revoked: from outside they are the same.
pub(in crate::api) fn over() -> Problem {
    no_session(
        "no-session",
        "the session is not known, has ended, or was revoked",
    )
}

fn no_session(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail).hint(
        "send `Authorization: Assay ID.SECRET`, the id in hex and the secret in base64, as the last login granted them",
    )
}
