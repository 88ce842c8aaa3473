//! `http_dns`: during a login, the login's nonce is served over HTTP under the name that the host claims.

mod responder;

use std::net::ToSocketAddrs as _;
use std::sync::mpsc;
use std::time::Duration;

use assay_common::policy::AttestorKind;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;

use self::responder::Responder;
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};
use crate::finding::Finding;

/// Below which the agent's name stands: SPIRE's path.
const PATH: &str = "/.well-known/spiffe/nodeattestor/http_challenge/";
const DEFAULT_AGENT: &str = "default";
const MAX_AGENT: usize = 32;
const MAX_NAME: usize = 253;
/// Where Linux has the host's own name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
/// How long `doctor` waits for the resolver.
const RESOLVE: Duration = Duration::from_secs(5);

/// `config:` of an `http_dns` entry.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    hostname: Option<String>,
    agentname: Option<String>,
    port: Option<u16>,
    advertised_port: Option<u16>,
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, _: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        if let Some(name) = &self.hostname {
            check_name(name)?;
        }
        let agentname = self.agentname.unwrap_or_else(|| DEFAULT_AGENT.to_owned());
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !agentname.starts_with(|c: char| c.is_ascii_alphabetic())
            || agentname.len() > MAX_AGENT
            || !agentname.bytes().all(legal)
        {
            return Err(MethodError::new(
                "agentname: no name of an agent",
                "a letter, then letters, digits and hyphens, 32 in all",
            ));
        }
        if self.advertised_port == Some(0) {
            let what = "advertisedPort: 0 is no port";
            return Err(MethodError::new(what, "1 to 65535, or leave it out"));
        }
        Ok(Box::new(HttpDns {
            hostname: self.hostname,
            agentname,
            port: self.port.unwrap_or(0),
            advertised_port: self.advertised_port,
            responder: None,
        }))
    }
}

/// A name as the verifier takes it, or nearly: it has the last word.
fn check_name(name: &str) -> Result<(), MethodError> {
    let labels = name.strip_suffix('.').unwrap_or(name);
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| !label.is_empty() && label.bytes().all(legal);
    let wrong = |why: &str, hint: &str| {
        let what = format!("hostname: `{}` is {why}", name.escape_debug());
        Err(MethodError::new(what, hint))
    };
    if labels == "localhost" {
        return wrong(
            "the verifier's own machine, when the verifier asks for it",
            "set `hostname` to the name that the verifier's resolver knows this host by",
        );
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return wrong("an address", "only names can be proven: set `hostname`");
    }
    if labels.len() > MAX_NAME || !labels.split('.').all(label) {
        return wrong(
            "no host name",
            "set `hostname`: letters, digits and hyphens; an internationalised name as its A-labels (xn--…)",
        );
    }
    Ok(())
}

/// The settings, and what listens during a login.
#[derive(Debug)]
struct HttpDns {
    hostname: Option<String>,
    agentname: String,
    /// 0: a free one.
    port: u16,
    advertised_port: Option<u16>,
    responder: Option<Responder>,
}

impl HttpDns {
    fn hostname(&self) -> Result<String, MethodError> {
        if let Some(name) = &self.hostname {
            return Ok(name.clone());
        }
        let own = std::fs::read_to_string(HOSTNAME).map_err(|error| {
            let what = format!("{HOSTNAME}: {error}");
            MethodError::new(what, "set `hostname`")
        })?;
        let own = own.trim().to_owned();
        check_name(&own)?;
        Ok(own)
    }

    fn path(&self) -> String {
        format!("{PATH}{}/challenge", self.agentname)
    }

    fn listen(&self) -> Result<Responder, MethodError> {
        Responder::start(self.port, self.path()).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "a port below 1024 takes the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=)"
                }
                std::io::ErrorKind::AddrInUse => {
                    "another program listens there: choose another `port`, and `advertisedPort` where something translates"
                }
                _ => "choose another `port`",
            };
            MethodError::new(format!("port {}: {error}", self.port), hint)
        })
    }
}

