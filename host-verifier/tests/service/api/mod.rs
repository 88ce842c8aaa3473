//! The HTTPS API: over real TLS with curl and openssl where TLS or HTTP is what is tested, by calling the router where it is not.

mod acts;
mod answers;
mod audit;
mod auth;
mod bounds;
mod certificates;
mod clusters;
mod document;
pub(crate) mod programs;
mod settings;
mod stores;
mod svids;
mod tokens;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use assay_host_verifier::api::auth::ApiToken;
use assay_host_verifier::api::peer::ClientCertificate;
use assay_host_verifier::api::start::HttpListeners;
use assay_host_verifier::api::{ApiState, Peer, Tls, router};
use assay_host_verifier::clock::Clock;
use assay_host_verifier::config::{ClientName, Config};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::{ApiTokens, Role};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::ServiceExt;

use crate::desk::{Desk, ek_only};
use crate::fake_tpm::FakeTpm;

/// Certificates by openssl, made once: two authorities; a server of each; clients.
pub(crate) fn pki() -> &'static Path {
    static PKI: OnceLock<TempDir> = OnceLock::new();
    PKI.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"
            set -e
            leaf() { # name, authority, names, usage
                openssl ecparam -name prime256v1 -genkey -noout -out $1.key
                openssl req -new -key $1.key -subj /CN=$1 -out $1.csr
                printf 'subjectAltName=%s\nextendedKeyUsage=%s\n' "$3" "$4" >$1.ext
                openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -CAcreateserial -days 36500 -extfile $1.ext -out $1.crt
                chmod 600 $1.key
            }
            for ca in ca other; do
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $ca.key -out $ca.crt \
                    -days 36500 -subj /CN=$ca -addext keyUsage=keyCertSign
            done
            leaf server ca DNS:localhost,IP:127.0.0.1 serverAuth
            leaf renewed ca DNS:localhost,IP:127.0.0.1,DNS:renewed serverAuth
            leaf operator ca URI:spiffe://example.org/operator clientAuth
            leaf twofold ca URI:spiffe://example.org/other,URI:spiffe://example.org/operator clientAuth
            leaf viewer ca DNS:viewer.example.org clientAuth
            leaf stranger ca DNS:stranger.example.org clientAuth
            leaf foreign other URI:spiffe://example.org/operator clientAuth
        "#;
        let made = Command::new("sh")
            .args(["-c", script])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        dir
    })
    .path()
}

/// An API on a desk.
pub(crate) struct Api {
    pub(crate) desk: Desk,
    pub(crate) dir: TempDir,
    pub(crate) config: Config,
}

impl Api {
    /// With client certificates.
    pub(crate) fn new() -> Self {
        Self::with(", clientCAs: ca.crt", "", &[])
    }

