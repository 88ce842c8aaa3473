//! `/v1/sessions`: what was granted.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::ApiState;
use crate::api::auth::acts::{Did, did};
use crate::api::extract::{Order, OrderedQuery, Page, Path, Query, bad_cursor};
use crate::api::problem::Problem;
use crate::audit::Change;
use crate::session::SessionId;
use crate::store::SessionRecord;
use crate::telemetry::events::by_name;
use crate::telemetry::metrics::SessionChange;

/// The cursors' first byte.
const KIND: u8 = b's';

/// A session. Its secret is known to its node alone.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its name, 32 hex digits.
    #[schema(example = "00112233445566778899aabbccddeeff")]
    id: String,
    /// The identity.
    #[schema(example = "spiffe://example.org/node/3f1b…")]
    spiffe_id: String,
    /// The node's cluster.
    cluster: String,
    /// The policy that won.
    policy: String,
    /// The node: SHA-256 of its EK, or, without a TPM, of its SPIFFE ID.
    ek_hash: String,
    /// The login that made it.
    login_id: String,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    issued_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Until when it may be renewed.
    #[schema(value_type = String, format = DateTime)]
    reattest_at: Timestamp,
    /// When it was renewed last.
    #[schema(value_type = Option<String>, format = DateTime)]
    renewed_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// What the policy's attestors vouch for; a list where there are several of one name.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
}

impl From<SessionRecord> for SessionView {
    fn from(session: SessionRecord) -> Self {
        Self {
            id: session.id.to_string(),
            attributes: by_name(&session.attributes),
            spiffe_id: session.spiffe_id,
            cluster: session.cluster,
            policy: session.policy,
            ek_hash: session.ek_hash,
            login_id: session.login_id,
            issued_at: session.issued_at,
            expires_at: session.expires_at,
            reattest_at: session.reattest_at,
            renewed_at: session.renewed_at,
            revoked_at: session.revoked_at,
        }
    }
}

/// Which sessions, and in which order.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SessionQuery {
    /// Most entries, 1 to 1000; default 100.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u32>,
    /// `next` of the page before; leave it out for the first.
    cursor: Option<String>,
    /// `newest` has no further pages.
    #[serde(default)]
    #[param(inline)]
    order: Order,
    /// Also those that have ended and are not forgotten yet; only of the newest.
    #[serde(default)]
    ended: bool,
}

/// Sessions that live, by id or the newest first
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    operation_id = "listSessions",
    params(SessionQuery),
    responses((status = 200, description = "A page.", body = Page<SessionView>))
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    Query(query): Query<SessionQuery>,
) -> Result<Json<Page<SessionView>>, Problem> {
    let ended = query.ended;
    let query = OrderedQuery::new(query.limit, query.cursor, query.order);
    let (page, order) = query.read()?;
    let limit = page.limit()?;
    let now = api.server.clock.now().wall;
    if order == Order::Newest {
        let found = match ended {
            true => api.server.store.kept_sessions(limit).await?,
            false => api.server.store.sessions(now, limit).await?,
        };
        return Ok(Json(Page::whole(found)));
    }
    if ended {
        let detail = "sessions that have ended are listed by order=newest only";
        return Err(Problem::bad_request("bad-query", detail));
    }
    let after = match page.after(KIND)? {
        None => None,
        Some(key) => Some(SessionId(key.try_into().map_err(|_| bad_cursor())?)),
    };
    let found = api.server.store.session_page(now, after, limit + 1).await?;
    Ok(Json(Page::of(found, limit, KIND, |s| s.id.0.to_vec())))
}

/// One session, also when it has ended and is not forgotten yet
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "getSession",
    params(("id" = String, Path, description = "The session, 32 hex digits.")),
    responses(
        (status = 200, description = "The session.", body = SessionView),
        (status = 404, description = "There is none of this name.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    let id = session_id(&id)?;
    let session = api.server.store.session(id).await?;
    Ok(Json(session.ok_or_else(|| none(id))?.into()))
}

/// End a session now
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    operation_id = "revokeSession",
    params(("id" = String, Path, description = "The session, 32 hex digits.")),
    responses(
        (status = 204, description = "It has ended; it is neither honoured nor renewed from now on."),
        (status = 404, description = "There is none of this name that lives.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn revoke(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    let id = session_id(&id)?;
    let now = api.server.clock.now().wall;
    match api.server.store.revoke_session(id, now).await? {
        true => {
            api.server.metrics.session(SessionChange::Revoked);
            let change = Change::new("session.revoke", "session", &id.to_string());
            Ok((StatusCode::NO_CONTENT, did(change)))
        }
        false => Err(none(id)),
    }
}

fn session_id(text: &str) -> Result<SessionId, Problem> {
    text.parse()
        .map_err(|error: crate::session::SessionIdError| {
            Problem::bad_request("bad-id", error.to_string())
        })
}

fn none(id: SessionId) -> Problem {
    Problem::not_found("no-such-session", format!("there is no session {id}"))
        .hint("GET /v1/sessions lists those that live")
}
