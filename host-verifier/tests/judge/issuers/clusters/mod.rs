//! `k8s_psat` and `k8s_sat`: an API server that answers as Kubernetes documents, and each way in which it can answer
//! otherwise.

mod legacy;
mod reviews;

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Attestor, Claims, Fault};
use assay_host_verifier::outside::{ErrorKind, Method, Reach};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{World, attestor, judge};
use crate::jwt::signer::{NOW, Signer};

const SERVER: &str = "https://kubernetes.default.svc";
const REVIEWS: &str = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/tokenreviews";
const POD: &str = "https://kubernetes.default.svc/api/v1/namespaces/assay/pods/agent-x";
const NODE: &str = "https://kubernetes.default.svc/api/v1/nodes/worker-1";

/// `TokenReview` as an API server of 1.30 answers it: 201, with the token in its `spec`.
fn review() -> Value {
    json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": null, "managedFields": []},
        "spec": {"token": "to.ke.n", "audiences": ["urn:assay:example.org:server"]},
        "status": {
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:assay:assay-agent",
                "uid": "51e5d3c2",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": {
                    "authentication.kubernetes.io/credential-id": ["JTI=0d9f"],
                    "authentication.kubernetes.io/node-name": ["worker-1"],
                    "authentication.kubernetes.io/node-uid": ["6fae9a6c"],
                    "authentication.kubernetes.io/pod-name": ["agent-x"],
                    "authentication.kubernetes.io/pod-uid": ["1f8d43a5"],
                },
            },
            "audiences": ["urn:assay:example.org:server"],
        },
    })
}

fn pod() -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "agent-x", "namespace": "assay", "uid": "1f8d43a5",
            "labels": {"app.kubernetes.io/name": "assay", "secret": "x"},
        },
        "spec": {"nodeName": "worker-1", "serviceAccountName": "assay-agent", "containers": [{}]},
        "status": {"hostIP": "10.0.0.7", "phase": "Running"},
    })
}

fn node() -> Value {
    json!({
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": "worker-1", "uid": "6fae9a6c", "labels": {"zone": "eu-1"}},
        "spec": {},
        "status": {"nodeInfo": {}},
    })
}

struct Cluster {
    _folder: TempDir,
    world: World,
    token: std::path::PathBuf,
    attestor: std::sync::Arc<dyn Attestor>,
}

/// A cluster in order, with the settings that a test adds.
fn cluster(kind: AttestorKind, extra: Value) -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "verifiers.own.token\n").unwrap();
    let mut config = json!({
        "serviceAccountAllowList": ["assay:assay-agent"],
        "apiServer": SERVER,
        "tokenFile": token,
    });
    for (name, value) in extra.as_object().unwrap() {
        config[name] = value.clone();
    }
    let world = World::default();
    world.answers(REVIEWS, Ok(review()));
    world.answers(POD, Ok(pod()));
    world.answers(NODE, Ok(node()));
    Cluster {
        _folder: folder,
        world,
        token,
        attestor: attestor(kind, json!({"clusters": {"MyCluster": config}})).unwrap(),
    }
}

fn payload() -> Vec<u8> {
    json!({"cluster": "MyCluster", "token": "to.ke.n"})
        .to_string()
        .into_bytes()
}

impl Cluster {
    fn judged(&self) -> Result<Claims, AttestError> {
        judge(&*self.attestor, &self.world, &payload()).result
    }

    /// What is said when one answer is another.
    fn with(&self, url: &str, answer: Result<Value, ErrorKind>) -> AttestError {
        self.world.forget(url);
        self.world.answers(url, answer);
        self.judged().unwrap_err()
    }
}

fn psat() -> Cluster {
    cluster(AttestorKind::K8S_PSAT, json!({}))
}

