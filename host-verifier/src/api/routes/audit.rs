//! `/v1/audit` and `/v1/evidence`: what this replica decided and what operators did here, and on the strength of what.
//!
//! Each replica has a trail of its own, so that a login is found at the replica that decided it.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use crate::api::ApiState;
use crate::api::extract::{self, Page, PageQuery, Query, bad_cursor};
use crate::api::problem::Problem;
use crate::audit;

use crate::audit::page::{Place, Records, backwards};

/// Most bytes of the records of one login that an answer is made of.
const MAX_FOUND: usize = 4 * 1024 * 1024;
/// How long a request waits for its turn to read the trail.
const TURN: Duration = Duration::from_secs(2);
/// How many records of a login an answer has no room for. The one that decided it is always there.
const OMITTED: HeaderName = HeaderName::from_static("assay-omitted");

/// The records of a login, the one that decided it first, and how many did not fit.
type Answer<T> = ([(HeaderName, HeaderValue); 1], Json<Vec<T>>);

/// The cursors' first byte.
const KIND: u8 = b'a';

/// A decision or an operator's act, in short. Names in the trail have underscores, in answers they have not.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub struct Decision {
    /// Its number in the trail, from 1.
    seq: u64,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// What it was decided on: `login`, `renewal`, `svid`, or `replay` of an answer that was given before.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Which login, 32 hex digits; nothing where that is not proven, and of an operator's act.
    #[serde(skip_serializing_if = "Option::is_none")]
    login_id: Option<String>,
    /// The login that a replayed answer was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    untrusted_login_id: Option<String>,
    /// Which act, 16 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    act_id: Option<String>,
    /// The link it came over.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// The head of a file that retention removes.
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<String>,
    /// Of a login `granted` or `denied`, of a renewal `renewed` or `denied`, of an SVID between two renewals `issued`, of a file
    /// of the trail `removed`; of an operator's act `done`, `refused` or `failed`.
    outcome: String,
    /// What an operator did, as in `node.ban`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "node.ban")]
    action: Option<String>,
    /// The operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<ActorView>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<TargetView>,
    /// Attempts of this operator since their last record that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    unrecorded: Option<u64>,
    /// The cluster that the agent named.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// The category of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The policy that won.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// The node's identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The session that somebody wanted to renew who has not proven to be its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    untrusted_session_id: Option<String>,
    /// SHA-256 of the EK.
    #[serde(skip_serializing_if = "Option::is_none")]
    ek_hash: Option<String>,
    /// The SVID that was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    svid: Option<SvidView>,
}

/// An operator.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ActorView {
    /// `token`, `certificate` or `command-line`.
    kind: String,
    /// The token's id, the name in the certificate, or the user id.
    id: String,
    /// The name that people know them by.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The role that they had.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// What something was done to.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TargetView {
    /// `session`, `node`, `token`, `join-token` or `cluster`; `path` of a request that was not looked at.
    kind: String,
    /// Its name.
    id: String,
}

/// An SVID that was issued.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub struct SvidView {
    /// `x509` or `jwt`.
    kind: String,
    /// The certificate's serial number, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    /// SHA-256 of the token, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Whom the token is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audience: Vec<String>,
    /// The authority that signed it.
    authority: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A decision with how it came about.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WholeDecision {
    #[serde(flatten)]
    decision: Decision,
    /// What the winner's attestors vouch for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    attributes: Option<Value>,
    /// What each policy made of it, where a refusal came to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    explanation: Option<Value>,
    /// Every step.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    steps: Vec<Value>,
}

/// What a login has said, byte for byte.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub struct Evidence {
    /// The decision's number in the trail.
    seq: u64,
    /// Which login; nothing where that is not proven.
    #[serde(default)]
    login_id: String,
    /// Messages and long fields, in the order in which they came.
    #[serde(default)]
    evidence: Vec<Piece>,
    /// What a renewal was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    judged_by: Option<Value>,
}

