//! `/v1/nodes` and `/v1/eks`: who ever logged in, and the keys that they are.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::ApiState;
use crate::api::auth::Principal;
use crate::api::auth::acts::{Did, did};
use crate::api::extract::{self, Order, OrderedQuery, Page, PageQuery, Path, Query, bad_cursor};
use crate::api::problem::Problem;
use crate::audit::Change;
use crate::store::{Ban, NodeRecord};

/// The cursors' first bytes.
const NODES: u8 = b'n';
const EKS: u8 = b'e';

/// A node that logged in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Who it is: SHA-256 of its EK's SubjectPublicKeyInfo, hex; for a node without a TPM, of its SPIFFE ID (with a prefix).
    ek_hash: String,
    /// The identity it holds.
    #[schema(example = "spiffe://example.org/node/3f1b…")]
    spiffe_id: String,
    /// Its cluster.
    cluster: String,
    /// The TPM Name of the AK that it used last, hex; nothing for a node without a TPM.
    ak_name: Option<String>,
    /// Where its TPM's counters stood when that was proven last.
    boot: Option<BootView>,
    /// When it logged in first.
    #[schema(value_type = String, format = DateTime)]
    first_seen: Timestamp,
    /// When it logged in last.
    #[schema(value_type = String, format = DateTime)]
    last_seen: Timestamp,
    /// Why it may not log in, if it may not.
    ban: Option<BanView>,
}

/// A TPM's counters.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootView {
    /// Milliseconds that the TPM was powered.
    clock: u64,
    /// TPM Resets.
    reset_count: u32,
    /// TPM Restarts and Resumes since.
    restart_count: u32,
    /// Whether the clock cannot have gone back.
    safe: bool,
    /// The TPM's firmware, hex.
    firmware_version: String,
}

/// A ban.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BanView {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    banned_at: Timestamp,
    /// Who said so.
    banned_by: String,
    /// Why.
    reason: String,
}

/// Why a node is to be banned.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBan {
    /// Why, in one line of 1 to 512 bytes.
    #[schema(example = "stolen from rack 7", min_length = 1, max_length = 512)]
    reason: String,
}

/// An endorsement key that a login has proven.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EkView {
    /// SHA-256 of its SubjectPublicKeyInfo, hex.
    hash: String,
    /// The cluster of its node.
    cluster: String,
    /// The identity of its node.
    spiffe_id: String,
    /// When its node logged in first.
    #[schema(value_type = String, format = DateTime)]
    first_seen: Timestamp,
    /// Whether it may not log in.
    banned: bool,
}

impl From<NodeRecord> for NodeView {
    fn from(node: NodeRecord) -> Self {
        Self {
            ak_name: node.attestation_key().map(hex::encode),
            ek_hash: node.ek_hash,
            spiffe_id: node.spiffe_id,
            cluster: node.cluster,
            boot: node.boot.map(|boot| BootView {
                clock: boot.clock,
                reset_count: boot.reset_count,
                restart_count: boot.restart_count,
                safe: boot.safe,
                firmware_version: format!("{:016x}", boot.firmware_version),
            }),
            first_seen: node.first_seen,
            last_seen: node.last_seen,
            ban: node.ban.map(BanView::from),
        }
    }
}

impl From<Ban> for BanView {
    fn from(ban: Ban) -> Self {
        Self {
            banned_at: ban.banned_at,
            banned_by: ban.banned_by,
            reason: ban.reason,
        }
    }
}

/// The key of a node, if it has a TPM.
struct MaybeEk(Option<EkView>);

impl From<NodeRecord> for MaybeEk {
    fn from(node: NodeRecord) -> Self {
        let has_tpm = node.attestation_key().is_some();
        Self(has_tpm.then(|| EkView {
            hash: node.ek_hash,
            cluster: node.cluster,
            spiffe_id: node.spiffe_id,
            first_seen: node.first_seen,
            banned: node.ban.is_some(),
        }))
    }
}