#[test]
fn a_pods_token_passes_with_its_attributes() {
    let labels = json!({
        "allowedPodLabelKeys": ["app.kubernetes.io/name", "absent"],
        "allowedNodeLabelKeys": ["zone"],
    });
    let cluster = cluster(AttestorKind::K8S_PSAT, labels);
    let judged = judge(&*cluster.attestor, &cluster.world, &payload());
    let claims = judged.result.unwrap();
    assert_eq!(claims.facts.identity.as_deref(), Some("MyCluster/6fae9a6c"));
    let said = claims.attributes.iter();
    let said: Vec<_> = said.map(|a| format!("{}={}", a.name, a.value)).collect();
    let expected = [
        "cluster=MyCluster",
        "agent_ns=assay",
        "agent_sa=assay-agent",
        "agent_pod_name=agent-x",
        "agent_pod_uid=1f8d43a5",
        "agent_node_ip=10.0.0.7",
        "agent_node_name=worker-1",
        "agent_node_uid=6fae9a6c",
        "agent_pod_label.app.kubernetes.io.name=assay",
        "agent_node_label.zone=eu-1",
    ];
    let expected: Vec<_> = expected.iter().map(|e| format!("k8s_psat.{e}")).collect();
    assert_eq!(said, expected);
    let possible = cluster.attestor.attributes();
    assert!(
        claims
            .attributes
            .iter()
            .all(|a| possible.iter().any(|name| *name == a.name))
    );
    // What is kept has neither token, nor what nobody asked for.
    let kept = String::from_utf8(judged.kept.unwrap()).unwrap();
    for secret in ["to.ke.n", "verifiers.own", "JTI", "\"secret\""] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
}

/// An API server is not asked about what no API server says yes to.
#[test]
fn a_token_that_speaks_against_itself_is_not_reviewed() {
    let good = json!({
        "exp": NOW + 600,
        "aud": ["urn:assay:example.org:server"],
        "sub": "system:serviceaccount:assay:assay-agent",
    });
    let asked = |kind, name: &str, value: Value| {
        let cluster = cluster(kind, json!({"audience": ["urn:assay:example.org:server"]}));
        let mut claims = good.clone();
        claims[name] = value;
        let token = Signer::new(1).token(&claims);
        let payload = json!({"cluster": "MyCluster", "token": token}).to_string();
        let judged = judge(&*cluster.attestor, &cluster.world, payload.as_bytes());
        let check = judged.result.map(drop).map_err(|error| error.check);
        (check, cluster.world.asked().len())
    };
    let psat = |name, value| asked(AttestorKind::K8S_PSAT, name, value);
    assert_eq!(psat("jti", json!("x")), (Ok(()), 3));
    assert_eq!(psat("exp", json!(NOW - 61)), (Err("token-expired"), 0));
    assert_eq!(psat("aud", json!(["api"])), (Err("token-audience"), 0));
    let other = json!("system:serviceaccount:assay:default");
    let refused = (Err("service-account-not-allowed"), 0);
    assert_eq!(psat("sub", other), refused);
}

/// Whom is asked what, as whom.
#[test]
fn the_api_server_is_asked_with_the_verifiers_own_token() {
    let cluster = psat();
    cluster.judged().unwrap();
    // Somebody renews it.
    std::fs::write(&cluster.token, "re.new.ed").unwrap();
    cluster.judged().unwrap();
    let asked = cluster.world.asked();
    let urls: Vec<_> = asked.iter().map(|r| r.url.as_str()).collect();
    assert_eq!(urls, [REVIEWS, POD, NODE, REVIEWS, POD, NODE]);
    for (request, token) in asked.iter().zip(
        ["verifiers.own.token"; 3]
            .into_iter()
            .chain(["re.new.ed"; 3]),
    ) {
        let bearer = request.headers.iter().find(|h| h.name == "authorization");
        assert_eq!(*bearer.unwrap().value, format!("Bearer {token}"));
        assert_eq!(request.reach, Reach::OPERATORS);
    }
    assert_eq!(asked[0].method, Method::Post);
    let sent: Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(
        sent,
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": "to.ke.n", "audiences": ["urn:assay:example.org:server"]},
        })
    );
    for broken in ["", "two words", "a\r\nb"] {
        std::fs::write(&cluster.token, broken).unwrap();
        let error = cluster.judged().unwrap_err();
        assert_eq!(error.fault, Fault::Misconfigured);
        assert_eq!(error.check, "kubernetes-credential");
    }
    std::fs::remove_file(&cluster.token).unwrap();
    assert_eq!(cluster.judged().unwrap_err().check, "kubernetes-credential");
    assert_eq!(cluster.world.asked().len(), 6, "nobody is asked without it");
}

