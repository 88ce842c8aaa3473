//! Keys, certificates and tokens of a host without a TPM: each method alone, all of them in one policy, and every way in which
//! they are wrong. Made by `openssl` and `ssh-keygen`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Process, Site, agent, agent_json};

const X509: &str = "{type: x509pop, config: {privateKeyPath: host.key, certificatePath: host.crt}}";
const SSH: &str = "{type: ssh_pop, config: {hostKeyPath: ssh_host}}";
const JWT: &str = "{type: custom_jwt, config: {tokenPath: token}}";
const K8S: &str = "{type: k8s_token, config: {tokenPath: k8s_token}}";

/// The policies: all three, then each alone.
const POLICIES: &str = "section: AgentAttestation
schema: v1
spec:
  policies:
    - name: all-three
      requiredAttestors: [{type: x509pop, config: {caBundle: ['@/ca.crt']}}, {type: ssh_pop, config: {certAuthoritiesFile: '@/ssh_ca.pub'}}, {type: custom_jwt, config: {issuer: 'https://issuer.example.org', audience: assay, publicKeys: ['@/issuer.pub']}}]
    - name: x509
      requiredAttestors: [{type: x509pop, config: {caBundle: ['@/ca.crt']}}]
    - name: ssh
      requiredAttestors: [{type: ssh_pop, config: {certAuthoritiesFile: '@/ssh_ca.pub', canonicalDomain: example.org}}]
    - name: jwt
      requiredAttestors: [{type: custom_jwt, config: {issuer: 'https://issuer.example.org', audience: assay, publicKeys: ['@/issuer.pub']}}]
    - name: kubernetes
      requiredAttestors: [{type: k8s_token, config: {issuerURL: 'https://kubernetes.default.svc', audience: assay, jwks: 'JWKS'}}]
";

fn run(folder: &Path, command: &str) {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    // An empty word is an empty argument: no passphrase.
    let output = process.args(words).current_dir(folder).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

fn private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A host certificate by this authority, for `days` from yesterday on.
fn certify(folder: &Path, ca: &str, days: &str) {
    run(
        folder,
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out host.key",
    );
    run(
        folder,
        "openssl req -new -key host.key -subj /CN=host -out host.csr",
    );
    run(
        folder,
        &format!(
            "openssl x509 -req -in host.csr -CA {ca}.crt -CAkey {ca}.key -set_serial 7 -days {days} -extfile leaf.ext -out host.crt"
        ),
    );
    private(&folder.join("host.key"));
}

fn authority(folder: &Path, name: &str) {
    run(
        folder,
        &format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.crt -subj /CN={name} -days 30"
        ),
    );
}