/// Nodes, by their hash or the last seen first
#[utoipa::path(
    get,
    path = "/v1/nodes",
    tag = "nodes",
    operation_id = "listNodes",
    params(OrderedQuery),
    responses((status = 200, description = "A page.", body = Page<NodeView>))
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    Query(query): Query<OrderedQuery>,
) -> Result<Json<Page<NodeView>>, Problem> {
    let (page, order) = query.read()?;
    if order == Order::Newest {
        let found = api.server.store.nodes(page.limit()?).await?;
        return Ok(Json(Page::whole(found)));
    }
    Ok(Json(records(&api, &page, NODES).await?))
}

/// One node
#[utoipa::path(
    get,
    path = "/v1/nodes/{id}",
    tag = "nodes",
    operation_id = "getNode",
    params(("id" = String, Path, description = "Its hash, as the list shows it: 64 hex digits.")),
    responses(
        (status = 200, description = "The node.", body = NodeView),
        (status = 404, description = "None with this hash has logged in.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<NodeView>, Problem> {
    Ok(Json(record(&api, &id).await?.into()))
}

/// Forget a node and its sessions, so that another TPM can take its identity
#[utoipa::path(
    delete,
    path = "/v1/nodes/{id}",
    tag = "nodes",
    operation_id = "evictNode",
    params(("id" = String, Path, description = "Its hash, as the list shows it: 64 hex digits.")),
    responses(
        (status = 204, description = "It is forgotten; a ban of it stays."),
        (status = 404, description = "None with this hash has logged in.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn evict(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    check(&id)?;
    match api.server.store.evict_node(&id).await? {
        true => Ok((
            StatusCode::NO_CONTENT,
            did(Change::new("node.evict", "node", &id)),
        )),
        false => Err(none(&id)),
    }
}

/// Take a node's next boot as it is, whatever its counters were
///
/// For a TPM that was reset without its node, once somebody has looked. All else that is known of the node stays: its
/// identity, its sessions, and which microcontroller and keys it is bound to.
#[utoipa::path(
    delete,
    path = "/v1/nodes/{id}/boots",
    tag = "nodes",
    operation_id = "forgetNodeBoots",
    params(("id" = String, Path, description = "Its hash, as the list shows it: 64 hex digits.")),
    responses(
        (status = 204, description = "Its counters are forgotten."),
        (status = 404, description = "No boot of a node with this hash was noted.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn forget_boots(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    check(&id)?;
    match api.server.store.forget_boot(&id).await? {
        true => Ok((
            StatusCode::NO_CONTENT,
            did(Change::new("node.forget-boots", "node", &id)),
        )),
        false => Err(
            Problem::not_found("no-such-boot", format!("no boot of node {id} is noted"))
                .hint("only nodes that log in with an event log and count their boots have one"),
        ),
    }
}

/// Refuse a TPM from now on, and end its sessions now
///
/// It need not have logged in before.
#[utoipa::path(
    post,
    path = "/v1/nodes/{id}/ban",
    tag = "nodes",
    operation_id = "banNode",
    params(("id" = String, Path, description = "Its hash, as the list shows it: 64 hex digits.")),
    request_body = NewBan,
    responses(
        (status = 201, description = "It is banned, for every replica.", body = BanView),
        (status = 409, description = "It is banned already; the first ban stays as it is.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn ban(
    State(api): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
    extract::Json(wanted): extract::Json<NewBan>,
) -> Result<(StatusCode, Extension<Did>, Json<BanView>), Problem> {
    check(&id)?;
    let now = api.server.clock.now().wall;
    let ban = Ban::new(&id, now, &principal.name, &wanted.reason)
        .map_err(|error| Problem::bad_request("bad-ban", error.to_string()))?;
    match api.server.store.ban(&ban).await? {
        true => {
            let change = Change::new("node.ban", "node", &id).detail(&ban.reason);
            Ok((StatusCode::CREATED, did(change), Json(ban.into())))
        }
        false => Err(Problem::new(
            StatusCode::CONFLICT,
            "banned-already",
            format!("node {id} is banned already"),
        )
        .hint("lift the ban first, if its reason is to be another")),
    }
}

/// A ban, and whom it is of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BanEntry {
    /// The node's hash, hex.
    ek_hash: String,
    #[serde(flatten)]
    ban: BanView,
}

impl From<Ban> for BanEntry {
    fn from(ban: Ban) -> Self {
        Self {
            ek_hash: ban.ek_hash.clone(),
            ban: ban.into(),
        }
    }
}

/// How many of the newest.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LimitQuery {
    /// Most entries, 1 to 1000; default 100.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u32>,
}

/// Bans, the latest first, also of TPMs that never logged in
#[utoipa::path(
    get,
    path = "/v1/bans",
    tag = "nodes",
    operation_id = "listBans",
    params(LimitQuery),
    responses((status = 200, description = "The latest bans.", body = Page<BanEntry>))
)]
pub(in crate::api) async fn bans(
    State(api): State<ApiState>,
    Query(query): Query<LimitQuery>,
) -> Result<Json<Page<BanEntry>>, Problem> {
    let limit = PageQuery::new(query.limit, None).limit()?;
    let found = api.server.store.bans(limit).await?;
    Ok(Json(Page::whole(found)))
}

