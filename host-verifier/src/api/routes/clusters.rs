//! `/v1/clusters`: the clusters' configuration, its versions, and changes of it.
//!
//! The version of a cluster is its `ETag`: a change with `If-Match` is made at that version or not at all (RFC 9110, section
//! 13.1.1). What may be set is decided in [`crate::server::clusters`], for the command line too.

use axum::extract::State;
use axum::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Principal;
use crate::api::auth::acts::Did;
use crate::api::extract::{self, Page, PageQuery, Path, Query, bad_cursor};
use crate::api::problem::Problem;
use crate::document::nearest;
use crate::policy::Section;
use crate::server::clusters::{By, ChangeError, Changed, ClusterState, HistoryEntry, Submitted};

/// The cursors' first bytes.
const CLUSTERS: u8 = b'c';
const HISTORY: u8 = b'h';
/// More sections than one version can change.
const SECTIONS: u32 = 16;

/// An answer with a version as its `ETag`.
type Versioned<T> = ([(HeaderName, HeaderValue); 1], Json<T>);
/// And with what was done.
type Done = (
    Extension<Did>,
    [(HeaderName, HeaderValue); 1],
    Json<Changed>,
);

/// Documents to put in force.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewConfig {
    /// Each of a section of its own; all are put in force, or none.
    documents: Vec<NewDocument>,
    /// A remark for the history.
    #[serde(default)]
    comment: String,
    /// Check everything, change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A document.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDocument {
    /// What errors shall call it; left out, its number from 1.
    #[schema(example = "lab.yaml")]
    file: Option<String>,
    /// Its text, YAML.
    text: String,
}

/// What is to be taken up again.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WantedRollback {
    /// The version whose state is taken up again; 0 is before anything was set.
    to: u64,
    /// This section only.
    section: Option<String>,
    /// A remark for the history.
    #[serde(default)]
    comment: String,
    /// Check everything, change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Which state.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// This section only.
    section: Option<String>,
    /// As it was at this version; left out, as it is.
    version: Option<u64>,
}

/// What is taken out of force.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct RemovalQuery {
    /// These sections only, with commas between; left out, all of them.
    section: Option<String>,
    /// A remark for the history.
    #[serde(default)]
    comment: String,
    /// Check everything, change nothing.
    #[serde(default, rename = "dryRun")]
    dry_run: bool,
}

/// Which part of a history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// This section only.
    section: Option<String>,
    /// Versions before this one; not with `cursor`.
    before: Option<u64>,
    /// Most entries, 1 to 1000; default 100. A version is never divided.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u32>,
    /// `next` of the page before; leave it out for the first.
    cursor: Option<String>,
}

/// Clusters by name, without texts
#[utoipa::path(
    get,
    path = "/v1/clusters",
    tag = "clusters",
    operation_id = "listClusters",
    params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<ClusterState>))
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ClusterState>>, Problem> {
    let limit = page.limit()?;
    let after = page.after(CLUSTERS)?.map(String::from_utf8).transpose();
    let after = after.map_err(|_| bad_cursor())?;
    let found = api.server.clusters.list(after.as_deref(), limit + 1).await;
    let found = found.map_err(refused)?;
    Ok(Json(Page::of(found, limit, CLUSTERS, |state| {
        state.cluster.clone().into_bytes()
    })))
}

