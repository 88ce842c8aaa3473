//! What `k8s_token` asks of a token beyond the engine's checks: that Kubernetes' own claims agree with the subject.

use core::time::Duration;

use assay_common::policy::AttestorKind;

use super::config::Binding;
use crate::attestor::issuer::Keys;
use crate::attestor::{AttestError, Claims, Facts, Fault};
use crate::jwt::json::{Json, Object};
use crate::jwt::{self};

/// Kubernetes' own claims.
const PRIVATE_CLAIMS: &str = "kubernetes.io";

/// The rules of one entry, checked.
#[derive(Debug)]
pub struct ClusterRules {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    /// `system:serviceaccount:<namespace>:<name>`.
    pub(super) subject: String,
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) keys: Keys,
    pub(super) binding: Binding,
    pub(super) max_lifetime: Option<Duration>,
}

/// Kubernetes' own claims, where they are, and the claims of the proof.
///
/// # Errors
///
/// [`Fault::Refused`]: they name another account than the subject does, they are of another shape, or a binding that is
/// required is missing.
pub fn claims(rules: &ClusterRules, token: &jwt::Claims<'_>) -> Result<Claims, AttestError> {
    let refused = |detail: String| {
        let detail = format!("JWT verification failed: {detail}");
        AttestError::new(Fault::Refused, "token-kubernetes", detail)
    };
    let private = match token.all.get(PRIVATE_CLAIMS) {
        None => None,
        Some(Json::Object(object)) => Some(object),
        Some(other) => {
            return Err(refused(format!(
                "claim {PRIVATE_CLAIMS} is {}",
                other.kind()
            )));
        }
    };
    if let Some(private) = private {
        let agree = |name: &str, found: Option<&str>, wanted: &str| match found == Some(wanted) {
            true => Ok(()),
            false => Err(refused(format!(
                "the token's {name} in {PRIVATE_CLAIMS} is not that of its subject, {wanted:?}"
            ))),
        };
        let namespace = private.get("namespace").and_then(Json::text);
        agree("namespace", namespace, &rules.namespace)?;
        let account = member(private, "serviceaccount", "name");
        agree("serviceaccount", account, &rules.service_account)?;
    }
    let uid = |of: &str| private.and_then(|private| member(private, of, "uid"));
    let uid = |of| uid(of).filter(|uid| !uid.is_empty());
    let (pod, node) = (uid("pod"), uid("node"));
    let bound = match rules.binding {
        Binding::None => true,
        Binding::Pod => pod.is_some(),
        Binding::Node => node.is_some(),
    };
    if !bound {
        return Err(refused(format!(
            "the token is not bound to a {}",
            rules.binding.name()
        )));
    }
    // The best name that the token gives: all agents of a cluster have the same subject.
    let name = match (node, pod) {
        (Some(node), _) => ["#node/", node],
        (None, Some(pod)) => ["#pod/", pod],
        (None, None) => ["#", &rules.subject],
    };
    let [kind, name] = name;
    Ok(Claims {
        kind: AttestorKind::K8S_TOKEN,
        attributes: Vec::new(),
        facts: Facts {
            identity: Some([&rules.issuer, kind, name].concat()),
            ..Facts::default()
        },
    })
}

fn member<'a>(object: &'a Object<'_>, outer: &str, inner: &str) -> Option<&'a str> {
    object.get(outer)?.object()?.get(inner)?.text()
}
