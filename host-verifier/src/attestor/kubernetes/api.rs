//! Questions to an API server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use zeroize::Zeroizing;

use super::config::{Access, Credential};
use super::review::Review;
use crate::attestor::issuer::config::read_file;
use crate::attestor::{AttestError, Fault};
use crate::outside::{Error, ErrorKind, Header, Outside, Reach, Request};

/// Longest object that is read, bytes: etcd holds 1.5 MiB.
const MAX_OBJECT: usize = 2 * 1024 * 1024;

/// What is kept of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.nodeName`.
    pub node_name: String,
    /// `spec.serviceAccountName`.
    pub service_account: String,
    /// `status.hostIP`.
    pub host_ip: String,
    /// `metadata.labels`, those that were asked for.
    pub labels: BTreeMap<String, String>,
}

/// What is kept of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`, those that were asked for.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Object<S, T> {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: S,
    #[serde(default)]
    status: T,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    service_account_name: String,
}

#[derive(Deserialize, Default)]
struct PodStatus {
    #[serde(default, rename = "hostIP")]
    host_ip: String,
}

#[derive(Deserialize, Default)]
struct Nothing {}

/// An API server that is asked as the verifier's own service account.
#[derive(Debug)]
pub struct Api<'a> {
    outside: &'a dyn Outside,
    access: &'a Access,
    bearer: Header,
}

impl<'a> Api<'a> {
    /// Reads the verifier's own token, which may have been renewed since the last time.
    ///
    /// # Errors
    ///
    /// [`Fault::Misconfigured`] when there is none.
    pub async fn new(outside: &'a dyn Outside, access: &'a Access) -> Result<Self, AttestError> {
        let token = match &access.credential {
            Credential::Text(token) => token.clone(),
            Credential::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                let read =
                    read.unwrap_or_else(|_| Err("the token's file could not be read".to_owned()));
                Zeroizing::new(read.map_err(misconfigured)?)
            }
        };
        let token = token.trim();
        // What is no header value would be an error of the library, which might show it.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(misconfigured(
                "the verifier's own token is no bearer token".to_owned(),
            ));
        }
        Ok(Self {
            outside,
            access,
            bearer: Header::new("authorization", format!("Bearer {token}")),
        })
    }

    /// Has a token reviewed.
    ///
    /// # Errors
    ///
    /// No answer, or one that is no review.
    pub async fn review(&self, token: &str, audiences: &[String]) -> Result<Review, AttestError> {
        const WHAT: &str = "unable to validate token with TokenReview API";
        let spec = match audiences {
            [] => json!({"token": token}),
            audiences => json!({"token": token, "audiences": audiences}),
        };
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": spec,
        });
        let url = self.url("/apis/authentication.k8s.io/v1/tokenreviews");
        let request = Request::post_json(url, Reach::OPERATORS, review.to_string().into_bytes());
        let body = self.send(request, "token-review", WHAT).await?;
        Review::read(&body, audiences).ok_or_else(|| no_object("token-review", WHAT))
    }

    /// Gets a pod. Both names are names of objects.
    ///
    /// # Errors
    ///
    /// No answer, or one that is no pod.
    pub async fn pod(
        &self,
        namespace: &str,
        name: &str,
        labels: &[String],
    ) -> Result<Pod, AttestError> {
        const WHAT: &str = "failed to get pod from k8s API server";
        let url = self.url(&format!("/api/v1/namespaces/{namespace}/pods/{name}"));
        let object: Object<PodSpec, PodStatus> = self.get(url, "Pod", "pod", WHAT).await?;
        Ok(Pod {
            labels: pick(object.metadata.labels, labels),
            name: object.metadata.name,
            namespace: object.metadata.namespace,
            uid: object.metadata.uid,
            node_name: object.spec.node_name,
            service_account: object.spec.service_account_name,
            host_ip: object.status.host_ip,
        })
    }

    /// Gets a node. The name is the name of an object.
    ///
    /// # Errors
    ///
    /// No answer, or one that is no node.
    pub async fn node(&self, name: &str, labels: &[String]) -> Result<Node, AttestError> {
        const WHAT: &str = "failed to get node from k8s API server";
        let url = self.url(&format!("/api/v1/nodes/{name}"));
        let object: Object<Nothing, Nothing> = self.get(url, "Node", "node", WHAT).await?;
        Ok(Node {
            labels: pick(object.metadata.labels, labels),
            name: object.metadata.name,
            uid: object.metadata.uid,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.access.server)
    }

    async fn get<S, T>(
        &self,
        url: String,
        kind: &str,
        check: &'static str,
        what: &'static str,
    ) -> Result<Object<S, T>, AttestError>
    where
        Object<S, T>: DeserializeOwned,
    {
        let request = Request {
            max_body: MAX_OBJECT,
            content_types: &["application/json"],
            headers: vec![Header::new("accept", "application/json")],
            ..Request::get(url, Reach::OPERATORS)
        };
        let body = self.send(request, check, what).await?;
        let object: Object<S, T> =
            serde_json::from_slice(&body).map_err(|_| no_object(check, what))?;
        match object.kind == kind {
            true => Ok(object),
            false => Err(no_object(check, what)),
        }
    }

    async fn send(
        &self,
        mut request: Request,
        check: &'static str,
        what: &'static str,
    ) -> Result<Vec<u8>, AttestError> {
        request.roots = self.access.roots.clone();
        request.headers.push(self.bearer.clone());
        let answer = self.outside.fetch(&request).await;
        answer
            .map(|answer| answer.body)
            .map_err(|error| told(&error, check, what))
    }
}

/// Whose fault a status is: the verifier's own token, or its rights; an object that is gone; the API server.
fn told(error: &Error, check: &'static str, what: &str) -> AttestError {
    let (fault, why) = match error.kind {
        ErrorKind::Status(401) => (
            Fault::Misconfigured,
            ": the verifier's own token is not accepted",
        ),
        ErrorKind::Status(403) => (
            Fault::Misconfigured,
            ": the verifier's service account may not (RBAC)",
        ),
        ErrorKind::Status(404) if check != "token-review" => (Fault::Refused, ": there is none"),
        _ => (error.kind.fault(), ""),
    };
    AttestError::new(fault, check, format!("{what}: {error}{why}"))
}

fn no_object(check: &'static str, what: &str) -> AttestError {
    let detail = format!("{what}: its answer is no such object");
    AttestError::new(Fault::Unavailable, check, detail)
}

fn misconfigured(why: String) -> AttestError {
    AttestError::new(Fault::Misconfigured, "kubernetes-credential", why)
}

/// The labels that were asked for. Kubernetes limits their length.
fn pick(mut labels: BTreeMap<String, String>, wanted: &[String]) -> BTreeMap<String, String> {
    labels.retain(|key, value| wanted.contains(key) && value.len() <= 63);
    labels
}
