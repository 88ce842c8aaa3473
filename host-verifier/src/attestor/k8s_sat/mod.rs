#![doc = include_str!("../../../../docs/methods/k8s_sat.md")]

pub mod config;
pub mod verify;

use std::sync::Arc;

use assay_common::{login::proof_nonce, policy::AttestorKind};
use zeroize::Zeroizing;

pub use config::Config;

use self::verify::{Answer, Cluster, Means};
use super::issuer::payload;
use super::kubernetes::api::Api;
use super::kubernetes::config::Access;
use super::kubernetes::glance::refuse_hopeless;
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Fault, Judged,
    LoginContext, Running,
};
use crate::jwt::shown;
use crate::outside::Outside;

/// The attributes, without the method's name.
const NAMES: [&str; 4] = ["cluster", "agent_ns", "agent_sa", "agent_uuid"];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let name = attribute.strip_prefix("k8s_sat.");
    name.is_some_and(|name| NAMES.contains(&name))
}

/// The attestor of a `k8s_sat` entry.
#[derive(Debug)]
pub struct K8sSat {
    clusters: Vec<Arc<Cluster>>,
}

impl Attestor for K8sSat {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_SAT
    }

    fn weakness(&self) -> Option<(&'static str, &'static str)> {
        Some((
            "`k8s_sat` cannot tell one node from another, nor an agent from any container that has the agents' service account; its tokens never end",
            "use `k8s_psat`; or let nothing but the agents run under their service account",
        ))
    }

    fn attributes(&self) -> Vec<String> {
        NAMES.map(|name| format!("k8s_sat.{name}")).to_vec()
    }

    /// Nothing to say: the agent's configuration says which token it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let (name, token) = payload::of_cluster(payload)?;
        let found = self.clusters.iter().find(|cluster| cluster.name == name);
        let cluster = found.ok_or_else(|| {
            let detail = format!("not configured for cluster {}", shown(&name));
            AttestError::new(Fault::Refused, "cluster-not-configured", detail)
        })?;
        match &cluster.means {
            Means::Keys(keys) => {
                let account = verify::by_keys(cluster, keys, &token, cx.now)?;
                Ok(Judged::Proven(Box::new(claims(cluster, account, cx))))
            }
            Means::Review(_) => {
                refuse_hopeless(&token, &[], &cluster.allowed, cx.now)?;
                let cluster = cluster.clone();
                Ok(Judged::Errand(Box::new(AskCluster { cluster, token })))
            }
        }
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
    fn access(&self) -> Result<&Access, AttestError> {
        match &self.cluster.means {
            Means::Review(access) => Ok(access),
            Means::Keys(_) => Err(verify::unreadable("this cluster is not asked")),
        }
    }
}

impl Errand for AskCluster {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let access = self.access()?;
            let api = Api::new(outside, access).await?;
            let answer = Answer {
                cluster: self.cluster.name.clone(),
                server: access.server.clone(),
                review: api.review(&self.token, &[]).await?,
            };
            serde_json::to_vec(&answer).map_err(verify::unreadable)
        })
    }

    fn judge(self: Box<Self>, cx: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let answer = serde_json::from_slice(answer).map_err(verify::unreadable)?;
        let account = verify::by_review(&self.cluster, self.access()?, &answer)?;
        Ok(claims(&self.cluster, account, cx))
    }
}

/// One UUID per login: made of the login's nonce, so it is random, and the same when the login is judged again.
fn claims(
    cluster: &Cluster,
    account: super::kubernetes::review::Account,
    cx: &LoginContext<'_>,
) -> Claims {
    let kind = AttestorKind::K8S_SAT;
    let uuid = verify::uuid(&proof_nonce(kind, cx.transcript));
    let values = [
        cluster.name.clone(),
        account.namespace,
        account.name,
        uuid.clone(),
    ];
    let attributes = NAMES.iter().zip(values).map(|(name, value)| Attribute {
        origin: kind,
        name: format!("k8s_sat.{name}").into(),
        value,
    });
    Claims {
        kind,
        attributes: attributes.collect(),
        facts: Facts {
            identity: Some(format!("{}/{uuid}", cluster.name)),
            ..Facts::default()
        },
    }
}
