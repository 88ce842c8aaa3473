//! `k8s_psat` and `k8s_sat`: an API server that answers as Kubernetes documents, and each way in which it can answer
//! otherwise.

use assay_common::login::{Direction, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Attestor, Claims, Fault};
use assay_host_verifier::outside::{ErrorKind, Method, Reach};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{World, attestor, judge, judge_in};
use crate::jwt::signer::{NOW, Signer};
use crate::pki::Pki;

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

/// Each is wrong in one thing; and nobody is asked on after that.
#[test]
fn each_check_of_a_review_refuses() {
    type Change = fn(&mut Value);
    let changes: [(&str, &str, Change); 16] = [
        ("token-review-error", "has an error", |r| {
            r["status"] = json!({"authenticated": true, "error": "to.ke.n is odd"});
        }),
        (
            "token-not-authenticated",
            "token not authenticated according to TokenReview API",
            |r| {
                r["status"]["authenticated"] = false.into();
            },
        ),
        ("token-not-authenticated", "token not authenticated", |r| {
            r["status"] = json!({});
        }),
        ("token-not-authenticated", "token not authenticated", |r| {
            r["status"].as_object_mut().unwrap().remove("authenticated");
        }),
        // SPIRE #5142: an API server that knows nothing of audiences.
        ("token-audience", "confirms no audience", |r| {
            r["status"].as_object_mut().unwrap().remove("audiences");
        }),
        ("token-audience", "confirms no audience", |r| {
            r["status"]["audiences"] = json!(["other"]);
        }),
        ("token-username", "failed to parse username", |r| {
            r["status"]["user"]["username"] = "admin".into();
        }),
        ("token-username", "failed to parse username", |r| {
            r["status"]["user"]["username"] = "system:serviceaccount:assay:assay-agent:x".into();
        }),
        ("token-username", "failed to parse username", |r| {
            r["status"]["user"]["username"] = "system:node:assay:assay-agent".into();
        }),
        (
            "service-account-not-allowed",
            "\"assay:other\" is not an allowed service account",
            |r| {
                r["status"]["user"]["username"] = "system:serviceaccount:assay:other".into();
            },
        ),
        ("service-account-not-allowed", "is not an allowed", |r| {
            r["status"]["user"]["username"] = "system:serviceaccount:default:assay-agent".into();
        }),
        (
            "token-not-bound",
            "failed to get pod name from token review status",
            |r| {
                r["status"]["user"]["extra"] = json!({});
            },
        ),
        (
            "token-not-bound",
            "failed to get pod name from token review status",
            |r| {
                r["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"] =
                    json!(["agent-x", "agent-y"]);
            },
        ),
        (
            "token-not-bound",
            "failed to get pod UID from token review status",
            |r| {
                r["status"]["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!([]);
            },
        ),
        ("token-not-bound", "is none", |r| {
            r["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"] =
                json!(["../../secrets/x"]);
        }),
        ("token-not-bound", "failed to get node name", |r| {
            r["status"]["user"]["extra"]["authentication.kubernetes.io/node-name"] =
                json!(["worker-1", "worker-2"]);
        }),
    ];
    for (check, text, change) in changes {
        let cluster = psat();
        let mut answer = review();
        change(&mut answer);
        let error = cluster.with(REVIEWS, Ok(answer));
        assert_eq!(error.check, check, "{error}");
        assert!(error.detail.contains(text), "{error}");
        assert!(!error.detail.contains("to.ke.n"), "{error}");
        assert_eq!(cluster.world.asked().len(), 1, "{text}");
    }
}

#[test]
fn each_check_of_the_pod_and_the_node_refuses() {
    type Change = fn(&mut Value);
    let pods: [(&str, Change); 7] = [
        // SPIRE #7117: the pod was replaced by another of its name.
        ("pod-uid-mismatch", |p| {
            p["metadata"]["uid"] = "other".into()
        }),
        ("pod-uid-mismatch", |p| {
            drop(p["metadata"].as_object_mut().unwrap().remove("uid"))
        }),
        ("pod-mismatch", |p| p["metadata"]["name"] = "agent-y".into()),
        ("pod-mismatch", |p| {
            p["metadata"]["namespace"] = "default".into()
        }),
        ("pod-mismatch", |p| {
            p["spec"]["serviceAccountName"] = "other".into()
        }),
        ("node-name", |p| {
            drop(p["spec"].as_object_mut().unwrap().remove("nodeName"))
        }),
        ("node-mismatch", |p| {
            p["spec"]["nodeName"] = "worker-2".into()
        }),
    ];
    for (check, change) in pods {
        let cluster = psat();
        let mut answer = pod();
        change(&mut answer);
        let error = cluster.with(POD, Ok(answer));
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
        assert_eq!(cluster.world.asked().len(), 2);
    }
    let nodes: [(&str, Change); 3] = [
        ("node-uid", |n| n["metadata"]["uid"] = "".into()),
        ("node-mismatch", |n| {
            n["metadata"]["name"] = "worker-2".into()
        }),
        ("node-mismatch", |n| {
            n["metadata"]["uid"] = "reinstalled".into()
        }),
    ];
    for (check, change) in nodes {
        let mut answer = node();
        change(&mut answer);
        let error = psat().with(NODE, Ok(answer));
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
    }
    let error = psat().with(
        NODE,
        Ok(json!({"kind": "Node", "metadata": {"name": "worker-1"}})),
    );
    assert_eq!(error.detail, "node UID is empty");
}

/// Statuses as Kubernetes documents them: whose fault each is.
#[test]
fn statuses_are_sorted_by_whose_fault_they_are() {
    use Fault::{Misconfigured, Refused, Unavailable};
    for (url, kind, fault, text) in [
        (
            REVIEWS,
            ErrorKind::Status(401),
            Misconfigured,
            "the verifier's own token",
        ),
        (REVIEWS, ErrorKind::Status(403), Misconfigured, "RBAC"),
        (
            REVIEWS,
            ErrorKind::Status(404),
            Unavailable,
            "unable to validate token with TokenReview API",
        ),
        (REVIEWS, ErrorKind::Status(500), Unavailable, "status 500"),
        (
            REVIEWS,
            ErrorKind::Redirect(302),
            Unavailable,
            "redirects are not followed",
        ),
        (
            REVIEWS,
            ErrorKind::Deadline,
            Unavailable,
            "no answer in time",
        ),
        (
            POD,
            ErrorKind::Status(403),
            Misconfigured,
            "failed to get pod from k8s API server",
        ),
        (
            POD,
            ErrorKind::Status(404),
            Refused,
            "failed to get pod from k8s API server",
        ),
        (
            NODE,
            ErrorKind::Status(403),
            Misconfigured,
            "failed to get node from k8s API server",
        ),
        (NODE, ErrorKind::Status(404), Refused, "there is none"),
        (NODE, ErrorKind::Connect, Unavailable, "no connection"),
    ] {
        let error = psat().with(url, Err(kind));
        assert_eq!(error.fault, fault, "{error}");
        assert!(error.detail.contains(text), "{error}");
    }
}

/// An answer of another kind, such as a `Status`, is none, with whatever status it comes.
#[test]
fn an_answer_of_another_kind_is_no_answer() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "hunter2", "reason": "Forbidden", "code": 403});
    for url in [REVIEWS, POD, NODE] {
        for answer in [status.clone(), json!([]), json!("hunter2"), json!({})] {
            let error = psat().with(url, Ok(answer));
            assert_eq!(error.fault, Fault::Unavailable, "{error}");
            assert!(!error.detail.contains("hunter2"), "{error}");
        }
    }
    let mut many = review();
    many["status"]["user"]["extra"]["authentication.kubernetes.io/pod-uid"] =
        json!(["x".repeat(300)]);
    assert_eq!(psat().with(REVIEWS, Ok(many)).check, "token-review");
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

