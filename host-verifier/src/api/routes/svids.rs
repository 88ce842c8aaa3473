//! `/v1/svids`: SVIDs for a node that holds a live session, between two renewals.
//!
//! An SVID never outlives its session, so that a revocation ends both: the session at once, the SVID when it ends.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::ApiState;
use crate::api::auth::session::over;
use crate::api::extract;
use crate::api::login::Base64;
use crate::api::peer::Peer;
use crate::api::problem::Problem;
use crate::audit::{IssuedSvid, Record};
use crate::login::SvidOrder;
use crate::server::IssueFailed;
use crate::store::SessionRecord;
use crate::svid::{IssueError, verify_csr};
use crate::telemetry::metrics::Occasion;
use crate::telemetry::names;

/// How long a node waits for an authority to come, or for a disk.
const AUTHORITY_WAIT: core::time::Duration = core::time::Duration::from_secs(10);

/// Whom a token is for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WantedJwt {
    /// Who will be shown the token, 1 to 8. Each of them can show it to the others.
    #[schema(example = json!(["spiffe://example.org/database"]), min_items = 1, max_items = 8)]
    audience: Vec<String>,
}

/// A JWT-SVID. Whoever has the token has the identity until it ends.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedJwt {
    /// The token, in JWS compact serialization.
    svid: String,
    /// The identity.
    #[schema(example = "spiffe://example.org/node/3f1b…")]
    spiffe_id: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Which key is to be certified.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WantedX509 {
    /// A certificate request (PKCS #10, DER) that the key of the login has signed. Only its key counts.
    csr: Base64,
}

/// An X.509-SVID.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedX509 {
    /// Certificates, DER, the SVID first; the root is not among them.
    chain: Vec<Base64>,
    /// The identity.
    #[schema(example = "spiffe://example.org/node/3f1b…")]
    spiffe_id: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A JWT-SVID for the session's identity
#[utoipa::path(
    post,
    path = "/v1/svids/jwt",
    tag = "svids",
    operation_id = "issueJwtSvid",
    request_body = WantedJwt,
    responses((status = 200, description = "The token.", body = IssuedJwt))
)]
pub(in crate::api) async fn jwt(
    State(api): State<ApiState>,
    Extension(peer): Extension<Peer>,
    Extension(session): Extension<SessionRecord>,
    extract::Json(wanted): extract::Json<WantedJwt>,
) -> Result<Json<IssuedJwt>, Problem> {
    let audience: Vec<_> = wanted.audience.iter().map(String::as_str).collect();
    let svid = api.server.issue_jwt(&session, &audience).await;
    let svid = svid.map_err(|error| refused(&error))?;
    recorded(&api, &peer, &session, IssuedSvid::jwt(&svid, &audience)).await?;
    Ok(Json(IssuedJwt {
        svid: svid.token,
        spiffe_id: session.spiffe_id,
        expires_at: svid.expires_at,
    }))
}

/// An X.509-SVID for the very key that the login has certified
#[utoipa::path(
    post,
    path = "/v1/svids/x509",
    tag = "svids",
    operation_id = "issueX509Svid",
    request_body = WantedX509,
    responses(
        (status = 200, description = "The certificates.", body = IssuedX509),
        (status = 403, description = "The request is not of the key that the login has certified.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn x509(
    State(api): State<ApiState>,
    Extension(peer): Extension<Peer>,
    Extension(session): Extension<SessionRecord>,
    extract::Json(wanted): extract::Json<WantedX509>,
) -> Result<Json<IssuedX509>, Problem> {
    let key = verify_csr(&wanted.csr.0)
        .map_err(|error| Problem::bad_request("bad-csr", error.to_string()))?;
    let certified = session.svid_key.as_deref();
    // What shows that a key lives in the node's TPM is the login; a secret of the session can be carried off.
    if certified != Some(key.spki_der()) {
        let detail = match certified {
            Some(_) => "the request is of another key than the login has certified",
            None => "the login of this session has certified no key",
        };
        return Err(Problem::new(StatusCode::FORBIDDEN, "other-key", detail)
            .hint("a key is certified to live in the node's TPM by a login: log in anew with it"));
    }
    let order = SvidOrder {
        spiffe_id: &session.spiffe_id,
        key: &key,
        expires_at: session.expires_at,
    };
    let svid = api.server.issue_x509(order, Occasion::Session).await;
    let svid = svid.map_err(|error| refused(&error))?;
    recorded(&api, &peer, &session, IssuedSvid::x509(&svid)).await?;
    Ok(Json(IssuedX509 {
        chain: svid.chain.into_iter().map(Base64).collect(),
        spiffe_id: session.spiffe_id,
        expires_at: svid.not_after,
    }))
}

fn refused(error: &IssueFailed) -> Problem {
    match error {
        IssueFailed::Issue(error @ IssueError::Audience) => {
            Problem::bad_request("bad-audience", error.to_string())
        }
        // The session ends within this second.
        IssueFailed::Issue(IssueError::Lifetime(_)) => over(),
        IssueFailed::Issue(error @ IssueError::NoAuthority) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-authority",
            error.to_string(),
        )
        .hint("/ready says why; ask again as Retry-After says")
        .retry_after(AUTHORITY_WAIT),
        other => Problem::internal(other),
    }
}

/// In the audit trail before the node has it.
async fn recorded(
    api: &ApiState,
    peer: &Peer,
    session: &SessionRecord,
    svid: IssuedSvid,
) -> Result<(), Problem> {
    let (kind, expires_at) = (svid.kind, svid.expires_at);
    let link = format!("https:{}", peer.address.ip());
    let record = Record::issued(api.server.clock.now().wall, &link, session, svid);
    if let Err(error) = api.server.record(&record).await {
        tracing::error!(session_id = %session.id, %error, "{}", names::AUDIT_FAILED);
        let detail = "the SVID cannot be recorded in the audit trail";
        return Err(
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-recorded", detail)
                .hint("/ready says why; ask again as Retry-After says")
                .retry_after(AUTHORITY_WAIT),
        );
    }
    tracing::info!(
        session_id = %session.id,
        spiffe_id = session.spiffe_id,
        kind,
        expires_at = %expires_at,
        "{}",
        names::SVID_ISSUED
    );
    Ok(())
}
