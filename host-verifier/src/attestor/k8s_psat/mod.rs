#![doc = include_str!("../../../../docs/methods/k8s_psat.md")]

pub mod config;
pub mod verify;

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use zeroize::Zeroizing;

pub use config::Config;

use self::verify::{Answer, Cluster};
use super::issuer::payload;
use super::kubernetes::api::Api;
use super::kubernetes::glance::refuse_hopeless;
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Fault, Judged,
    LoginContext, Running,
};
use crate::jwt::shown;
use crate::outside::Outside;

/// Attributes that are given by themselves, without the method's name.
const NAMES: [&str; 8] = [
    "cluster",
    "agent_ns",
    "agent_sa",
    "agent_pod_name",
    "agent_pod_uid",
    "agent_node_ip",
    "agent_node_name",
    "agent_node_uid",
];
/// What the attributes of labels begin with.
const LABELS: [&str; 2] = ["agent_pod_label.", "agent_node_label."];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    attribute.strip_prefix("k8s_psat.").is_some_and(|name| {
        let label = |prefix: &&str| {
            name.strip_prefix(*prefix)
                .is_some_and(|key| !key.is_empty())
        };
        NAMES.contains(&name) || LABELS.iter().any(label)
    })
}

/// The attestor of a `k8s_psat` entry.
#[derive(Debug)]
pub struct K8sPsat {
    clusters: Vec<Arc<Cluster>>,
}

impl Attestor for K8sPsat {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_PSAT
    }

    fn attributes(&self) -> Vec<String> {
        let mut names: Vec<_> = NAMES.map(|name| format!("k8s_psat.{name}")).to_vec();
        for cluster in &self.clusters {
            names.extend(cluster.label_attributes());
        }
        names.sort();
        names.dedup();
        names
    }

    /// Nothing to say: the agent's configuration says which token it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let (name, token) = payload::of_cluster(payload)?;
        let found = self.clusters.iter().find(|cluster| cluster.name == name);
        let cluster = found.cloned().ok_or_else(|| {
            let detail = format!("not configured for cluster {}", shown(&name));
            AttestError::new(Fault::Refused, "cluster-not-configured", detail)
        })?;
        refuse_hopeless(&token, &cluster.audiences, &cluster.allowed, cx.now)?;
        Ok(Judged::Errand(Box::new(AskCluster { cluster, token })))
    }
}

/// A token that waits for its cluster's word.
struct AskCluster {
    cluster: Arc<Cluster>,
    token: Zeroizing<String>,
}

/// Without the token.
impl core::fmt::Debug for AskCluster {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AskCluster")
            .field("cluster", &self.cluster.name)
            .finish_non_exhaustive()
    }
}

impl AskCluster {
    /// Asks on only as long as nothing refuses the login: what an answer lacks then is never looked at.
    async fn ask(&self, outside: &dyn Outside) -> Result<Answer, AttestError> {
        let cluster = &*self.cluster;
        let api = Api::new(outside, &cluster.access).await?;
        let review = api.review(&self.token, &cluster.audiences).await?;
        let mut answer = Answer {
            cluster: cluster.name.clone(),
            server: cluster.access.server.clone(),
            review,
            pod: None,
            node: None,
        };
        let Ok(reviewed) = verify::reviewed(cluster, &answer.review) else {
            return Ok(answer);
        };
        let (namespace, pod) = (&reviewed.account.namespace, &reviewed.pod_name);
        let pod = api.pod(namespace, pod, &cluster.pod_labels).await?;
        let placed = verify::placed(&reviewed, &pod);
        answer.pod = Some(pod);
        if let Ok(node) = placed {
            answer.node = Some(api.node(&node, &cluster.node_labels).await?);
        }
        Ok(answer)
    }
}

impl Errand for AskCluster {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let answer = self.ask(outside).await?;
            serde_json::to_vec(&answer).map_err(|error| verify::unreadable(&error))
        })
    }

    fn judge(self: Box<Self>, _: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let answer = serde_json::from_slice(answer).map_err(|error| verify::unreadable(&error))?;
        let proven = verify::decide(&self.cluster, &answer)?;
        let kind = AttestorKind::K8S_PSAT;
        let attributes = proven
            .attributes
            .into_iter()
            .map(|(name, value)| Attribute {
                origin: kind,
                name: format!("k8s_psat.{name}").into(),
                value,
            });
        Ok(Claims {
            kind,
            attributes: attributes.collect(),
            facts: Facts {
                identity: Some(proven.identity),
                ..Facts::default()
            },
        })
    }
}