impl Method for HttpDns {
    fn kind(&self) -> AttestorKind {
        AttestorKind::HTTP_DNS
    }

    /// Listens. Until there is a nonce, nothing is served.
    fn begin(&mut self) -> Result<(), MethodError> {
        self.responder = None;
        self.hostname()?;
        self.responder = Some(self.listen()?);
        Ok(())
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let hostname = self.hostname()?;
        if self.responder.is_none() {
            self.responder = Some(self.listen()?);
        }
        let Some(responder) = &self.responder else {
            return Err(MethodError::new("nothing listens", "report this as a bug"));
        };
        // Served before the verifier knows where to ask.
        responder.serve(format!("{}\n", URL_SAFE.encode(request.nonce)));
        let payload = serde_json::json!({
            "hostname": hostname,
            "agentname": self.agentname,
            "port": self.advertised_port.unwrap_or_else(|| responder.port()),
        });
        Ok(payload.to_string().into_bytes().into())
    }

    fn end(&mut self) {
        self.responder = None;
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let port = match (self.advertised_port, self.port) {
            (Some(port), _) => port.to_string(),
            (None, 0) => "a free one".to_owned(),
            (None, port) => port.to_string(),
        };
        Ok(Offer::default()
            .with("hostname", self.hostname()?)
            .with("port", port)
            .with("agentname", self.agentname.as_str()))
    }

    fn doctor(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.hostname() {
            Err(error) => findings.push(Finding::fail("http_dns name", error.what, error.hint)),
            Ok(name) => findings.push(resolves(&name)),
        }
        // During a login of its own the port is taken by this very agent, which is another process.
        findings.push(match self.listen() {
            Ok(_) if self.port == 0 => Finding::ok("http_dns port", "a free one can be had"),
            Ok(_) => Finding::ok("http_dns port", format!("{} can be had", self.port)),
            Err(error) => Finding::fail("http_dns port", error.what, error.hint),
        });
        findings
    }
}

