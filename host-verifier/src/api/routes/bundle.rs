//! `/v1/bundle`: what everybody needs to trust this verifier. Public.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::api::tagged::Tagged;
use crate::crypto::{Curve, EcPublicKey, PublicKey};

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
