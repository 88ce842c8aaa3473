//! `k8s_psat` and `k8s_sat`: a cluster whose API server knows one token, and, for the older kind, one that is asked nothing.

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::issuer::payload::MAX_PAYLOAD;
use assay_host_verifier::outside::Request;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tokens::not_valid;
use crate::conformance::world::ok;
use crate::conformance::{Method, Sent, World};
use crate::jwt::signer::{NOW, Signer, now};

const SERVER: &str = "https://api.example.org:6443";
const TOKEN: &str = "header.claims.2b6e5f0b9d8c4e1a";
const AGENT: &str = "assay:assay-agent";
const USER: &str = "system:serviceaccount:assay:assay-agent";
/// The verifier's own.
const BEARER: &str = "bearer-8b7d4f2e61c9";

fn sent(token: &str) -> Sent {
    Sent::payload(json!({"cluster": "east", "token": token}).to_string())
}

/// A cluster as both methods are told of it.
struct Cluster {
    folder: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, server) in [("east", SERVER), ("west", "https://api.example.com:6443")] {
            let config = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": {"server": server}}],
                "users": [{"name": "it", "user": {"token": BEARER}}],
            });
            std::fs::write(folder.path().join(name), config.to_string()).unwrap();
        }
        Self { folder }
    }

    /// The settings with which this kubeconfig's server is asked.
    fn settings(&self, file: &str, more: &Value) -> Value {
        let path = self.folder.path().join(file);
        let mut cluster = json!({
            "serviceAccountAllowList": [AGENT],
            "kubeConfigFile": path.to_str().unwrap(),
        });
        let more = more.as_object().unwrap().clone();
        cluster.as_object_mut().unwrap().extend(more);
        json!({"clusters": {"east": cluster}})
    }
}

fn review(request: &Request, status: &Value) -> Option<Value> {
    if request.url != format!("{SERVER}/apis/authentication.k8s.io/v1/tokenreviews") {
        return None;
    }
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let known = asked["spec"]["token"] == TOKEN;
    let status = match known {
        true => status.clone(),
        false => json!({"authenticated": false, "user": {}}),
    };
    Some(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}))
}

fn world(status: Value) -> World {
    let pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": "assay-agent-x", "namespace": "assay", "uid": "0b", "labels": {"tier": "gold"},
        },
        "spec": {"nodeName": "worker-7", "serviceAccountName": "assay-agent"},
        "status": {"hostIP": "192.0.2.7"},
    });
    let node = json!({
        "kind": "Node",
        "metadata": {"name": "worker-7", "uid": "0c", "labels": {"zone": "a"}},
    });
    let at = |path: &str, object: Value| {
        let url = format!("{SERVER}{path}");
        move |request: &Request| (request.url == url).then(|| ok(object.to_string()))
    };
    World::default()
        .page(move |request| review(request, &status).map(|review| ok(review.to_string())))
        .page(at("/api/v1/namespaces/assay/pods/assay-agent-x", pod))
        .page(at("/api/v1/nodes/worker-7", node))
}

pub(super) struct Psat(Cluster);

impl Psat {
    pub(super) fn new() -> Self {
        Self(Cluster::new())
    }

    fn settings(&self, file: &str) -> Value {
        let labels = json!({"allowedNodeLabelKeys": ["zone"], "allowedPodLabelKeys": ["tier"]});
        self.0.settings(file, &labels)
    }
}

impl Method for Psat {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_PSAT
    }

    fn config(&self) -> Value {
        self.settings("east")
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, _: &Transcript) -> Sent {
        sent(TOKEN)
    }

    fn forge(&self, _: &Transcript) -> Sent {
        sent("header.claims.0000000000000000")
    }

    fn world(&self, _: &Transcript) -> World {
        world(json!({
            "authenticated": true,
            "audiences": ["urn:assay:example.org:server"],
            "user": {
                "username": USER,
                "uid": "0a",
                "groups": ["system:serviceaccounts"],
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["assay-agent-x"],
                    "authentication.kubernetes.io/pod-uid": ["0b"],
                    "authentication.kubernetes.io/node-name": ["worker-7"],
                    "authentication.kubernetes.io/node-uid": ["0c"],
                },
            },
        }))
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        Some(self.settings("west"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned(), BEARER.to_owned()]
    }
}

/// Legacy tokens, which their cluster reviews.
pub(super) struct SatReviewed(Cluster);

impl SatReviewed {
    pub(super) fn new() -> Self {
        Self(Cluster::new())
    }
}

impl Method for SatReviewed {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_SAT
    }

    fn way(&self) -> &'static str {
        "reviewed"
    }

    fn config(&self) -> Value {
        self.0.settings("east", &json!({}))
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn is_new_at_each_login(&self) -> bool {
        true
    }

    fn prove(&self, _: &Transcript) -> Sent {
        sent(TOKEN)
    }

    fn forge(&self, _: &Transcript) -> Sent {
        sent("header.claims.0000000000000000")
    }

    fn world(&self, _: &Transcript) -> World {
        world(json!({"authenticated": true, "user": {"username": USER}}))
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        Some(self.0.settings("west", &json!({})))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned(), BEARER.to_owned()]
    }
}

/// Legacy tokens, by the cluster's key.
pub(super) struct SatByKey;

/// RFC 8410: what is before the 32 bytes of an Ed25519 key.
const ED25519: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl SatByKey {
    fn token(signer: u8) -> String {
        Signer::new(signer).token(&json!({
            "iss": "kubernetes/serviceaccount",
            "sub": USER,
            "kubernetes.io/serviceaccount/namespace": "assay",
            "kubernetes.io/serviceaccount/service-account.name": "assay-agent",
            "nbf": NOW - 10,
            "exp": NOW + 600,
        }))
    }
}

impl Method for SatByKey {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_SAT
    }

    fn way(&self) -> &'static str {
        "by key"
    }

    fn config(&self) -> Value {
        let key = Signer::new(1).public();
        let body = STANDARD.encode([&ED25519[..], &key].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let cluster = json!({"serviceAccountAllowList": [AGENT], "serviceAccountKeyFile": pem});
        json!({"clusters": {"east": cluster}})
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn is_new_at_each_login(&self) -> bool {
        true
    }

    fn prove(&self, _: &Transcript) -> Sent {
        sent(&Self::token(1))
    }

    fn forge(&self, _: &Transcript) -> Sent {
        sent(&Self::token(2))
    }

    fn secrets(&self) -> Vec<String> {
        let token = Self::token(1);
        let (_, signature) = token.rsplit_once('.').unwrap();
        vec![signature[..16].to_owned()]
    }
}