/// A message or a long field.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Piece {
    /// `agent` or `verifier`.
    from: String,
    /// `message`, or `blob` and its number: a long field that the next message names.
    kind: String,
    /// The bytes. Of a refused login in which nothing was proven there are only `len` and `sha256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The bytes, sealed, where they hold a token or secret that lets its reader in. They open with the verifier's data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    /// How many bytes they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
    /// Their SHA-256, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// A decision, and the place of the one before it.
struct Found {
    decision: Decision,
    before: Place,
}

impl From<Found> for Decision {
    fn from(found: Found) -> Self {
        found.decision
    }
}

/// Decisions and acts, the newest first
///
/// A page ends after 4 MiB of records, too; `next` leads on.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    operation_id = "listDecisions",
    params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<Decision>))
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Decision>>, Problem> {
    let (found, limit) = read(&api, &page, |line, before| {
        let decision = serde_json::from_slice(line)?;
        Ok(Found { decision, before })
    })
    .await?;
    Ok(Json(Page::of(found, limit, KIND, |found: &Found| {
        key(found.before)
    })))
}

/// A record as an event of the Open Cybersecurity Schema Framework.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(value_type = Object)]
pub struct OcsfEvent(Value);

/// An event and the place of the record before it; `None` for a record that is no event.
struct FoundEvent {
    event: Option<Value>,
    before: Place,
}

impl From<FoundEvent> for OcsfEvent {
    fn from(found: FoundEvent) -> Self {
        Self(found.event.unwrap_or_default())
    }
}

/// Records as events of OCSF 1.2.0, the newest first
///
/// A page may have fewer entries than it was asked for: what is no decision and no act is no event, and a page ends after
/// 4 MiB of records.
#[utoipa::path(
    get,
    path = "/v1/audit/events",
    tag = "audit",
    operation_id = "listEvents",
    params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<OcsfEvent>))
)]
pub(in crate::api) async fn events(
    State(api): State<ApiState>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OcsfEvent>>, Problem> {
    let (found, limit) = read(&api, &page, |line, before| {
        let record = serde_json::from_slice(line)?;
        let event = audit::ocsf::event(&record);
        Ok(FoundEvent { event, before })
    })
    .await?;
    let mut page = Page::of(found, limit, KIND, |found: &FoundEvent| key(found.before));
    page.retain(|event: &OcsfEvent| !event.0.is_null());
    Ok(Json(page))
}

/// The records of a page, with one more where there are more, and how many the page has.
async fn read<T: Send + 'static>(
    api: &ApiState,
    page: &PageQuery,
    each: impl Fn(&[u8], Place) -> serde_json::Result<T> + Send + 'static,
) -> Result<(Vec<T>, u32), Problem> {
    let limit = page.limit()?;
    let from = page.after(KIND)?.map(|key| place(&key)).transpose()?;
    let turn = turn(api).await?;
    let path = api.audit_trail.as_ref().clone();
    let read = spawn_blocking(move || {
        let _turn = turn;
        let Records { lines, cut } = backwards(&path, from, limit as usize + 1)?;
        let limit = match cut {
            // The last one begins the next page.
            true => u32::try_from(lines.len().saturating_sub(1)).unwrap_or(limit),
            false => limit,
        };
        let records = lines.iter().map(|(line, before)| Ok(each(line, *before)?));
        Ok((records.collect::<io::Result<Vec<_>>>()?, limit))
    });
    let found = read.await.map_err(|error| Problem::internal(&error))?;
    found.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::InvalidInput => bad_cursor(),
        _ => unreadable(&error),
    })
}

/// One reads the trail at a time: it has no index, and viewers with a loop would keep the disk from the writer.
async fn turn(api: &ApiState) -> Result<OwnedSemaphorePermit, Problem> {
    let turn = api.audit_search.clone().acquire_owned();
    let turn = tokio::time::timeout(TURN, turn).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "the audit trail is being read for somebody else",
        )
        .hint("wait as long as Retry-After says")
        .retry_after(Duration::from_secs(1))
    })
}