#[test]
fn settings_decide_audience_and_name() {
    let own = cluster(AttestorKind::K8S_PSAT, json!({"audience": []}));
    own.world.forget(REVIEWS);
    let mut answer = review();
    answer["status"]
        .as_object_mut()
        .unwrap()
        .remove("audiences");
    own.world.answers(REVIEWS, Ok(answer));
    assert!(own.judged().is_ok(), "the API server's own audience");
    let sent: Value = serde_json::from_slice(&own.world.asked()[0].body).unwrap();
    assert_eq!(sent["spec"], json!({"token": "to.ke.n"}));

    let pods = cluster(AttestorKind::K8S_PSAT, json!({"usePodUidForAgentId": true}));
    let identity = pods.judged().unwrap().facts.identity;
    assert_eq!(identity.as_deref(), Some("MyCluster/pod/1f8d43a5"));
}

#[test]
fn the_payload_names_a_cluster_that_is_configured() {
    for kind in [AttestorKind::K8S_PSAT, AttestorKind::K8S_SAT] {
        let cluster = cluster(kind, json!({}));
        let told = |payload: Value| {
            let payload = payload.to_string();
            judge(&*cluster.attestor, &cluster.world, payload.as_bytes())
                .result
                .unwrap_err()
        };
        let error = told(json!({"cluster": "mycluster", "token": "a.b.c"}));
        assert_eq!(error.detail, "not configured for cluster \"mycluster\"");
        let error = told(json!({"cluster": "", "token": "a.b.c"}));
        assert_eq!(error.detail, "missing cluster in attestation data");
        let error = told(json!({"cluster": "MyCluster", "token": ""}));
        assert_eq!(error.detail, "missing token in attestation data");
        for payload in [
            json!({"token": "a.b.c"}),
            json!({"cluster": "MyCluster"}),
            json!({"cluster": "MyCluster", "token": "a", "x": 1}),
            json!({"cluster": "MyCluster", "token": "x".repeat(16_385)}),
            json!([]),
        ] {
            assert_eq!(told(payload).fault, Fault::Malformed);
        }
        assert!(cluster.world.asked().is_empty());
    }
}

/// An answer is never taken for another cluster's.
#[test]
fn an_answer_is_its_clusters_own() {
    use assay_common::login::LoginKeys;
    use assay_host_verifier::attestor::{Facts, Judged, LoginContext};
    use assay_host_verifier::blobs::Blobs;
    let cluster = psat();
    let kept = judge(&*cluster.attestor, &cluster.world, &payload())
        .kept
        .unwrap();
    let mut other: Value = serde_json::from_slice(&kept).unwrap();
    for (name, value) in [
        ("cluster", "Other"),
        ("server", "https://evil.example"),
        ("x", "y"),
    ] {
        let keys = LoginKeys::new([0; 32]);
        let cx = LoginContext {
            now: crate::jwt::signer::now(),
            transcript: &Transcript::new(),
            request: &[],
            blobs: &Blobs::default(),
            facts: &Facts::default(),
            last_boot: None,
            keys: &keys,
        };
        let Judged::Errand(errand) = cluster.attestor.judge(&cx, &payload()).unwrap() else {
            panic!("it must ask");
        };
        let before = other.clone();
        other[name] = value.into();
        let error = errand.judge(&cx, other.to_string().as_bytes()).unwrap_err();
        assert_eq!((error.fault, error.check), (Fault::Internal, "answer"));
        other = before;
    }
}
