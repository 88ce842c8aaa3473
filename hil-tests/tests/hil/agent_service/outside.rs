//! A node without a TPM that is known by its name and by an operator's webhook: `http_dns` and `extension` in one policy,
//! with a real resolver, a webhook in Python, and a proof that a shell script makes.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use assay_host_verifier::outside::AddressClass;
use serde_json::json;
use tempfile::TempDir;

use super::site::{Process, Site, agent_json, eventually};

/// What answers as docs/methods/extension.md says, by what it says alone. It lets in who has joined the login's nonce to the
/// secret's name, and knows its own caller.
const WEBHOOK: &str = r#"
import base64, http.server, json, ssl, sys

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wanted = b"dongle-7:" + question["nonce"].encode()
        answer = {"allow": False, "reason": "unknown-dongle"}
        if (self.headers["authorization"] == "Bearer s3cret"
                and question["methods"] == ["http_dns"]
                and question["attributes"]["http_dns.hostname"] == ["node.assay.test"]
                and question["cluster"] == "lab"
                and base64.b64decode(question["proof"]) == wanted):
            answer = {"allow": True, "attributes": {"model": "esp32"}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("hook.pem", "hook.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open("port.new", "w") as file:
    file.write(str(server.server_port))
import os
os.rename("port.new", "port")
server.serve_forever()
"#;

/// The proof: a name, and the login's nonce.
const DONGLE: &str = r#"#!/bin/sh
read -r line
nonce=$(printf '%s' "$line" | sed 's/.*"nonce":"\([^"]*\)".*/\1/')
printf '{"id":1,"proof":"%s"}\n' "$(printf '%s:%s' "$1" "$nonce" | base64 -w0)"
"#;

/// How such a node is named.
const SESSION: &str = "session: {pathTemplate: '/node/{{http_dns.hostname}}/{{custom.model}}'}\n";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is around the verifier and the node.
struct Around {
    folder: TempDir,
    resolver: u16,
    hook: u16,
    _running: [Running; 2],
}

fn spawn(program: &str, arguments: &[&str], folder: &Path) -> Running {
    let log = fs::File::create(folder.join(format!("{}.log", program.replace('/', "_")))).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    Running(child.unwrap_or_else(|error| panic!("{program}: {error}: `./x setup` installs it")))
}

/// An address of this machine that is not its loopback, which no node may have asked, and that a policy can allow. `None` where
/// it has none but public ones and reserved ones.
fn own_address() -> Option<IpAddr> {
    let told = Command::new("hostname").arg("-I").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut addresses = told.split_whitespace().filter_map(|a| a.parse().ok());
    let private = |address: &IpAddr| AddressClass::of(*address) == AddressClass::Private;
    addresses.find(private)
}

impl Around {
    /// With nodes at this address.
    fn new(nodes: IpAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args([
                "-keyout", "hook.key", "-out", "hook.pem", "-days", "2", "-subj", "/CN=hook",
            ])
            .args(["-addext", "subjectAltName=DNS:hook.assay.test"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        fs::write(folder.path().join("hook.py"), WEBHOOK).unwrap();
        let dongle = folder.path().join("dongle");
        fs::write(&dongle, DONGLE).unwrap();
        fs::set_permissions(&dongle, fs::Permissions::from_mode(0o755)).unwrap();
        let python = spawn("python3", &["hook.py"], folder.path());
        let port = folder.path().join("port");
        eventually("the webhook listens", || port.exists());
        let hook = fs::read_to_string(&port).unwrap().parse().unwrap();
        // Held until now; whoever listens next is the resolver.
        let resolver = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let listen = format!("--port={resolver}");
        let nodes = format!("--address=/node.assay.test/{nodes}");
        let arguments = [
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--user=",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--listen-address=127.0.0.1",
            &listen,
            "--local=/assay.test/",
            "--address=/hook.assay.test/127.0.0.1",
            &nodes,
        ];
        let dnsmasq = spawn("/usr/sbin/dnsmasq", &arguments, folder.path());
        // It listens for both transports once it answers at all.
        eventually("the resolver listens", || {
            std::net::TcpStream::connect(("127.0.0.1", resolver)).is_ok()
        });
        Self {
            folder,
            resolver,
            hook,
            _running: [python, dnsmasq],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn policy(&self) -> String {
        json!({"section": "AgentAttestation", "schema": "v1", "spec": {"policies": [{
            "name": "named",
            "requiredAttestors": [
                {"type": "http_dns", "config": {
                    "allowedHostnames": ["node.assay.test"],
                    "allowPrivateAddresses": true,
                }},
                {"type": "extension", "config": {
                    "webhookURL": format!("https://hook.assay.test:{}/attest", self.hook),
                    "caCerts": self.path("hook.pem"),
                    "bearerTokenFile": self.path("token"),
                }},
            ],
        }]}})
        .to_string()
    }

    fn start(&self, site: &Site, more: &[&str]) -> Process {
        let resolvers = format!("outbound.resolvers=['127.0.0.1:{}']", self.resolver);
        let settings: Vec<_> = [resolvers.as_str()].iter().chain(more).copied().collect();
        site.start(&settings)
    }

    /// What the agent offers: a host name, and what its executable says.
    fn attestors(&self, hostname: &str, dongle: &str) -> String {
        json!([
            {"type": "http_dns", "config": {"hostname": hostname}},
            {"type": "extension", "config": {
                "command": [self.path("dongle"), dongle],
                "environment": {"PATH": "/usr/bin:/bin"},
            }},
        ])
        .to_string()
    }
}

#[test]
fn a_node_without_a_tpm_is_known_by_its_name_and_by_what_the_operators_webhook_says() {
    let own = own_address();
    let around = Around::new(own.unwrap_or(Ipv4Addr::LOCALHOST.into()));
    let site = Site::set_up_with(&around.policy(), SESSION);
    let assayd = around.start(&site, &["outbound.allowLoopback=true"]);
    let config = site.agent(&around.attestors("node.assay.test", "dongle-7"), "");
    if own.is_none() {
        // On such a machine no name can lead to a node: all there is to see is that it is not asked. A machine of a network
        // tries the rest; `ip address add 10.255.255.1/32 dev lo` makes this one so.
        let (status, answer, _) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{answer}");
        assert!(assayd.log().contains("address-refused"), "{}", assayd.log());
        return;
    }
    // Twice: each login has a nonce of its own, and the port of the first is closed by then.
    for _ in 0..2 {
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 0, "{errors}\n{}", assayd.log());
        let id = "spiffe://example.org/node/node.assay.test/esp32";
        assert_eq!(answer["spiffeId"], id, "{answer}");
        let mut proven: Vec<_> = answer["proven"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_str().unwrap())
            .collect();
        proven.sort_unstable();
        assert_eq!(proven, ["extension", "http_dns"]);
    }
    assert!(!assayd.log().contains("s3cret"));

    // Each half alone can refuse.
    let refused = |attestors: String| {
        let config = site.agent(&attestors, "");
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{answer}");
        // Nothing of why: neither a name, nor an address, nor the webhook's word.
        let told = format!("{answer}{errors}");
        assert!(
            !told.contains("127.0.0.1") && !told.contains("unknown-dongle"),
            "{told}"
        );
    };
    refused(around.attestors("node.assay.test", "dongle-8"));
    assert!(assayd.log().contains("unknown-dongle"), "{}", assayd.log());
    refused(around.attestors("other.assay.test", "dongle-7"));
    assert!(
        assayd.log().contains("hostname-not-allowed"),
        "{}",
        assayd.log()
    );
}

#[test]
fn no_agent_can_have_the_verifier_ask_its_own_machine() {
    let around = Around::new(Ipv4Addr::LOCALHOST.into());
    let site = Site::set_up_with(&around.policy(), SESSION);
    // Not even where the operator's own webhook is there.
    let assayd = around.start(&site, &["outbound.allowLoopback=true"]);
    let watched = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = watched.local_addr().unwrap().port();
    let attestors = json!([
        {"type": "http_dns", "config": {"hostname": "node.assay.test", "advertisedPort": port}},
        {"type": "extension"},
    ]);
    let config = site.agent(&attestors.to_string(), "");
    let (status, answer, _) = agent_json(&["login"], &config);
    assert_eq!(status, 1, "{answer}");
    assert!(assayd.log().contains("address-refused"), "{}", assayd.log());
    watched.set_nonblocking(true).unwrap();
    assert!(watched.accept().is_err(), "nobody came");
}
