//! `k8s_token`, `k8s_psat` and `k8s_sat`: the service account token of the agent's pod.

use std::path::PathBuf;

use assay_common::policy::AttestorKind;
use serde::Deserialize;
use serde_json::json;

use super::Source;
use crate::finding::Finding;
use crate::method::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};

/// Where a projected token is unless the configuration says otherwise.
pub const PROJECTED: &str = "/var/run/secrets/tokens/assay-agent";
/// Where Kubernetes puts the token that every pod has.
pub const LEGACY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// `config:` of an entry of one of the three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The Kubernetes cluster's name in the verifier's configuration; not for `k8s_token`.
    cluster: Option<String>,
    token_path: Option<PathBuf>,
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let kind = around.kind;
        let named = kind != AttestorKind::K8S_TOKEN;
        let cluster = self.cluster.filter(|cluster| !cluster.is_empty());
        if named && cluster.is_none() {
            let what = format!("`{kind}` without `cluster`");
            let hint = "`cluster` is the Kubernetes cluster's name in the verifier's policy";
            return Err(MethodError::new(what, hint));
        }
        if !named && cluster.is_some() {
            let what = format!("`{kind}` with `cluster`");
            return Err(MethodError::new(
                what,
                "remove it: the token says whose it is",
            ));
        }
        let default = match kind == AttestorKind::K8S_SAT {
            true => LEGACY,
            false => PROJECTED,
        };
        let path = self.token_path.map(|path| around.path(&path));
        Ok(Box::new(PodToken {
            kind,
            cluster,
            source: Source::Projected(path.unwrap_or_else(|| default.into())),
        }))
    }
}

/// A pod's token as the agent has it.
#[derive(Debug)]
struct PodToken {
    kind: AttestorKind,
    cluster: Option<String>,
    source: Source,
}

impl Method for PodToken {
    fn kind(&self) -> AttestorKind {
        self.kind
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        self.source.token().map(drop)
    }

    fn prove(&mut self, _: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let token = self.source.token()?;
        let payload = match &self.cluster {
            Some(cluster) => json!({"cluster": cluster, "token": token.as_str()}),
            None => json!({"token": token.as_str()}),
        };
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let offer = super::offer(&self.source)?;
        Ok(match &self.cluster {
            Some(cluster) => offer.with("cluster", cluster),
            None => offer,
        })
    }

    fn doctor(&self) -> Vec<Finding> {
        let legacy = self.kind == AttestorKind::K8S_SAT;
        let subject = self.kind.to_string();
        super::doctor(&subject, &self.source, legacy, jiff::Timestamp::now())
    }
}
