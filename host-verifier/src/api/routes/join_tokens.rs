//! `/v1/join-tokens`: secrets that each let one node log in once.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::ApiState;
use crate::api::auth::Principal;
use crate::api::auth::acts::{Did, did};
use crate::api::extract::{self, Page, PageQuery, Path, Query, bad_cursor};
use crate::api::problem::Problem;
use crate::audit::Change;
use crate::join_token::{DEFAULT_TTL, JoinToken, JoinTokenError, Wanted};
use crate::store::JoinTokenRecord;

/// The cursors' first byte.
const KIND: u8 = b'j';

/// A join token, without the token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenView {
    /// Its public name, 32 hex digits.
    #[schema(example = "00112233445566778899aabbccddeeff")]
    id: String,
    /// The cluster that it lets into.
    cluster: String,
    /// The identity that its node gets; null: what the cluster's issuance policy makes.
    #[schema(example = "spiffe://example.org/node/rack7")]
    spiffe_id: Option<String>,
    /// What the node must prove by other methods in the same login.
    #[schema(example = json!({"tpm_ek.public_hash": "3f1b…"}))]
    bound: BTreeMap<String, String>,
    /// What it is for.
    comment: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it.
    created_by: String,
    /// From when on it lets nobody in.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When a login took it.
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

impl From<JoinTokenRecord> for JoinTokenView {
    fn from(token: JoinTokenRecord) -> Self {
        Self {
            id: token.id,
            cluster: token.cluster,
            spiffe_id: token.spiffe_id,
            bound: token.bound,
            comment: token.comment,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            used_at: token.used_at,
        }
    }
}

/// What a join token is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewJoinToken {
    /// The cluster that it lets into.
    #[schema(example = "lab")]
    cluster: String,
    /// How long it lasts, seconds: 1 to 2592000, default 600.
    #[schema(example = 600, minimum = 1, maximum = 2_592_000)]
    ttl_seconds: Option<u64>,
    /// The identity that its node gets, of this trust domain; left out: what the cluster's issuance policy makes.
    #[schema(example = "spiffe://example.org/node/rack7")]
    spiffe_id: Option<String>,
    /// What the node must prove by other methods in the same login, by attribute; at most 8.
    #[serde(default)]
    #[schema(example = json!({"tpm_ek.public_hash": "3f1b…"}))]
    bound: BTreeMap<String, String>,
    /// What it is for, up to 256 bytes.
    #[serde(default)]
    comment: String,
}

/// A new join token. The only time that it is shown.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CreatedJoinToken {
    /// What the node sends.
    #[schema(example = "join_…")]
    token: String,
    #[serde(flatten)]
    view: JoinTokenView,
}

/// Join tokens by id, also those that were used or have ended and are not forgotten yet
#[utoipa::path(
    get,
    path = "/v1/join-tokens",
    tag = "join tokens",
    operation_id = "listJoinTokens",
    params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<JoinTokenView>))
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<JoinTokenView>>, Problem> {
    let limit = page.limit()?;
    let after = page.after(KIND)?.unwrap_or_default();
    let after = String::from_utf8(after).map_err(|_| bad_cursor())?;
    let found = api.server.store.join_tokens(&after, limit + 1).await?;
    Ok(Json(Page::of(found, limit, KIND, |token| {
        token.id.clone().into_bytes()
    })))
}

/// Make a join token
#[utoipa::path(
    post,
    path = "/v1/join-tokens",
    tag = "join tokens",
    operation_id = "createJoinToken",
    request_body = NewJoinToken,
    responses(
        (status = 201, description = "The token, shown this once.", body = CreatedJoinToken),
        (status = 404, description = "No such cluster is served.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    Extension(principal): Extension<Principal>,
    extract::Json(wanted): extract::Json<NewJoinToken>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = api.server.verifier.current();
    let issued = JoinToken::issue(
        api.server.random.as_ref(),
        api.server.clock.now().wall,
        Wanted {
            cluster: &wanted.cluster,
            ttl: wanted.ttl_seconds.map_or(DEFAULT_TTL, Duration::from_secs),
            spiffe_id: wanted.spiffe_id.as_deref(),
            bound: wanted.bound,
            comment: &wanted.comment,
            created_by: &principal.name,
            trust_domain: &verifier.trust_domain,
        },
    );
    let (token, record) = issued.map_err(|error| match error {
        JoinTokenError::Random(error) => Problem::internal(&error),
        wrong => {
            let problem = Problem::bad_request("bad-join-token", wrong.to_string());
            match wrong.hint() {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
    })?;
    if !verifier.clusters.contains_key(&record.cluster) {
        let detail = format!("cluster `{}` is not served", record.cluster);
        return Err(Problem::not_found("no-such-cluster", detail)
            .hint("GET /v1/policies shows those that are"));
    }
    if !api.server.store.add_join_token(&record).await? {
        return Err(Problem::internal(&"a join token's id came twice"));
    }
    let location = [(LOCATION, format!("/v1/join-tokens/{}", record.id))];
    let change = created(&record);
    let created = CreatedJoinToken {
        token: token.expose().to_owned(),
        view: record.into(),
    };
    Ok((StatusCode::CREATED, location, did(change), Json(created)))
}

/// For the audit trail.
pub(crate) fn created(record: &JoinTokenRecord) -> Change {
    let mut detail = format!("cluster {} until {}", record.cluster, record.expires_at);
    if let Some(id) = &record.spiffe_id {
        detail += &format!(" as {id}");
    }
    for (name, value) in &record.bound {
        detail += &format!(", {name}={value}");
    }
    Change::new("join-token.create", "join-token", &record.id).detail(detail)
}

/// Revoke a join token
///
/// A session that was granted by it stays.
#[utoipa::path(
    delete,
    path = "/v1/join-tokens/{id}",
    tag = "join tokens",
    operation_id = "revokeJoinToken",
    params(("id" = String, Path, description = "The token's id, 32 hex digits.")),
    responses(
        (status = 204, description = "It lets nobody in from now on, on any replica."),
        (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn revoke(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    match api.server.store.revoke_join_token(&id).await? {
        Some(token) => {
            let change = Change::new("join-token.revoke", "join-token", &token.id);
            let change = change.detail(format!("cluster {}", token.cluster));
            Ok((StatusCode::NO_CONTENT, did(change)))
        }
        None => Err(
            Problem::not_found("no-such-join-token", "there is no join token of this id")
                .hint("GET /v1/join-tokens lists them; it is not the token itself"),
        ),
    }
}