fn key(place: Place) -> Vec<u8> {
    let Place { seq, end } = place;
    [seq.to_be_bytes(), end.to_be_bytes()].concat()
}

/// A place out of a cursor.
fn place(key: &[u8]) -> Result<Place, Problem> {
    let number = |bytes: Option<&[u8]>| {
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or_else(bad_cursor)
    };
    Ok(Place {
        seq: number(key.get(..8))?,
        end: number(key.get(8..))?,
    })
}

/// The decisions on one login, with every step
///
/// The one that decided the login comes first; then its renewals, its SVIDs, and what somebody sent who has proven nothing, in
/// the order in which they were recorded.
#[utoipa::path(
    get,
    path = "/v1/audit/{id}",
    tag = "audit",
    operation_id = "getDecision",
    params(("id" = String, Path, description = "The login, 32 hex digits.")),
    responses(
        (status = 200, description = "What was decided.", body = Vec<WholeDecision>, headers(("assay-omitted" = u64, description = "Records that the answer has no room for."))),
        (status = 404, description = "This replica has decided no such login.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    State(api): State<ApiState>,
    extract::Path(id): extract::Path<String>,
) -> Result<Answer<WholeDecision>, Problem> {
    search(&api, id).await
}

/// What one login has said, for `assay evidence verify` and other tools
///
/// The login first, then what came after it, as `/v1/audit/{id}` has it.
#[utoipa::path(
    get,
    path = "/v1/evidence/{id}",
    tag = "audit",
    operation_id = "getEvidence",
    params(("id" = String, Path, description = "The login, 32 hex digits.")),
    responses(
        (status = 200, description = "The evidence.", body = Vec<Evidence>, headers(("assay-omitted" = u64, description = "Records that the answer has no room for."))),
        (status = 404, description = "This replica has decided no such login.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn evidence(
    State(api): State<ApiState>,
    extract::Path(id): extract::Path<String>,
) -> Result<Answer<Evidence>, Problem> {
    search(&api, id).await
}

/// The records of a login, out of all files of the trail.
async fn search<T>(api: &ApiState, login: String) -> Result<Answer<T>, Problem>
where
    T: for<'de> Deserialize<'de> + Send + 'static,
{
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if login.len() != 32 || !login.bytes().all(digit) {
        return Err(Problem::bad_request(
            "bad-id",
            "a login has 32 lower-case hex digits",
        ));
    }
    let turn = turn(api).await?;
    let path = api.audit_trail.as_ref().clone();
    let mut found = audit::found::Found::of(&login, MAX_FOUND);
    let read = spawn_blocking(move || {
        // It ends with the reading, also when nobody waits for that any more.
        let _turn = turn;
        let files = audit::files::open(&path).map_err(|(_, error)| error.to_string())?;
        for (_, file) in files {
            audit::verify::read(file, &mut |line| found.take(line))
                .map_err(|error| error.to_string())?;
        }
        let (lines, omitted) = found.into_lines();
        let records = lines.iter().map(|line| serde_json::from_slice(line));
        let records = records.collect::<Result<Vec<T>, _>>();
        Ok::<_, String>((records.map_err(|error| error.to_string())?, omitted))
    });
    let found = read.await.map_err(|error| Problem::internal(&error))?;
    let (found, omitted) = found.map_err(|error| unreadable(&error))?;
    match found.is_empty() {
        false => Ok(([(OMITTED, omitted.into())], Json(found))),
        true => Err(
            Problem::not_found("no-such-login", format!("there is no login {login} here"))
                .hint("GET /v1/audit lists the last ones; each replica has its own"),
        ),
    }
}

fn unreadable(error: &dyn core::fmt::Display) -> Problem {
    Problem::internal(error).hint("`assay audit verify` says where the trail is broken")
}