/// As this host's resolver sees it, which is not the verifier's.
fn resolves(name: &str) -> Finding {
    let subject = "http_dns name";
    let (sender, receiver) = mpsc::channel();
    let asked = name.to_owned();
    std::thread::spawn(move || {
        let found = (asked.as_str(), 80).to_socket_addrs();
        // Nobody listens any more when it took too long.
        let _ = sender.send(found.map(Iterator::count));
    });
    let mend = "add the name to the DNS that the verifier asks, or set `hostname`";
    match receiver.recv_timeout(RESOLVE) {
        Ok(Ok(count)) => Finding::ok(
            subject,
            format!("{name} has {count} addresses, as seen here"),
        ),
        Ok(Err(error)) => Finding::warn(subject, format!("{name}: {error}, as seen here"), mend),
        Err(_) => {
            let seen = format!("{name}: the resolver of this host does not answer");
            Finding::warn(subject, seen, mend)
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::path::Path;

    use assay_common::login::Transcript;
    use assay_common::policy::AttestorKind;

    use super::super::{Method, MethodConfig as _, MethodError, ProofRequest, Surroundings};
    use super::Config;

    fn method(config: &str) -> Result<Box<dyn Method>, MethodError> {
        let around = Surroundings {
            kind: AttestorKind::HTTP_DNS,
            base: Path::new("/"),
            cluster: "rack",
            trust_domain: "example.org",
        };
        let config: Config = serde_json::from_str(config).unwrap();
        Box::new(config).build(&around)
    }

    fn get(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_nonce_is_served_during_the_login_and_not_longer() {
        let mut method = method(r#"{"hostname":"node.example.org","agentname":"a-1"}"#).unwrap();
        method.begin().unwrap();
        let transcript = Transcript::new();
        let request = ProofRequest {
            round: 0,
            payload: &[],
            transcript: &transcript,
            nonce: &[0xfb; 32],
        };
        let proof = method.prove(&request).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&proof.payload).unwrap();
        assert_eq!(
            (&payload["hostname"], &payload["agentname"]),
            (&"node.example.org".into(), &"a-1".into())
        );
        assert_eq!(payload.as_object().unwrap().len(), 3);
        let port = u16::try_from(payload["port"].as_u64().unwrap()).unwrap();
        let path = "/.well-known/spiffe/nodeattestor/http_challenge/a-1/challenge";
        let answer = get(
            port,
            &format!("GET {path} HTTP/1.1\r\nhost: node.example.org\r\n\r\n"),
        );
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        // 32 bytes 0xfb as coreutils' basenc writes them.
        let nonce = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s=";
        assert!(answer.ends_with(&format!("\r\n\r\n{nonce}\n")), "{answer}");
        for other in [
            "/",
            "/.well-known/spiffe/nodeattestor/http_challenge/default/challenge",
            &format!("{path}/"),
            &format!("{path}?"),
        ] {
            let answer = get(port, &format!("GET {other} HTTP/1.1\r\n\r\n"));
            assert!(
                answer.starts_with("HTTP/1.1 404 ") && !answer.contains(nonce),
                "{other}: {answer}"
            );
        }
        method.end();
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "the port is closed"
        );
        // The next login has another nonce, and what an earlier one left behind is gone.
        method.begin().unwrap();
        let second = method
            .prove(&ProofRequest {
                nonce: &[1; 32],
                ..request
            })
            .unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&second.payload).unwrap();
        let port = u16::try_from(payload["port"].as_u64().unwrap()).unwrap();
        assert!(!get(port, &format!("GET {path} HTTP/1.0\r\n\r\n")).contains(nonce));
    }

    #[test]
    fn the_port_that_is_told_is_the_advertised_one() {
        let mut method =
            method(r#"{"hostname":"node.example.org","advertisedPort":3470}"#).unwrap();
        method.begin().unwrap();
        let request = ProofRequest {
            round: 0,
            payload: &[],
            transcript: &Transcript::new(),
            nonce: &[0; 32],
        };
        let proof = method.prove(&request).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&proof.payload).unwrap();
        assert_eq!(
            (&payload["port"], &payload["agentname"]),
            (&3470.into(), &"default".into())
        );
        let shown = method.show().unwrap().details;
        assert!(
            shown.contains(&("port".to_owned(), "3470".to_owned())),
            "{shown:?}"
        );
    }

    #[test]
    fn what_can_never_work_is_refused_at_the_start() {
        for config in [
            r#"{"hostname":"localhost"}"#,
            r#"{"hostname":"127.0.0.1"}"#,
            r#"{"hostname":"::1"}"#,
            r#"{"hostname":""}"#,
            r#"{"hostname":"a b"}"#,
            r#"{"hostname":"a..b"}"#,
            r#"{"hostname":"b\u00fccher.example"}"#,
            r#"{"agentname":""}"#,
            r#"{"agentname":"1a"}"#,
            r#"{"agentname":"a/b"}"#,
            r#"{"agentname":"a[b"}"#,
            r#"{"advertisedPort":0}"#,
        ] {
            let error = method(config).unwrap_err();
            assert!(!error.hint.is_empty(), "{config}");
        }
    }

    #[test]
    fn a_port_that_somebody_has_is_found_before_the_login() {
        let taken = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut method = method(&format!(
            r#"{{"hostname":"node.example.org","port":{port}}}"#
        ))
        .unwrap();
        let error = method.begin().unwrap_err();
        assert!(
            error.what.contains(&port.to_string()) && error.hint.contains("advertisedPort"),
            "{error:?}"
        );
        let findings = method.doctor();
        assert!(
            findings
                .iter()
                .any(|f| f.subject == "http_dns port" && f.mend.is_some()),
            "{findings:?}"
        );
    }
}
