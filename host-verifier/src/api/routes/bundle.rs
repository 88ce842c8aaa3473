//! `/v1/bundle`: what everybody needs to trust this verifier and the SVIDs that it issues. Public.
//!
//! The SPIFFE bundle is for workloads and for SPIRE's federation; `/keys` and `/.well-known/openid-configuration` are the same
//! JWT authorities for consumers that know OIDC only.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::api::tagged::Tagged;
use crate::crypto::{Curve, EcPublicKey, PublicKey};
use crate::svid::bundle::REFRESH_HINT;

/// The trust domain and its keys.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundleView {
    /// The trust domain.
    #[schema(example = "example.org")]
    trust_domain: String,
    /// The key that signs challenges, which nodes pin.
    challenge_key: ChallengeKeyView,
}

/// A public key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeKeyView {
    /// Always `ecdsa-p256-sha256`.
    algorithm: &'static str,
    /// The uncompressed SEC1 point, hex: what a provisioning record holds.
    sec1: String,
    /// SHA-256 of the SubjectPublicKeyInfo, hex.
    spki_sha256: String,
}

/// The trust domain and the key that signs challenges
#[utoipa::path(
    get,
    path = "/v1/bundle",
    tag = "bundle",
    operation_id = "getBundle",
    responses(
        (status = 200, description = "The bundle.", body = BundleView),
        (status = 304, description = "As `If-None-Match` has it."),
    )
)]
pub(in crate::api) async fn show(
    State(api): State<ApiState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let verifier = api.server.verifier.current();
    let point = verifier.key.public();
    let key =
        EcPublicKey::from_point(Curve::P256, point).map_err(|error| Problem::internal(&error))?;
    let bundle = BundleView {
        trust_domain: verifier.trust_domain.clone(),
        challenge_key: ChallengeKeyView {
            algorithm: "ecdsa-p256-sha256",
            sec1: hex::encode(point),
            spki_sha256: hex::encode(PublicKey::Ec(key).spki_sha256()),
        },
    };
    let body = serde_json::to_vec(&bundle).map_err(|error| Problem::internal(&error))?;
    Ok(Tagged::new("application/json", Bytes::from(body)).answer(&headers))
}

/// The SPIFFE bundle: the authorities of X.509-SVIDs and JWT-SVIDs
///
/// SPIFFE Trust Domain and Bundle, section 4. Ask again as often as `spiffe_refresh_hint` says.
#[utoipa::path(
    get,
    path = "/v1/bundle/spiffe",
    tag = "bundle",
    operation_id = "getSpiffeBundle",
    responses(
        (status = 200, description = "The bundle.", body = Value),
        (status = 304, description = "As `If-None-Match` has it."),
    )
)]
pub(in crate::api) async fn spiffe(State(api): State<ApiState>, headers: HeaderMap) -> Response {
    let bundle = api.server.issuer.bundle();
    shared(bundle.spiffe().to_owned()).answer(&headers)
}

/// The keys that sign JWT-SVIDs, as a JWKS
#[utoipa::path(
    get,
    path = "/keys",
    tag = "bundle",
    operation_id = "getKeys",
    responses(
        (status = 200, description = "The keys (RFC 7517).", body = Value),
        (status = 304, description = "As `If-None-Match` has it."),
    )
)]
pub(in crate::api) async fn keys(State(api): State<ApiState>, headers: HeaderMap) -> Response {
    let bundle = api.server.issuer.bundle();
    shared(bundle.jwks().to_owned()).answer(&headers)
}

/// The OIDC discovery document of the issuer of JWT-SVIDs
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    tag = "bundle",
    operation_id = "getDiscovery",
    responses(
        (status = 200, description = "The document (OpenID Connect Discovery 1.0, section 3).", body = Value),
        (status = 304, description = "As `If-None-Match` has it."),
        (status = 404, description = "JWT-SVIDs name no issuer here.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn discovery(
    State(api): State<ApiState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match api.server.issuer.discovery("/keys") {
        Some(document) => Ok(shared(document).answer(&headers)),
        None => Err(
            Problem::not_found("no-issuer", "JWT-SVIDs name no issuer here")
                .hint("set `svid.jwtIssuer` to the URL that this path is reached under"),
        ),
    }
}

/// A document that caches may keep: authorities are in it for longer than that before they sign.
fn shared(document: String) -> Tagged {
    Tagged::new("application/json", Bytes::from(document)).fresh_for(REFRESH_HINT)
}
