//! A Kubernetes API server over TLS that behaves as Kubernetes documents it: bearer tokens, RBAC, `Status` bodies.

use std::sync::{Arc, Mutex};

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Claims, Fault};
use serde_json::{Value, json};

use super::dns;
use super::method::{Login, Network, attestor};
use super::upstream::{Piece, Upstream, say};

const PODS: &str = "/api/v1/namespaces/assay/pods/agent-x";
const NODES: &str = "/api/v1/nodes/worker-1";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// What the cluster has and allows.
#[derive(Clone)]
struct State {
    /// The verifier's own token.
    own: &'static str,
    /// What it may.
    rights: Vec<&'static str>,
    /// The agent's token, and whom it is for.
    agents: (&'static str, &'static str),
    pod_uid: Option<&'static str>,
    node_uid: Option<&'static str>,
}

/// `Status`, as every failure has it.
fn status(code: u16, reason: &str) -> Vec<Piece> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "c4n4ry", "reason": reason, "code": code,
    })
    .to_string();
    say(&format!(
        "HTTP/1.1 {code} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn object(code: u16, body: &Value) -> Vec<Piece> {
    let body = body.to_string();
    say(&format!(
        "HTTP/1.1 {code} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn serve(state: &State, request: &str) -> Vec<Piece> {
    let mut first = request.split(' ');
    let (verb, path) = (first.next().unwrap(), first.next().unwrap());
    let bearer = format!("authorization: Bearer {}\r\n", state.own);
    if !request.contains(&bearer) {
        return status(401, "Unauthorized");
    }
    if !state.rights.contains(&path) {
        return status(403, "Forbidden");
    }
    match (verb, path) {
        ("POST", REVIEWS) => {
            let body = request.split_once("\r\n\r\n").unwrap().1;
            let mut review: Value = serde_json::from_str(body).unwrap();
            if review["kind"] != "TokenReview" || review["apiVersion"] != "authentication.k8s.io/v1"
            {
                return status(400, "BadRequest");
            }
            let (token, audience) = state.agents;
            let asked = review["spec"]["audiences"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let known = review["spec"]["token"] == token && asked.contains(&audience.into());
            review["status"] = match known {
                false => {
                    json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"})
                }
                true => json!({
                    "authenticated": true,
                    "audiences": [audience],
                    "user": {
                        "username": "system:serviceaccount:assay:assay-agent",
                        "extra": {
                            "authentication.kubernetes.io/pod-name": ["agent-x"],
                            "authentication.kubernetes.io/pod-uid": ["1f8d43a5"],
                        },
                    },
                }),
            };
            object(201, &review)
        }
        ("GET", PODS) => match state.pod_uid {
            None => status(404, "NotFound"),
            Some(uid) => object(
                200,
                &json!({
                    "kind": "Pod", "apiVersion": "v1",
                    "metadata": {"name": "agent-x", "namespace": "assay", "uid": uid},
                    "spec": {"nodeName": "worker-1", "serviceAccountName": "assay-agent"},
                    "status": {"hostIP": "10.0.0.7"},
                }),
            ),
        },
        ("GET", NODES) => match state.node_uid {
            None => status(404, "NotFound"),
            Some(uid) => object(
                200,
                &json!({
                    "kind": "Node", "apiVersion": "v1", "metadata": {"name": "worker-1", "uid": uid},
                }),
            ),
        },
        _ => status(404, "NotFound"),
    }
}

/// A login with `token` at a cluster in this state.
async fn judged(state: State, token: &str) -> Result<Claims, AttestError> {
    let state = Arc::new(Mutex::new(state));
    let upstream = Upstream::tls(Arc::new(move |request: &str| {
        serve(&state.lock().unwrap(), request)
    }))
    .await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "verifier\n").unwrap();
    let config = json!({"clusters": {"MyCluster": {
        "serviceAccountAllowList": ["assay:assay-agent"],
        "apiServer": upstream.url(""),
        "caCerts": &*upstream.authority,
        "tokenFile": "token",
    }}});
    let kind = AttestorKind::K8S_PSAT;
    let attestor = attestor(kind, &config, dir.path()).unwrap();
    let payload = json!({"cluster": "MyCluster", "token": token}).to_string();
    let network = Network(dns::shared().client(true));
    let login = Login::new(kind, "hello");
    login.claims(&*attestor, payload.as_bytes(), &network).await
}

fn state() -> State {
    State {
        own: "verifier",
        rights: vec![REVIEWS, PODS, NODES],
        agents: ("agents.own.token", "urn:assay:example.org:server"),
        pod_uid: Some("1f8d43a5"),
        node_uid: Some("6fae9a6c"),
    }
}

#[tokio::test]
async fn a_pods_token_is_vouched_for() {
    let claims = judged(state(), "agents.own.token").await.unwrap();
    assert_eq!(claims.facts.identity.as_deref(), Some("MyCluster/6fae9a6c"));
}

#[tokio::test]
async fn each_way_in_which_a_cluster_says_no() {
    use Fault::{Misconfigured, Refused};
    type Change = fn(&mut State);
    let changes: [(Fault, &str, Change); 8] = [
        (
            Misconfigured,
            "unable to validate token with TokenReview API",
            |s| s.own = "another",
        ),
        (Misconfigured, "RBAC", |s| s.rights = vec![PODS, NODES]),
        (
            Misconfigured,
            "failed to get pod from k8s API server",
            |s| s.rights = vec![REVIEWS],
        ),
        (
            Misconfigured,
            "failed to get node from k8s API server",
            |s| s.rights = vec![REVIEWS, PODS],
        ),
        (Refused, "failed to get pod from k8s API server", |s| {
            s.pod_uid = None
        }),
        (Refused, "pod UID mismatch for pod assay/agent-x", |s| {
            s.pod_uid = Some("later")
        }),
        (Refused, "failed to get node from k8s API server", |s| {
            s.node_uid = None
        }),
        (Refused, "unable to validate token", |s| {
            s.agents = ("agents.own.token", "api")
        }),
    ];
    for (fault, text, change) in changes {
        let mut state = state();
        change(&mut state);
        let told = judged(state, "agents.own.token").await.unwrap_err();
        assert_eq!(told.fault, fault, "{told}");
        assert!(told.detail.contains(text), "{told}");
        assert!(!told.detail.contains("c4n4ry"), "{told}");
    }
}