    /// `tls` is more of `listeners.api.tls`, `limits` of `limits.api`.
    pub(crate) fn with(tls: &str, limits: &str, tpms: &[&FakeTpm]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["server.crt", "server.key", "ca.crt"] {
            std::fs::copy(pki().join(name), dir.path().join(name)).unwrap();
        }
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let clients = match tls {
            "" => "",
            _ => {
                "api:\n  clients:\n    - {spiffeId: spiffe://example.org/operator, role: operator}\n    \
                 - {dnsName: viewer.example.org, role: viewer}\n"
            }
        };
        let text = format!(
            "trustDomain: example.org\ndataDir: data\nlisteners:\n  api:\n    address: 127.0.0.1:0\n    \
             tls: {{certificate: server.crt, key: server.key{tls}}}\n  health: {{address: 127.0.0.1:0}}\n  \
             metrics: {{address: 127.0.0.1:0}}\n{clients}limits:\n  api: {{{limits}}}\n"
        );
        let config = Config::parse("assayd.yaml", &text, dir.path());
        let other = FakeTpm::new();
        let tpms = if tpms.is_empty() { &[&other] } else { tpms };
        Self {
            desk: Desk::new(&ek_only("rack", tpms)),
            config: config.unwrap_or_else(|error| panic!("{error}\n{text}")),
            dir,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> ApiState {
        let files = &self.config.http.api.as_ref().unwrap().tls;
        let tls = Arc::new(Tls::load(files).unwrap());
        ApiState::new(self.desk.server.clone(), &self.config, Some(tls))
    }

    pub(crate) fn router(&self) -> Router {
        router(self.state())
    }

    /// A token that does not end.
    pub(crate) async fn token(&self, role: Role) -> String {
        let now = self.desk.clock.now().wall;
        let issued = ApiToken::issue(&SystemRandom, now, "test", role, None, "test");
        let (token, record) = issued.unwrap();
        assert!(self.desk.store.add_api_token(&record).await.unwrap());
        token.expose().to_owned()
    }

    /// Opens the ports and serves them.
    pub(crate) async fn serve(self) -> Served {
        let open = HttpListeners::bind(&self.config.http).await.unwrap();
        let port = |listener: &Option<assay_host_verifier::api::HttpListener>| {
            listener.as_ref().unwrap().address()
        };
        let (address, health, metrics) = (port(&open.api), port(&open.health), port(&open.metrics));
        let tls = open.api.as_ref().unwrap().tls().unwrap().clone();
        let (stop, stopped) = watch::channel(false);
        let api = Arc::new(self);
        let served = api.clone();
        let task = tokio::spawn(async move {
            let served = open.serve(&served.desk.server, &served.config, stopped);
            served.await.unwrap();
        });
        Served {
            api,
            address,
            health,
            metrics,
            tls,
            stop,
            task,
        }
    }
}

/// An API behind open ports.
pub(crate) struct Served {
    pub(crate) api: Arc<Api>,
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) tls: Arc<Tls>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
}

impl Served {
    /// curl on a path, trusting the server's authority; its own words come last on stdout: version and status.
    pub(crate) async fn curl(&self, path: &str, arguments: &[&str]) -> Output {
        let url = format!("https://localhost:{}{path}", self.address.port());
        let mut command = tokio::process::Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "30"])
            .args(["--write-out", "\n%{http_version} %{http_code}"])
            .arg("--cacert")
            .arg(pki().join("ca.crt"))
            .args(arguments)
            .arg(url)
            .current_dir(pki());
        command.output().await.unwrap()
    }

    /// As [`Self::curl`]: (body, "version status").
    pub(crate) async fn get(&self, path: &str, arguments: &[&str]) -> (String, String) {
        let output = self.curl(path, arguments).await;
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, words) = text.rsplit_once('\n').unwrap();
        (body.to_owned(), words.to_owned())
    }

    /// A TLS connection that speaks `protocol`.
    pub(crate) async fn connect(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        client(protocol).connect(name, tcp).await
    }
}

fn client(protocol: &str) -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(protocol)))
}

/// A client that trusts the server's authority.
pub(crate) fn client_config(protocol: &str) -> rustls::ClientConfig {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(pki().join("ca.crt")).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    config
}

/// A peer at this address, without a certificate.
pub(crate) fn peer(address: &str) -> Peer {
    Peer {
        address: address.parse().unwrap(),
        certificate: None,
    }
}

/// Asks a router without a connection, as `peer`.
pub(crate) async fn ask(
    router: &Router,
    peer: Peer,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    body: Option<Value>,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).extension(peer);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let body = match body {
        None => Body::empty(),
        Some(json) => {
            request = request.header("content-type", "application/json");
            Body::from(json.to_string())
        }
    };
    let answer = router.clone().oneshot(request.body(body).unwrap()).await;
    answer.unwrap()
}

pub(crate) async fn json(response: Response<Body>) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await;
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A peer with the operator's certificate, verified by the authorities of the file, or by others.
pub(crate) fn with_certificate(address: &str, api: &Api, ends_in: i64) -> Peer {
    let now = api.desk.clock.now();
    Peer {
        certificate: Some(Arc::new(ClientCertificate {
            names: vec![ClientName::SpiffeId(
                "spiffe://example.org/operator".to_owned(),
            )],
            not_after: now.wall + jiff::SignedDuration::from_secs(ends_in),
            subject: "CN=operator".to_owned(),
            verified_by: api.state().tls.unwrap().client_cas().unwrap(),
        })),
        ..peer(address)
    }
}