fn legacy_claims() -> Value {
    json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "assay",
        "kubernetes.io/serviceaccount/secret.name": "assay-agent-token-x",
        "kubernetes.io/serviceaccount/service-account.name": "assay-agent",
        "kubernetes.io/serviceaccount/service-account.uid": "51e5d3c2",
        "sub": "system:serviceaccount:assay:assay-agent",
    })
}

/// By keys: a token without end and audience, as Kubernetes made them before 1.21.
#[test]
fn a_legacy_token_is_judged_by_the_clusters_keys() {
    let pki = Pki::new();
    pki.key("rsa2048", "rsa2048");
    pki.key("other", "rsa2048");
    let pem = |name: &str| {
        String::from_utf8(pki.openssl(&format!("pkey -in {name}.key -pubout"))).unwrap()
    };
    let config = json!({"clusters": {"MyCluster": {
        "serviceAccountAllowList": ["assay:assay-agent"],
        "serviceAccountKeyFile": [pem("other"), pem("rsa2048")],
    }}});
    let attestor = attestor(AttestorKind::K8S_SAT, config).unwrap();
    let judged = |name: &str, claims: &Value| {
        let key = std::fs::read(pki.path(&format!("{name}.key"))).unwrap();
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(&key).unwrap();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.typ = None;
        let token = jsonwebtoken::encode(&header, claims, &key).unwrap();
        let payload = json!({"cluster": "MyCluster", "token": token}).to_string();
        judge(&*attestor, &World::default(), payload.as_bytes()).result
    };
    let claims = judged("rsa2048", &legacy_claims()).unwrap();
    let names: Vec<_> = claims.attributes.iter().map(|a| &*a.name).collect();
    assert_eq!(
        names,
        [
            "k8s_sat.cluster",
            "k8s_sat.agent_ns",
            "k8s_sat.agent_sa",
            "k8s_sat.agent_uuid"
        ]
    );
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("token-issuer", |c| {
            c["iss"] = "https://kubernetes.default.svc".into()
        }),
        ("token-claims", |c| {
            drop(c.as_object_mut().unwrap().remove("iss"))
        }),
        ("token-subject", |c| {
            c["sub"] = "system:serviceaccount:assay:other".into()
        }),
        ("token-claims", |c| {
            drop(c.as_object_mut().unwrap().remove("sub"))
        }),
        ("token-expired", |c| c["exp"] = (NOW - 100).into()),
        ("token-not-yet", |c| c["nbf"] = (NOW + 100).into()),
        ("token-form", |c| c["exp"] = "never".into()),
        ("service-account-not-allowed", |c| {
            c["sub"] = "system:serviceaccount:kube:assay-agent".into();
            c["kubernetes.io/serviceaccount/namespace"] = "kube".into();
        }),
    ];
    for (check, change) in changes {
        let mut claims = legacy_claims();
        change(&mut claims);
        let error = judged("rsa2048", &claims).unwrap_err();
        assert_eq!(error.check, check, "{error}");
    }
    pki.key("thief", "rsa2048");
    assert_eq!(
        judged("thief", &legacy_claims()).unwrap_err().check,
        "token-signature"
    );
    let foreign = Signer::new(1).token(&legacy_claims());
    let payload = json!({"cluster": "MyCluster", "token": foreign}).to_string();
    let error = judge(&*attestor, &World::default(), payload.as_bytes()).result;
    assert_eq!(error.unwrap_err().check, "token-key");
}