/// A token signed by `openssl` with the issuer's RSA key.
fn token(folder: &Path, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    fs::write(folder.join("signed"), &signed).unwrap();
    run(
        folder,
        "openssl dgst -sha256 -sign issuer.key -out signature signed",
    );
    let signature = fs::read(folder.join("signature")).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn good_header() -> Value {
    json!({"alg": "RS256", "typ": "JWT"})
}

fn good_claims() -> Value {
    json!({"iss": "https://issuer.example.org", "aud": "assay", "sub": "host", "iat": now(), "exp": now() + 600})
}

fn kubernetes_claims() -> Value {
    json!({
        "iss": "https://kubernetes.default.svc", "aud": ["assay"], "iat": now(), "exp": now() + 600,
        "sub": "system:serviceaccount:spirl-system:spirl-agent",
        "kubernetes.io": {"namespace": "spirl-system", "serviceaccount": {"name": "spirl-agent", "uid": "1"}},
    })
}

/// The modulus of the issuer's key, as a JWK has it.
fn jwks(folder: &Path) -> String {
    let shown = Command::new("openssl")
        .args(["rsa", "-pubin", "-in", "issuer.pub", "-noout", "-modulus"])
        .current_dir(folder)
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let digits = shown.trim().strip_prefix("Modulus=").unwrap();
    let modulus: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    let key = json!({"kty": "RSA", "kid": "k1", "alg": "RS256", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"});
    json!({"keys": [key]}).to_string()
}

/// A verifier, and a host that has all that it wants.
struct Host {
    site: Site,
    assayd: Process,
    /// What the policies name.
    _authorities: TempDir,
}

impl Host {
    fn new() -> Self {
        let made = tempfile::tempdir().unwrap();
        let folder = made.path();
        fs::write(
            folder.join("leaf.ext"),
            "keyUsage=critical,digitalSignature\n",
        )
        .unwrap();
        authority(folder, "ca");
        authority(folder, "other");
        run(folder, "ssh-keygen -q -N  -t ed25519 -f ssh_ca");
        run(folder, "ssh-keygen -q -N  -t ed25519 -f ssh_other");
        run(
            folder,
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out issuer.key",
        );
        run(
            folder,
            "openssl pkey -in issuer.key -pubout -out issuer.pub",
        );
        let policies = POLICIES
            .replace("JWKS", &jwks(folder))
            .replace('@', &folder.display().to_string());
        let session = "session: {pathTemplate: /host}\n";
        let site = Site::set_up_with(&policies, session);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            fs::copy(&path, site.folder().join(name)).unwrap();
        }
        let host = Self {
            assayd: site.start(&[]),
            site,
            _authorities: made,
        };
        host.mend();
        host
    }

    fn folder(&self) -> &Path {
        self.site.folder()
    }

    /// Everything as it should be.
    fn mend(&self) {
        certify(self.folder(), "ca", "30");
        self.ssh("-s ssh_ca -h -I host -n host.example.org");
        self.put(
            "token",
            &token(self.folder(), &good_header(), &good_claims()),
        );
        let header = json!({"alg": "RS256", "kid": "k1"});
        self.put(
            "k8s_token",
            &token(self.folder(), &header, &kubernetes_claims()),
        );
    }

    fn ssh(&self, options: &str) {
        for name in ["ssh_host", "ssh_host.pub", "ssh_host-cert.pub"] {
            let _ = fs::remove_file(self.folder().join(name));
        }
        run(self.folder(), "ssh-keygen -q -N  -t ed25519 -f ssh_host");
        run(
            self.folder(),
            &format!("ssh-keygen -q {options} ssh_host.pub"),
        );
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        private(&path);
    }

    /// What is proven with these methods, by which policy.
    fn proves(&self, methods: &[&str], proven: &[&str]) {
        let config = self.site.agent(&format!("[{}]", methods.join(", ")), "");
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 0, "{proven:?}: {errors}\n{}", self.assayd.log());
        assert_eq!(answer["spiffeId"], "spiffe://example.org/host");
        let mut told: Vec<_> = answer["proven"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        told.sort();
        let mut wanted: Vec<_> = proven.iter().map(|name| format!("\"{name}\"")).collect();
        wanted.sort();
        assert_eq!(told, wanted);
        assert_eq!(answer["svidKey"], "memory");
    }

    /// The verifier refuses: the agent hears the category and a hint, the operator's log names the check.
    fn refused(&self, method: &str, check: &str) {
        let config = self.site.agent(&format!("[{method}]"), "");
        let before = self.assayd.log().len();
        let (status, mut answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{check}: {answer}");
        assert!(errors.contains("hint: "), "{errors}");
        // What the node finds out about itself, it may say.
        answer.as_object_mut().unwrap().remove("findings").unwrap();
        let errors = errors.lines().filter(|line| !line.starts_with("doctor: "));
        let errors: String = errors.collect();
        let log = self.assayd.log();
        let said = &log[before..];
        assert!(said.contains(check), "{check} is not in:\n{said}");
        assert!(
            !errors.contains(check) && !answer.to_string().contains(check),
            "{errors}"
        );
    }

    /// The agent itself sees what is wrong, and how it is mended.
    fn told(&self, method: &str, what: &str, hint: &str) {
        let config = self.site.agent(&format!("[{method}]"), "");
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{answer}");
        let all = format!("{answer}\n{errors}");
        assert!(all.contains(what), "{what} is not in:\n{all}");
        assert!(all.contains(hint), "{hint} is not in:\n{all}");
    }
}

#[test]
fn each_method_logs_in_alone_and_three_log_in_together() {
    let host = Host::new();
    host.proves(&[X509], &["x509pop"]);
    host.proves(&[SSH], &["ssh_pop"]);
    host.proves(&[JWT], &["custom_jwt"]);
    host.proves(&[K8S], &["k8s_token"]);
    host.proves(&[SSH, JWT, X509], &["x509pop", "ssh_pop", "custom_jwt"]);
    // What is shown beforehand is what the audit trail calls the node.
    let config = host.site.agent(&format!("[{X509}, {SSH}, {JWT}]"), "");
    let (_, shown, _) = agent_json(&["show"], &config);
    let trail = host.site.folder().join("verifier/data/audit.jsonl");
    let trail = fs::read_to_string(trail).unwrap();
    let last: Value = serde_json::from_str(trail.lines().last().unwrap()).unwrap();
    for (index, method) in ["x509pop", "ssh_pop"].into_iter().enumerate() {
        let details = shown["attestors"][index]["details"].as_array().unwrap();
        let hash = details.iter().find(|one| one["name"] == "public hash");
        let identity = &last["identities"][method];
        assert_eq!(&hash.unwrap()["value"], identity, "{shown:#}");
    }
    // And for people.
    let text = String::from_utf8(agent(&["login"], &config).stdout).unwrap();
    assert!(
        text.contains("logged in: spiffe://example.org/host"),
        "{text}"
    );
    assert!(
        text.contains("custom_jwt") && text.contains("ssh_pop"),
        "{text}"
    );
}

#[test]
fn a_certificate_or_its_key_that_is_wrong_lets_nobody_in() {
    let host = Host::new();
    certify(host.folder(), "other", "30");
    host.refused(X509, "x509");
    certify(host.folder(), "ca", "-1");
    host.refused(X509, "x509");
    // The node can see that itself, and says so beside the refusal.
    let config = host.site.agent(&format!("[{X509}]"), "");
    let (status, answer, _) = agent_json(&["doctor"], &config);
    assert_eq!(status, 1, "{answer}");
    assert!(
        answer.to_string().contains("host.crt: it expired at"),
        "{answer}"
    );
    let (_, answer, errors) = agent_json(&["login"], &config);
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{answer:#}");
    let seen = findings[0]["seen"].as_str().unwrap();
    assert!(seen.contains("host.crt: it expired at"), "{seen}");
    assert!(findings[0]["mend"].is_string(), "{answer:#}");
    let told = errors
        .lines()
        .find(|line| line.starts_with("doctor: fail: "));
    assert!(told.unwrap().contains(seen), "{errors}");
    certify(host.folder(), "ca", "30");
    run(
        host.folder(),
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out host.key",
    );
    private(&host.folder().join("host.key"));
    host.told(X509, "host.key", "certificate");
    fs::set_permissions(
        host.folder().join("host.key"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    host.told(X509, "host.key", "chmod");
    fs::remove_file(host.folder().join("host.key")).unwrap();
    host.told(X509, "host.key: No such file", "must be able to read it");
}

#[test]
fn a_host_key_that_is_not_certified_for_its_host_lets_nobody_in() {
    let host = Host::new();
    for wrong in [
        "-s ssh_other -h -I host -n host.example.org",
        "-s ssh_ca -I host -n host.example.org",
        "-s ssh_ca -h -I host",
        "-s ssh_ca -h -I host -n host.example.com",
        "-s ssh_ca -h -I host -n host.example.org -V -2d:-1d",
    ] {
        host.ssh(wrong);
        host.refused(SSH, "ssh");
    }
    fs::remove_file(host.folder().join("ssh_host-cert.pub")).unwrap();
    host.told(SSH, "ssh_host-cert.pub", "hint");
}

#[test]
fn a_token_that_is_not_as_the_policy_wants_it_lets_nobody_in() {
    let host = Host::new();
    let with = |name: &str, value: Value| {
        let mut claims = good_claims();
        claims[name] = value;
        claims
    };
    for claims in [
        with("iss", json!("https://issuer.example.org/")),
        with("aud", json!("other")),
        with("exp", json!(now() - 3600)),
        with("nbf", json!(now() + 3600)),
    ] {
        host.put("token", &token(host.folder(), &good_header(), &claims));
        host.refused(JWT, "jwt");
    }
    for header in [
        json!({"alg": "none", "typ": "JWT"}),
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "PS256", "typ": "JWT"}),
        json!({"alg": "RS256", "typ": "JWT", "crit": ["exp"]}),
    ] {
        host.put("token", &token(host.folder(), &header, &good_claims()));
        host.refused(JWT, "jwt");
    }
    let good = token(host.folder(), &good_header(), &good_claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = token(host.folder(), &good_header(), &with("sub", json!("other")));
    let (other, _) = other.rsplit_once('.').unwrap();
    assert_ne!(signed, other);
    host.put("token", &format!("{other}.{signature}"));
    host.refused(JWT, "jwt");
    fs::remove_file(host.folder().join("token")).unwrap();
    host.told(JWT, "token: No such file", "must be able to read it");
    // Of Kubernetes: another service account.
    let mut claims = kubernetes_claims();
    claims["sub"] = json!("system:serviceaccount:default:default");
    let header = json!({"alg": "RS256", "kid": "k1"});
    host.put("k8s_token", &token(host.folder(), &header, &claims));
    host.refused(K8S, "JWT verification failed");
    let header = json!({"alg": "RS256", "kid": "k2"});
    host.put(
        "k8s_token",
        &token(host.folder(), &header, &kubernetes_claims()),
    );
    host.refused(K8S, "not found in inline JWKS");
}
