//! `/v1/tokens`: who may use the API with a bearer token.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::ApiState;
use crate::api::auth::acts::{Did, did};
use crate::api::auth::token::TokenError;
use crate::api::auth::{ApiToken, Principal};
use crate::api::extract::{self, Page, PageQuery, Path, Query, bad_cursor};
use crate::api::problem::Problem;
use crate::audit::Change;
use crate::store::{ApiTokenRecord, Role};

/// The cursors' first byte.
const KIND: u8 = b't';

/// A token, without the token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its public name, 16 hex digits.
    #[schema(example = "0011223344556677")]
    id: String,
    /// Who or what it was made for.
    #[schema(example = "ci")]
    name: String,
    /// What it allows.
    role: Role,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it.
    created_by: String,
    /// From when on it allows nothing; null: until it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl From<ApiTokenRecord> for TokenView {
    fn from(token: ApiTokenRecord) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
        }
    }
}

/// A token that is wanted.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewToken {
    /// Who or what it is for, 1 to 64 characters.
    #[schema(example = "ci", min_length = 1, max_length = 64)]
    name: String,
    /// What it allows.
    role: Role,
    /// Seconds that it lasts; left out, until it is revoked.
    #[schema(example = 2_592_000, minimum = 60)]
    ttl_seconds: Option<u64>,
}

/// A new token. The only time that it is shown.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CreatedToken {
    /// What is sent as `Authorization: Bearer …`.
    #[schema(example = "assay_…")]
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

/// Tokens, by id
#[utoipa::path(
    get,
    path = "/v1/tokens",
    tag = "tokens",
    operation_id = "listTokens",
    params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<TokenView>))
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TokenView>>, Problem> {
    let limit = page.limit()?;
    let after = page.after(KIND)?.unwrap_or_default();
    let after = String::from_utf8(after).map_err(|_| bad_cursor())?;
    let found = api.server.store.api_tokens(&after, limit + 1).await?;
    Ok(Json(Page::of(found, limit, KIND, |token| {
        token.id.clone().into_bytes()
    })))
}

/// Make a token
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "tokens",
    operation_id = "createToken",
    request_body = NewToken,
    responses((status = 201, description = "The token, shown this once.", body = CreatedToken))
)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    Extension(principal): Extension<Principal>,
    extract::Json(wanted): extract::Json<NewToken>,
) -> Result<impl IntoResponse, Problem> {
    let issued = ApiToken::issue(
        api.server.random.as_ref(),
        api.server.clock.now().wall,
        &wanted.name,
        wanted.role,
        wanted.ttl_seconds.map(Duration::from_secs),
        &principal.name,
    );
    let (token, record) = issued.map_err(|error| match error {
        TokenError::Random(error) => Problem::internal(&error),
        wrong => Problem::bad_request("bad-token", wrong.to_string()),
    })?;
    if !api.server.store.add_api_token(&record).await? {
        return Err(Problem::internal(&"a token's id came twice"));
    }
    let change = Change::new("token.create", "token", &record.id);
    let change = change.detail(format!("{}: {}", record.name, record.role));
    let location = [(LOCATION, format!("/v1/tokens/{}", record.id))];
    let created = CreatedToken {
        token: token.expose().to_owned(),
        view: record.into(),
    };
    Ok((StatusCode::CREATED, location, did(change), Json(created)))
}

/// Revoke a token
#[utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    tag = "tokens",
    operation_id = "revokeToken",
    params(("id" = String, Path, description = "The token's id, 16 hex digits.")),
    responses(
        (status = 204, description = "It allows nothing from now on, on any replica."),
        (status = 404, description = "There is none of this id.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn revoke(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    match api.server.store.revoke_api_token(&id).await? {
        Some(token) => {
            let change = Change::new("token.revoke", "token", &token.id).detail(&token.name);
            Ok((StatusCode::NO_CONTENT, did(change)))
        }
        None => Err(
            Problem::not_found("no-such-token", "there is no token of this id")
                .hint("GET /v1/tokens lists them; it is not the token itself"),
        ),
    }
}
