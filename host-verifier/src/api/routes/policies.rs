//! `/v1/policies`: what each cluster asks of its nodes, as it is in force.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::api::tagged::Tagged;
use crate::policy::PolicySet;

/// The policies of a cluster.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPolicies {
    /// The cluster.
    cluster: String,
    /// The environment that it is in.
    environment: Option<String>,
    /// Its policies, in the order in which they are tried.
    policies: Vec<PolicyView>,
}

/// A policy.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// Its name.
    name: String,
    /// The methods of its entries: those of `requiredAttestors`, then those of `anyOf`.
    attestors: Vec<String>,
    /// The environments that it is for; empty: all.
    environments: Vec<String>,
    /// Whether it is for the cluster's environment. One that is not is never tried.
    applies: bool,
}

/// The policies in force
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "policies",
    operation_id = "listPolicies",
    responses(
        (status = 200, description = "Every cluster, by name.", body = Vec<ClusterPolicies>),
        (status = 304, description = "As `If-None-Match` has it."),
    )
)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let verifier = api.server.verifier.current();
    let clusters = verifier.clusters.iter();
    let shown: Vec<_> = clusters
        .map(|(name, cluster)| view(name, &cluster.policies))
        .collect();
    let body = serde_json::to_vec(&shown).map_err(|error| Problem::internal(&error))?;
    Ok(Tagged::new("application/json", Bytes::from(body)).answer(&headers))
}

fn view(cluster: &str, set: &PolicySet) -> ClusterPolicies {
    let policies = set.policies().iter().enumerate();
    let policies = policies.map(|(index, policy)| PolicyView {
        name: policy.name().to_owned(),
        attestors: policy
            .attestors()
            .iter()
            .map(|attestor| attestor.kind().to_string())
            .collect(),
        environments: policy
            .environments()
            .iter()
            .map(ToString::to_string)
            .collect(),
        applies: set.applies(index),
    });
    ClusterPolicies {
        cluster: cluster.to_owned(),
        environment: set.environment().map(|environment| environment.to_string()),
        policies: policies.collect(),
    }
}
