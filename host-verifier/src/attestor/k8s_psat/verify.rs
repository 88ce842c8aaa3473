//! What an API server's answers say of a token, in SPIRE's order and with its texts. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::attestor::k8s_token::config::is_object_name;
use crate::attestor::kubernetes::api::{Node, Pod};
use crate::attestor::kubernetes::config::Access;
use crate::attestor::kubernetes::review::{self, Account, Review};
use crate::attestor::{AttestError, Fault};
use crate::jwt::shown;

/// A cluster of one entry, checked.
#[derive(Debug)]
pub struct Cluster {
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) allowed: BTreeSet<String>,
    /// Those that are asked for; empty: the API server's own.
    pub(super) audiences: Vec<String>,
    pub(super) pod_labels: Vec<String>,
    pub(super) node_labels: Vec<String>,
    pub(super) use_pod_uid: bool,
}

impl Cluster {
    /// The attributes of labels that it can give.
    pub(super) fn label_attributes(&self) -> impl Iterator<Item = String> {
        let of = |what: &'static str, keys: &[String]| {
            let names = keys.iter().map(move |key| label_attribute(what, key));
            names
                .map(|name| format!("k8s_psat.{name}"))
                .collect::<Vec<_>>()
        };
        let pods = of("agent_pod_label", &self.pod_labels);
        pods.into_iter()
            .chain(of("agent_node_label", &self.node_labels))
    }
}

/// The attribute of a label: a slash, which attributes cannot have in their names, becomes a dot.
pub(super) fn label_attribute(what: &str, key: &str) -> String {
    format!("{what}.{}", key.replace('/', "."))
}

/// What was asked and answered, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The cluster.
    pub cluster: String,
    /// The API server that was asked.
    pub server: String,
    /// What it says of the token.
    pub review: Review,
    /// The token's pod, asked for when the review is in order.
    pub pod: Option<Pod>,
    /// The pod's node, asked for when the pod is in order.
    pub node: Option<Node>,
}

/// An answer that is none of this method's.
pub(super) fn unreadable(error: &serde_json::Error) -> AttestError {
    AttestError::new(Fault::Internal, "answer", error.to_string())
}

/// A review that is in order.
#[derive(Debug)]
pub struct Reviewed<'a> {
    pub(super) account: Account,
    /// A legal name of an object.
    pub(super) pod_name: &'a str,
    pod_uid: &'a str,
    node: Option<&'a str>,
    node_uid: Option<&'a str>,
}

/// What was proven.
#[derive(Debug)]
pub struct Proven {
    pub(super) identity: String,
    pub(super) attributes: Vec<(String, String)>,
}

fn refused(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}

/// The review's checks.
///
/// # Errors
///
/// [`review::account`], [`review::bound`]; a pod's name that no pod can have.
pub fn reviewed<'a>(cluster: &Cluster, review: &'a Review) -> Result<Reviewed<'a>, AttestError> {
    let account = review::account(review, &cluster.audiences, &cluster.allowed)?;
    let pod_name = review::bound(review, "pod-name", "pod name")?;
    let pod_uid = review::bound(review, "pod-uid", "pod UID")?;
    // It becomes a part of a URL.
    if !is_object_name(pod_name) {
        let detail = format!("failed to get pod name: {} is none", shown(pod_name));
        return Err(refused("token-not-bound", detail));
    }
    let stated = |name: &str, what: &str| match review.bound.contains_key(name) {
        true => review::bound(review, name, what).map(Some),
        false => Ok(None),
    };
    Ok(Reviewed {
        account,
        pod_name,
        pod_uid,
        node: stated("node-name", "node name")?,
        node_uid: stated("node-uid", "node UID")?,
    })
}

/// The pod's checks; the name of its node.
///
/// # Errors
///
/// Another pod of the same name (SPIRE #7117), a pod of another service account, a pod that runs nowhere.
pub fn placed(reviewed: &Reviewed<'_>, pod: &Pod) -> Result<String, AttestError> {
    if pod.name != reviewed.pod_name || pod.namespace != reviewed.account.namespace {
        return Err(refused(
            "pod-mismatch",
            "the API server returned another pod",
        ));
    }
    if pod.uid != reviewed.pod_uid {
        let detail = format!(
            "pod UID mismatch for pod {}/{}",
            pod.namespace, reviewed.pod_name
        );
        return Err(refused("pod-uid-mismatch", detail));
    }
    if pod.service_account != reviewed.account.name {
        return Err(refused(
            "pod-mismatch",
            "the pod runs under another service account than its token",
        ));
    }
    if !is_object_name(&pod.node_name) {
        return Err(refused("node-name", "the pod is on no node"));
    }
    if reviewed.node.is_some_and(|node| node != pod.node_name) {
        return Err(refused(
            "node-mismatch",
            "the token is bound to another node than its pod",
        ));
    }
    Ok(pod.node_name.clone())
}

/// All checks in their order.
///
/// # Errors
///
/// Any of them.
pub fn decide(cluster: &Cluster, answer: &Answer) -> Result<Proven, AttestError> {
    if answer.cluster != cluster.name || answer.server != cluster.access.server {
        return Err(AttestError::new(
            Fault::Internal,
            "answer",
            "it is the answer of another cluster",
        ));
    }
    let missing =
        |what: &str| AttestError::new(Fault::Internal, "answer", format!("without {what}"));
    let reviewed = reviewed(cluster, &answer.review)?;
    let pod = answer.pod.as_ref().ok_or_else(|| missing("the pod"))?;
    let node_name = placed(&reviewed, pod)?;
    let node = answer.node.as_ref().ok_or_else(|| missing("the node"))?;
    if node.name != node_name {
        return Err(refused(
            "node-mismatch",
            "the API server returned another node",
        ));
    }
    if node.uid.is_empty() {
        return Err(refused("node-uid", "node UID is empty"));
    }
    if reviewed.node_uid.is_some_and(|uid| uid != node.uid) {
        return Err(refused(
            "node-mismatch",
            "the token is bound to an earlier node of the same name",
        ));
    }
    let identity = match cluster.use_pod_uid {
        false => format!("{}/{}", cluster.name, node.uid),
        true => format!("{}/pod/{}", cluster.name, pod.uid),
    };
    let mut attributes: Vec<(String, String)> = [
        ("cluster", &cluster.name),
        ("agent_ns", &reviewed.account.namespace),
        ("agent_sa", &reviewed.account.name),
        ("agent_pod_name", &pod.name),
        ("agent_pod_uid", &pod.uid),
        ("agent_node_ip", &pod.host_ip),
        ("agent_node_name", &node.name),
        ("agent_node_uid", &node.uid),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .collect();
    labels(
        &mut attributes,
        "agent_pod_label",
        &cluster.pod_labels,
        &pod.labels,
    );
    labels(
        &mut attributes,
        "agent_node_label",
        &cluster.node_labels,
        &node.labels,
    );
    Ok(Proven {
        identity,
        attributes,
    })
}

/// The labels that are configured and there.
fn labels(
    attributes: &mut Vec<(String, String)>,
    what: &str,
    wanted: &[String],
    found: &BTreeMap<String, String>,
) {
    for key in wanted {
        if let Some(value) = found.get(key) {
            attributes.push((label_attribute(what, key), value.clone()));
        }
    }
}