/// Lift a ban
///
/// Sessions that it ended stay ended.
#[utoipa::path(
    delete,
    path = "/v1/nodes/{id}/ban",
    tag = "nodes",
    operation_id = "unbanNode",
    params(("id" = String, Path, description = "Its hash, as the list shows it: 64 hex digits.")),
    responses(
        (status = 204, description = "It may log in again."),
        (status = 404, description = "It is not banned.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn unban(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Extension<Did>), Problem> {
    check(&id)?;
    match api.server.store.unban(&id).await? {
        true => Ok((
            StatusCode::NO_CONTENT,
            did(Change::new("node.unban", "node", &id)),
        )),
        false => Err(
            Problem::not_found("no-such-ban", format!("node {id} is not banned"))
                .hint("GET /v1/bans lists them"),
        ),
    }
}

/// Endorsement keys of nodes that logged in, by their hash
#[utoipa::path(
    get,
    path = "/v1/eks",
    tag = "nodes",
    operation_id = "listEks",
    params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<EkView>))
)]
pub(in crate::api) async fn eks(
    State(api): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<EkView>>, Problem> {
    // A page of nodes; those without a TPM have no key to show, so it may be shorter than was asked for.
    let page: Page<MaybeEk> = records(&api, &page, EKS).await?;
    Ok(Json(page.filter_map(|ek| ek.0)))
}

/// One endorsement key
#[utoipa::path(
    get,
    path = "/v1/eks/{id}",
    tag = "nodes",
    operation_id = "getEk",
    params(("id" = String, Path, description = "Its hash, 64 hex digits.")),
    responses(
        (status = 200, description = "The key.", body = EkView),
        (status = 404, description = "No login has proven it.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn ek(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<EkView>, Problem> {
    let MaybeEk(ek) = record(&api, &id).await?.into();
    Ok(Json(ek.ok_or_else(|| none(&id))?))
}

async fn records<T: From<NodeRecord>>(
    api: &ApiState,
    page: &PageQuery,
    kind: u8,
) -> Result<Page<T>, Problem> {
    let limit = page.limit()?;
    let after = page.after(kind)?.unwrap_or_default();
    let after = String::from_utf8(after).map_err(|_| bad_cursor())?;
    let found = api.server.store.node_page(&after, limit + 1).await?;
    Ok(Page::of(found, limit, kind, |node| {
        node.ek_hash.clone().into_bytes()
    }))
}

async fn record(api: &ApiState, id: &str) -> Result<NodeRecord, Problem> {
    check(id)?;
    let node = api.server.store.node(id).await?;
    node.ok_or_else(|| none(id))
}

fn check(id: &str) -> Result<(), Problem> {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    match id.len() == 64 && id.bytes().all(digit) {
        true => Ok(()),
        false => Err(Problem::bad_request(
            "bad-id",
            "the hash of a node has 64 lower-case hex digits",
        )),
    }
}

fn none(id: &str) -> Problem {
    Problem::not_found("no-such-node", format!("there is no node {id}"))
        .hint("GET /v1/nodes lists those that ever logged in")
}
