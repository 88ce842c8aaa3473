//! `/v1/identities`: nodes by what a method calls them. What is known of one: the key that it is bound to (`tofu`), and its ban.

use assay_common::policy::AttestorKind;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::nodes::BanView;
use crate::api::ApiState;
use crate::api::auth::acts::{Did, did};
use crate::api::extract::Query;
use crate::api::problem::Problem;
use crate::audit::Change;
use crate::store::{first_use_hash, identity_hash};

/// Longest identity, bytes.
const MAX_IDENTITY: usize = 1024;

/// Which node.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IdentityQuery {
    /// The method that names it.
    #[param(example = "aws_iid")]
    method: String,
    /// What the method calls it, as `identities` of the audit trail has it; 1 to 1024 bytes.
    #[param(
        example = "aws:aws:123456789012:eu-west-1:i-0123456789abcdef0",
        min_length = 1,
        max_length = 1024
    )]
    identity: String,
}

/// What is known of an identity.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityView {
    /// The method that names it.
    method: String,
    /// What the method calls it.
    identity: String,
    /// What it is bound to, if a policy with `tofu` has bound it.
    bound: Option<BoundView>,
    /// Why it may not log in, if it may not.
    ban: Option<BanView>,
}

/// What the first login of an instance has bound it to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoundView {
    /// The node that it is, as `/v1/nodes/{id}` takes it.
    node: String,
    /// SHA-256 of the key, SubjectPublicKeyInfo in DER, hex.
    key: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    bound_at: Timestamp,
}

/// What is known of a node by what a method calls it
#[utoipa::path(
    get,
    path = "/v1/identities",
    tag = "nodes",
    operation_id = "getIdentity",
    params(IdentityQuery),
    responses(
        (status = 200, description = "The key that it is bound to, and its ban.", body = IdentityView),
        (status = 404, description = "It is neither bound nor banned.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    State(api): State<ApiState>,
    Query(query): Query<IdentityQuery>,
) -> Result<Json<IdentityView>, Problem> {
    let (method, identity) = query.read()?;
    let bound = api.server.store.bound(method, &identity).await?;
    let banned = identity_hash(method, &query.identity);
    let ban = api.server.store.ban_of(&banned).await?;
    if bound.is_none() && ban.is_none() {
        return Err(query.none());
    }
    Ok(Json(IdentityView {
        method: query.method,
        identity: query.identity,
        bound: bound.map(|bound| BoundView {
            node: bound.node,
            key: hex::encode(bound.key),
            bound_at: bound.bound_at,
        }),
        ban: ban.map(BanView::from),
    }))
}

/// Unbind one instance from its key, and end its sessions with it
///
/// It can log in with another key then. Others with its SPIFFE ID stay as they are, and so does a ban.
#[utoipa::path(
    delete,
    path = "/v1/identities",
    tag = "nodes",
    operation_id = "unbindIdentity",
    params(IdentityQuery),
    responses(
        (status = 204, description = "It is bound to no key."),
        (status = 404, description = "It is not bound.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn unbind(
    State(api): State<ApiState>,
    Query(query): Query<IdentityQuery>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    let (method, identity) = query.read()?;
    let bound = api.server.store.unbind(method, &identity).await?;
    let bound = bound.ok_or_else(|| query.none())?;
    let change = Change::new("node.unbind", "node", &bound.node);
    let whom = format!("{}={}", query.method, query.identity);
    Ok((StatusCode::NO_CONTENT, did(change.detail(whom))))
}

impl IdentityQuery {
    fn read(&self) -> Result<(AttestorKind, [u8; 32]), Problem> {
        let method = AttestorKind::from_name(&self.method)
            .ok_or_else(|| Problem::bad_request("bad-method", "there is no method of this name"))?;
        match (1..=MAX_IDENTITY).contains(&self.identity.len()) {
            true => Ok((method, first_use_hash(&self.identity))),
            false => Err(Problem::bad_request(
                "bad-id",
                format!("an identity has 1 to {MAX_IDENTITY} bytes"),
            )),
        }
    }

    fn none(&self) -> Problem {
        let what = format!("no key is bound to {}={}", self.method, self.identity);
        Problem::not_found("no-such-identity", what)
            .hint("`identities` of a login in GET /v1/audit has what each method calls its node")
    }
}