#[test]
fn a_legacy_token_is_judged_by_the_clusters_word() {
    let cluster = cluster(AttestorKind::K8S_SAT, json!({}));
    cluster.world.forget(REVIEWS);
    let mut answer = review();
    answer["status"]["user"]["extra"] = json!({});
    answer["status"]
        .as_object_mut()
        .unwrap()
        .remove("audiences");
    cluster.world.answers(REVIEWS, Ok(answer.clone()));
    assert!(cluster.judged().is_ok());
    let sent: Value = serde_json::from_slice(&cluster.world.asked()[0].body).unwrap();
    assert_eq!(sent["spec"], json!({"token": "to.ke.n"}), "no audience");
    assert_eq!(cluster.world.asked().len(), 1, "neither pod nor node");
    answer["status"]["authenticated"] = false.into();
    assert_eq!(
        cluster.with(REVIEWS, Ok(answer)).check,
        "token-not-authenticated"
    );
}

/// SPIRE made one at random; ours is random too, and the same when a stored login is judged again.
#[test]
fn each_login_has_a_uuid_of_its_own() {
    let cluster = cluster(AttestorKind::K8S_SAT, json!({}));
    let uuid = |message: &[u8]| {
        let transcript = Transcript::new().then(Direction::Agent, message);
        let judged = judge_in(&*cluster.attestor, &cluster.world, &payload(), &transcript);
        let claims = judged.result.unwrap();
        let uuid = claims
            .attributes
            .iter()
            .find(|a| a.name == "k8s_sat.agent_uuid");
        let uuid = uuid.unwrap().value.clone();
        assert_eq!(claims.facts.identity, Some(format!("MyCluster/{uuid}")));
        uuid
    };
    let one = uuid(b"one login");
    assert_eq!(one, uuid(b"one login"));
    assert_ne!(one, uuid(b"another"));
    let parts: Vec<_> = one.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert!(
        one[14..].starts_with('8') && "89ab".contains(&one[19..20]),
        "{one}"
    );
}