/// What is in force in a cluster, or was
#[utoipa::path(
    get,
    path = "/v1/clusters/{id}/config",
    tag = "clusters",
    operation_id = "getClusterConfig",
    params(("id" = String, Path, description = "The cluster."), StateQuery),
    responses(
        (status = 200, description = "Its sections; `ETag` is its version.", body = ClusterState),
        (status = 404, description = "There is no such cluster, version or section.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<StateQuery>,
) -> Result<Versioned<ClusterState>, Problem> {
    let section = query.section.as_deref().map(section).transpose()?;
    let state = api.server.clusters.state(&id, section, query.version).await;
    let state = state.map_err(refused)?;
    Ok((tag(state.version), Json(state)))
}

/// Who set what and when, the newest first
#[utoipa::path(
    get,
    path = "/v1/clusters/{id}/config/history",
    tag = "clusters",
    operation_id = "getClusterHistory",
    params(("id" = String, Path, description = "The cluster."), HistoryQuery),
    responses(
        (status = 200, description = "A page.", body = Page<HistoryEntry>),
        (status = 404, description = "There is no such cluster.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn history(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<HistoryEntry>>, Problem> {
    let page = PageQuery::new(query.limit, query.cursor);
    let limit = page.limit()?;
    let before = match page.after(HISTORY)? {
        None => query.before,
        Some(_) if query.before.is_some() => return Err(bad_cursor()),
        Some(key) => Some(u64::from_be_bytes(
            key.try_into().map_err(|_| bad_cursor())?,
        )),
    };
    let section = query.section.as_deref().map(section).transpose()?;
    let clusters = &api.server.clusters;
    let found = clusters
        .history(&id, section, before, limit + SECTIONS)
        .await;
    let found = found.map_err(refused)?;
    // The next page begins behind a version: one that has several sections goes whole onto this.
    let version = |at: u32| found.get(at as usize).map(|entry| entry.state.version);
    let mut end = limit;
    while version(end).is_some() && version(end) == version(end - 1) {
        end += 1;
    }
    Ok(Json(Page::of(found, end, HISTORY, |entry| {
        entry.state.version.to_be_bytes().to_vec()
    })))
}

/// Put documents in force, on every replica within a second
///
/// With `If-Match` only if the cluster is at that version.
#[utoipa::path(
    put,
    path = "/v1/clusters/{id}/config",
    tag = "clusters",
    operation_id = "setClusterConfig",
    params(("id" = String, Path, description = "The cluster."), ("If-Match" = Option<String>, Header, description = "Its version, as `ETag` has it.")),
    request_body = NewConfig,
    responses(
        (status = 200, description = "What has changed; `ETag` is the new version.", body = Changed),
        (status = 400, description = "A document cannot be used; `file`, `line` and `column` say where.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The cluster is at another version.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn set(
    State(api): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    extract::Json(wanted): extract::Json<NewConfig>,
) -> Result<Done, Problem> {
    let by = by(&api, &principal, &headers, wanted.comment, wanted.dry_run)?;
    let documents = wanted.documents.into_iter().enumerate();
    let documents: Vec<_> = documents
        .map(|(number, document)| Submitted {
            file: document
                .file
                .unwrap_or_else(|| format!("document {}", number + 1)),
            text: document.text,
        })
        .collect();
    let changed = api.server.clusters.set(&id, &documents, &by).await;
    told(&api, "cluster.set", changed).await
}

/// Take sections out of force
///
/// What the service's own configuration says of the cluster then holds again.
#[utoipa::path(
    delete,
    path = "/v1/clusters/{id}/config",
    tag = "clusters",
    operation_id = "removeClusterConfig",
    params(("id" = String, Path, description = "The cluster."), RemovalQuery, ("If-Match" = Option<String>, Header, description = "Its version, as `ETag` has it.")),
    responses(
        (status = 200, description = "What has changed; `ETag` is the new version.", body = Changed),
        (status = 404, description = "Nothing is set there.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The cluster is at another version.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn remove(
    State(api): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
    Query(query): Query<RemovalQuery>,
    headers: HeaderMap,
) -> Result<Done, Problem> {
    let by = by(&api, &principal, &headers, query.comment, query.dry_run)?;
    let names = query.section.iter().flat_map(|names| names.split(','));
    let sections = names.map(section).collect::<Result<Vec<_>, _>>()?;
    let changed = api.server.clusters.remove(&id, &sections, &by).await;
    told(&api, "cluster.remove", changed).await
}

/// Put in force again what was, as a new version
#[utoipa::path(
    post,
    path = "/v1/clusters/{id}/config/rollback",
    tag = "clusters",
    operation_id = "rollbackClusterConfig",
    params(("id" = String, Path, description = "The cluster."), ("If-Match" = Option<String>, Header, description = "Its version, as `ETag` has it.")),
    request_body = WantedRollback,
    responses(
        (status = 200, description = "What has changed; `ETag` is the new version.", body = Changed),
        (status = 404, description = "There is no such cluster, version or section.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The cluster is at another version.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn rollback(
    State(api): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    extract::Json(wanted): extract::Json<WantedRollback>,
) -> Result<Done, Problem> {
    let by = by(&api, &principal, &headers, wanted.comment, wanted.dry_run)?;
    let section = wanted.section.as_deref().map(section).transpose()?;
    let clusters = &api.server.clusters;
    let changed = clusters.rollback(&id, section, wanted.to, &by).await;
    told(&api, "cluster.rollback", changed).await
}

fn by(
    api: &ApiState,
    principal: &Principal,
    headers: &HeaderMap,
    comment: String,
    dry_run: bool,
) -> Result<By, Problem> {
    Ok(By {
        author: principal.name.clone(),
        comment,
        expected: expected(headers)?,
        at: api.server.clock.now().wall,
        dry_run,
    })
}

/// What is changed is served here before the answer; the other replicas follow by themselves.
async fn told(
    api: &ApiState,
    action: &'static str,
    changed: Result<Changed, ChangeError>,
) -> Result<Done, Problem> {
    let changed = changed.map_err(refused)?;
    let change = changed.record(action);
    if change.is_some() {
        // It is stored. Where the store does not answer now, that is told by the health, and it is taken up later.
        let _ = api
            .server
            .clusters
            .refresh(&api.server.verifier, false)
            .await;
    }
    let did = change.map_or(Did::Nothing, Did::Changed);
    Ok((Extension(did), tag(changed.version), Json(changed)))
}

fn tag(version: u64) -> [(HeaderName, HeaderValue); 1] {
    let tag = HeaderValue::try_from(format!("\"{version}\""));
    // Digits in quotes always make a header.
    [(ETAG, tag.unwrap_or(HeaderValue::from_static("\"\"")))]
}

/// The version that `If-Match` names; `*` is any.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut sent = headers.get_all(IF_MATCH).iter();
    let tag = match (sent.next(), sent.next()) {
        (None, _) => return Ok(None),
        (Some(tag), None) => tag.to_str().unwrap_or_default().trim(),
        (Some(_), Some(_)) => "",
    };
    if tag == "*" {
        return Ok(None);
    }
    let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let digits = version.filter(|tag| tag.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|tag| tag.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None => Err(
            Problem::bad_request("bad-if-match", "If-Match is no version of a cluster").hint(
                "send one `ETag` of GET /v1/clusters/{id}/config as it is, for instance \"3\"",
            ),
        ),
    }
}

fn section(name: &str) -> Result<Section, Problem> {
    Section::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Section::of_clusters().map(Section::name).collect();
        let problem = Problem::bad_request("bad-section", format!("there is no section {name:?}"));
        match nearest(name, names.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("sections are {}", names.join(", "))),
        }
    })
}

fn refused(error: ChangeError) -> Problem {
    let (status, code) = match &error {
        ChangeError::Name(_) => (StatusCode::BAD_REQUEST, "bad-name"),
        ChangeError::Document(_) => (StatusCode::BAD_REQUEST, "bad-document"),
        ChangeError::Twice { .. } | ChangeError::Nothing => (StatusCode::BAD_REQUEST, "bad-body"),
        ChangeError::Remark(_) => (StatusCode::BAD_REQUEST, "bad-comment"),
        ChangeError::Conflict { .. } => (StatusCode::PRECONDITION_FAILED, "other-version"),
        ChangeError::Contended(_) => (StatusCode::CONFLICT, "contended"),
        ChangeError::UnknownCluster(_) => (StatusCode::NOT_FOUND, "no-such-cluster"),
        ChangeError::NoVersion { .. } => (StatusCode::NOT_FOUND, "no-such-version"),
        ChangeError::NoSection { .. } => (StatusCode::NOT_FOUND, "no-such-section"),
        ChangeError::Store(_) => match error {
            ChangeError::Store(error) => return error.into(),
            other => return Problem::internal(&other),
        },
    };
    let problem =
        match &error {
            ChangeError::Document(document) => Problem::new(status, code, document.message.clone())
                .at(&document.file, document.line, document.column),
            other => Problem::new(status, code, other.to_string()),
        };
    match error.hint() {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}
