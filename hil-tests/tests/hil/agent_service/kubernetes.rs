//! `k8s_psat` and `k8s_sat` through both processes: an API server in Python that answers as Kubernetes documents it, and tokens in
//! files as a kubelet writes them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Process, Site, agent_json, eventually, spawn};

/// `TokenReview`, pods and nodes, for whoever shows the verifier's token. It counts the reviews.
const API: &str = r#"
import http.server, json, os, ssl

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
AGENT = "system:serviceaccount:assay:assay-agent"
BOUND = "authentication.kubernetes.io/"
OBJECTS = {
    "/api/v1/namespaces/assay/pods/agent-x": {"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "agent-x", "namespace": "assay", "uid": "pod-1"},
        "spec": {"nodeName": "worker-1", "serviceAccountName": "assay-agent"},
        "status": {"hostIP": "192.0.2.7"}},
    "/api/v1/nodes/worker-1": {"kind": "Node", "apiVersion": "v1",
        "metadata": {"name": "worker-1", "uid": "node-1", "labels": {"zone": "eu-1"}}},
}

class Api(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def known(self):
        return self.headers["authorization"] == "Bearer verifiers.own.token"

    def do_GET(self):
        if not self.known():
            return self.answer(401, {"kind": "Status", "code": 401})
        found = OBJECTS.get(self.path)
        self.answer(200 if found else 404, found or {"kind": "Status", "code": 404})

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.known() or self.path != REVIEWS:
            return self.answer(401, {"kind": "Status", "code": 401})
        with open("reviews", "a") as file:
            file.write("x")
        good = review["spec"]["token"] == open("good").read()
        review["status"] = {"user": {}, "error": "[invalid bearer token]"}
        if good:
            review["status"] = {"authenticated": True,
                "audiences": review["spec"].get("audiences", []),
                "user": {"username": AGENT, "extra": {
                    BOUND + "pod-name": ["agent-x"], BOUND + "pod-uid": ["pod-1"]}}}
        self.answer(201, review)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("api.pem", "api.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open("port.new", "w") as file:
    file.write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
"#;

/// A Kubernetes cluster: its API server, and the key that it signs legacy tokens with.
struct Kubernetes {
    folder: TempDir,
    port: u16,
    _api: Process,
}

fn run(folder: &Path, command: &str) {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    let output = process.args(words).current_dir(folder).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

impl Kubernetes {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        run(
            path,
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout api.key -out api.pem -days 2 \
             -subj /CN=api -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE",
        );
        run(
            path,
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key",
        );
        run(path, "openssl pkey -in sa.key -pubout -out sa.pub");
        fs::write(path.join("verifier.token"), "verifiers.own.token\n").unwrap();
        fs::write(path.join("good"), "").unwrap();
        fs::write(path.join("api.py"), API).unwrap();
        let mut command = Command::new("python3");
        command.arg("api.py").current_dir(path);
        let api = spawn(&mut command, path.join("api.log"));
        let port = path.join("port");
        eventually("the API server listens", || port.exists());
        let port = fs::read_to_string(&port).unwrap().parse().unwrap();
        Self {
            folder,
            port,
            _api: api,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// How often the API server was asked about a token.
    fn reviews(&self) -> usize {
        fs::read(self.path("reviews")).map_or(0, |bytes| bytes.len())
    }

    /// A cluster of a policy.
    fn cluster(&self, more: Value) -> Value {
        let mut cluster = json!({"serviceAccountAllowList": ["assay:assay-agent"]});
        for (name, value) in more.as_object().unwrap() {
            cluster[name] = value.clone();
        }
        json!({"clusters": {"east": cluster}})
    }

    fn api(&self) -> Value {
        json!({
            "apiServer": format!("https://127.0.0.1:{}", self.port),
            "caCerts": self.path("api.pem"),
            "tokenFile": self.path("verifier.token"),
        })
    }

    /// A token with these claims, signed by the cluster.
    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "RS256"});
        let signed = format!("{}.{}", part(&header), part(claims));
        fs::write(self.path("signed"), &signed).unwrap();
        run(
            self.folder.path(),
            "openssl dgst -sha256 -sign sa.key -out signature signed",
        );
        let signature = fs::read(self.path("signature")).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn policy(method: &str, config: &Value) -> String {
    json!({"section": "AgentAttestation", "schema": "v1", "spec": {"policies": [{
        "name": "pods", "requiredAttestors": [{"type": method, "config": config}],
    }]}})
    .to_string()
}

/// As the kubelet writes it: for every user of the pod.
fn put(site: &Site, token: &str) {
    let path = site.folder().join("token");
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[test]
fn a_projected_token_lets_its_pods_node_in_when_its_cluster_vouches_for_it() {
    let kubernetes = Kubernetes::start();
    let mut cluster = kubernetes.api();
    cluster["allowedNodeLabelKeys"] = json!(["zone"]);
    let session = "session: {pathTemplate: '/k8s/{{k8s_psat.cluster}}/{{k8s_psat.agent_node_label.zone}}/{{k8s_psat.agent_node_uid}}'}\n";
    let policy = policy("k8s_psat", &kubernetes.cluster(cluster));
    let site = Site::set_up_with(&policy, session);
    let assayd = site.start(&["outbound.allowLoopback=true"]);
    let config = site.agent(
        "[{type: k8s_psat, config: {cluster: east, tokenPath: token}}]",
        "",
    );
    let with = |name: &str, value: Value| {
        let mut claims = json!({
            "aud": ["urn:assay:example.org:server"],
            "exp": now() + 600,
            "sub": "system:serviceaccount:assay:assay-agent",
        });
        claims[name] = value;
        let token = kubernetes.token(&claims);
        put(&site, &token);
        token
    };
    let good = with("jti", json!("one"));
    fs::write(kubernetes.path("good"), &good).unwrap();
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 0, "{errors}\n{}", assayd.log());
    assert_eq!(answer["proven"], json!(["k8s_psat"]));
    assert_eq!(
        answer["spiffeId"],
        "spiffe://example.org/k8s/east/eu-1/node-1"
    );
    assert_eq!(kubernetes.reviews(), 1);
    // The token is in no log.
    assert!(!assayd.log().contains(&good[good.len() - 40..]));

    // Its cluster does not know it.
    let refused = |check: &str, reviews: usize| {
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{answer}");
        assert!(assayd.log().contains(check), "{check}: {}", assayd.log());
        assert!(
            errors.contains("assay audit show"),
            "the mend is the operator's to find: {errors}"
        );
        assert_eq!(kubernetes.reviews(), reviews, "{check}");
    };
    with("jti", json!("two"));
    refused("token-review-error", 2);
    // It says itself that it is no good, so nobody is asked.
    with("exp", json!(now() - 3600));
    refused("token-expired", 2);
    with("aud", json!(["https://kubernetes.default.svc"]));
    refused("token-audience", 2);
    with("sub", json!("system:serviceaccount:default:default"));
    refused("service-account-not-allowed", 2);
    let config = site.agent(
        "[{type: k8s_psat, config: {cluster: west, tokenPath: token}}]",
        "",
    );
    let (status, answer, _) = agent_json(&["login"], &config);
    assert_eq!(status, 1, "{answer}");
    assert!(assayd.log().contains("cluster-not-configured"));
}

#[test]
fn a_legacy_token_lets_in_by_the_clusters_key_or_by_its_word() {
    let kubernetes = Kubernetes::start();
    let session = "session: {pathTemplate: '/k8s/{{k8s_sat.cluster}}/{{k8s_sat.agent_uuid}}'}\n";
    let keys = kubernetes.cluster(json!({"serviceAccountKeyFile": kubernetes.path("sa.pub")}));
    for (config, asked) in [(keys, 0), (kubernetes.cluster(kubernetes.api()), 2)] {
        let site = Site::set_up_with(&policy("k8s_sat", &config), session);
        let assayd = site.start(&["outbound.allowLoopback=true"]);
        let agent = site.agent(
            "[{type: k8s_sat, config: {cluster: east, tokenPath: token}}]",
            "",
        );
        let token = kubernetes.token(&json!({
            "iss": "kubernetes/serviceaccount",
            "sub": "system:serviceaccount:assay:assay-agent",
            "kubernetes.io/serviceaccount/namespace": "assay",
            "kubernetes.io/serviceaccount/service-account.name": "assay-agent",
        }));
        put(&site, &token);
        fs::write(kubernetes.path("good"), &token).unwrap();
        // Each login is a new node.
        let mut identities = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let (status, answer, errors) = agent_json(&["login"], &agent);
            assert_eq!(status, 0, "{errors}\n{}", assayd.log());
            assert_eq!(answer["proven"], json!(["k8s_sat"]));
            let id = answer["spiffeId"].as_str().unwrap().to_owned();
            assert!(id.starts_with("spiffe://example.org/k8s/east/"), "{id}");
            identities.insert(id);
        }
        assert_eq!(identities.len(), 2);
        assert_eq!(kubernetes.reviews(), asked);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let forged: String = signature.chars().rev().collect();
        put(&site, &format!("{signed}.{forged}"));
        let (status, answer, _) = agent_json(&["login"], &agent);
        assert_eq!(status, 1, "{answer}");
    }
}
