//! `http_dns`: hosts of a real zone, asked through a real resolver.

mod answers;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::http_dns::verify::ChallengeError;
use assay_host_verifier::attestor::{AttestError, Attestor, Claims, Fault, When};
use assay_host_verifier::outside::{AddressClass, Error, ErrorKind};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

use crate::dns;
use crate::method::{Login, Network, attestor, column, fields};
use crate::upstream::{Piece, Upstream, say};

const KIND: AttestorKind = AttestorKind::HTTP_DNS;
const CANARY: &str = "c4n4ry";
const DOCUMENT: &str = include_str!("../../../../docs/methods/http_dns.md");

fn entry(config: &Value) -> Arc<dyn Attestor> {
    attestor(KIND, config, Path::new("")).unwrap()
}

fn allowed() -> Arc<dyn Attestor> {
    entry(&json!({"allowedHostnames": ["node.assay.test", "*.nodes.assay.test"]}))
}

fn payload(hostname: &str, port: u16) -> Vec<u8> {
    json!({"hostname": hostname, "agentname": "default", "port": port})
        .to_string()
        .into_bytes()
}

fn nonce(login: &Login) -> String {
    URL_SAFE.encode(login.context.proof_nonce)
}

/// As an agent answers.
fn served(body: &str) -> Vec<Piece> {
    let length = body.len();
    say(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

async fn host(pieces: Vec<Piece>) -> Upstream {
    Upstream::plain(Arc::new(move |_| pieces.clone())).await
}

async fn claims(
    login: &Login,
    attestor: &dyn Attestor,
    payload: &[u8],
) -> Result<Claims, AttestError> {
    let network = Network(dns::shared().client(true));
    login.claims(attestor, payload, &network).await
}

fn check(result: Result<Claims, AttestError>) -> &'static str {
    let error = result.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        !told.contains(CANARY) && !told.contains("127.0.0.1"),
        "{told}"
    );
    error.check
}

#[tokio::test]
async fn a_host_that_serves_the_logins_nonce_is_proven_by_its_name() {
    let login = Login::new(KIND, "hello");
    let host = host(served(&format!("{}\n", nonce(&login)))).await;
    for (named, name) in [
        ("node.assay.test", "node.assay.test"),
        ("Node.ASSAY.test.", "node.assay.test"),
        ("n7.nodes.assay.test", "n7.nodes.assay.test"),
    ] {
        let claims = claims(&login, &*allowed(), &payload(named, host.port))
            .await
            .unwrap();
        let given: Vec<_> = claims
            .attributes
            .iter()
            .map(|a| (&*a.name, a.value.clone()))
            .collect();
        let expected = [
            ("http_dns.hostname", name.to_owned()),
            ("http_dns.port", host.port.to_string()),
        ];
        assert_eq!(given, expected);
        assert_eq!(
            claims.facts.identity.as_deref(),
            Some(name),
            "one node, however it is spelt"
        );
        let names: BTreeSet<_> = claims
            .attributes
            .into_iter()
            .map(|a| a.name.into_owned())
            .collect();
        assert_eq!(names, column(DOCUMENT, "Attributes"));
        assert_eq!(names, allowed().attributes().into_iter().collect());
    }
    let request = host.requests().remove(0);
    let line = "GET /.well-known/spiffe/nodeattestor/http_challenge/default/challenge HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert!(
        request.contains(&format!("host: node.assay.test:{}\r\n", host.port)),
        "{request}"
    );
}

#[test]
fn the_document_has_the_settings_and_the_checks_of_the_code() {
    assert_eq!(column(DOCUMENT, "Configuration"), fields(KIND));
    assert!(allowed().is_fresh());
    let outside = [
        ErrorKind::Address(AddressClass::Loopback),
        ErrorKind::NameNotFound,
        ErrorKind::Resolver,
        ErrorKind::Connect,
        ErrorKind::Deadline,
        ErrorKind::TooLarge,
        ErrorKind::Status(404),
        ErrorKind::Redirect(302),
        ErrorKind::Malformed,
        ErrorKind::Busy,
        ErrorKind::Offline,
        ErrorKind::Open,
    ];
    let outside = outside.map(|kind| ChallengeError::Outside(Error::new("", kind)));
    let own = [
        ChallengeError::Payload,
        ChallengeError::Port(1),
        ChallengeError::AgentName,
        ChallengeError::Address,
        ChallengeError::Hostname,
        ChallengeError::Localhost,
        ChallengeError::NotAllowed(String::new()),
        ChallengeError::Status(204),
        ChallengeError::NoNonce,
        ChallengeError::Nonce,
        ChallengeError::Answer,
    ];
    let checks: BTreeSet<_> = outside
        .iter()
        .chain(&own)
        .map(|e| e.check().to_owned())
        .collect();
    assert_eq!(checks, column(DOCUMENT, "Errors"));
}

#[test]
fn settings_that_let_in_nobody_or_everybody_are_refused() {
    for (config, field) in [
        (json!({"allowedHostnames": []}), "allowedHostnames"),
        (json!({"allowedHostnames": ["*"]}), "allowedHostnames[0]"),
        (
            json!({"allowedHostnames": ["a.example.org", "*.com"]}),
            "allowedHostnames[1]",
        ),
        (
            json!({"allowedHostnames": ["127.0.0.1"]}),
            "allowedHostnames[0]",
        ),
        (
            json!({"allowedHostnames": ["localhost"]}),
            "allowedHostnames[0]",
        ),
        (
            json!({"allowedHostnames": [".*\\.example\\.org"]}),
            "allowedHostnames[0]",
        ),
        (
            json!({"allowedHostnames": ["a.example.org"], "allowedPorts": []}),
            "allowedPorts",
        ),
        (
            json!({"allowedHostnames": ["a.example.org"], "allowedPorts": [0]}),
            "allowedPorts",
        ),
    ] {
        let error = attestor(KIND, &config, Path::new("")).unwrap_err();
        assert_eq!(error.field, field, "{config}");
        assert!(error.hint.is_some());
    }
    let none = assay_host_verifier::attestor::registry::default_config(KIND);
    assert!(none.is_none(), "there is no default that lets in somebody");
}

#[tokio::test]
async fn what_is_not_let_in_is_not_asked() {
    let login = Login::new(KIND, "hello");
    let host = host(served(&nonce(&login))).await;
    let port = host.port;
    let ported =
        entry(&json!({"allowedHostnames": ["node.assay.test"], "allowedPorts": [80, 443]}));
    let wire = |hostname: &str, agentname: &str| {
        json!({"hostname": hostname, "agentname": agentname, "port": port})
            .to_string()
            .into_bytes()
    };
    let text = |text: String| text.into_bytes();
    for (attestor, payload, expected) in [
        (ported, payload("node.assay.test", port), "port-not-allowed"),
        (allowed(), payload("node.assay.test", 0), "port-not-allowed"),
        (allowed(), wire("node.assay.test", "../../x"), "agent-name"),
        (allowed(), wire("node.assay.test", "a[b"), "agent-name"),
        (allowed(), wire("node.assay.test", ""), "agent-name"),
        (
            allowed(),
            wire("node.assay.test", &"a".repeat(33)),
            "agent-name",
        ),
        (
            allowed(),
            wire("127.0.0.1", "default"),
            "hostname-is-address",
        ),
        (allowed(), wire("0x7f.1", "default"), "hostname-is-address"),
        (
            allowed(),
            wire("2130706433", "default"),
            "hostname-is-address",
        ),
        (allowed(), wire("[::1]", "default"), "hostname-is-address"),
        (
            allowed(),
            wire("::ffff:127.0.0.1", "default"),
            "hostname-is-address",
        ),
        (
            allowed(),
            wire("localhost", "default"),
            "hostname-localhost",
        ),
        (
            allowed(),
            wire("LocalHost.", "default"),
            "hostname-localhost",
        ),
        (allowed(), wire("", "default"), "hostname-malformed"),
        (
            allowed(),
            wire("node.assay.test/", "default"),
            "hostname-malformed",
        ),
        (
            allowed(),
            wire("user@node.assay.test", "default"),
            "hostname-malformed",
        ),
        (
            allowed(),
            wire("node.assay.test\r\nx", "default"),
            "hostname-malformed",
        ),
        (
            allowed(),
            wire("n\u{f6}de.nodes.assay.test", "default"),
            "hostname-malformed",
        ),
        (
            allowed(),
            wire("*.nodes.assay.test", "default"),
            "hostname-malformed",
        ),
        (
            allowed(),
            wire("up.assay.test", "default"),
            "hostname-not-allowed",
        ),
        (
            allowed(),
            wire("xnode.assay.test", "default"),
            "hostname-not-allowed",
        ),
        (
            allowed(),
            wire("node.assay.test.evil.test", "default"),
            "hostname-not-allowed",
        ),
        (
            allowed(),
            wire("nodes.assay.test", "default"),
            "hostname-not-allowed",
        ),
        (
            allowed(),
            wire("a.b.nodes.assay.test", "default"),
            "hostname-not-allowed",
        ),
        (
            allowed(),
            wire("xnodes.assay.test", "default"),
            "hostname-not-allowed",
        ),
        (allowed(), Vec::new(), "payload-malformed"),
        (allowed(), b"{}".to_vec(), "payload-malformed"),
        (
            allowed(),
            text(format!(
                "{{\"hostname\":\"node.assay.test\",\"agentname\":\"a\",\"port\":{port},\"path\":\"/\"}}"
            )),
            "payload-malformed",
        ),
        (
            allowed(),
            text(format!(
                "{{\"hostname\":\"up.assay.test\",\"hostname\":\"node.assay.test\",\"agentname\":\"a\",\"port\":{port}}}"
            )),
            "payload-malformed",
        ),
        (
            allowed(),
            text(format!(
                "{{\"hostname\":\"node.assay.test\",\"agentname\":\"a\",\"port\":{port}}} x"
            )),
            "payload-malformed",
        ),
        (
            allowed(),
            text(
                "{\"hostname\":\"node.assay.test\",\"agentname\":\"a\",\"port\":65536}".to_owned(),
            ),
            "payload-malformed",
        ),
        (
            allowed(),
            text(
                "{\"hostname\":\"node.assay.test\",\"agentname\":\"a\",\"port\":\"80\"}".to_owned(),
            ),
            "payload-malformed",
        ),
        (
            allowed(),
            text(format!(
                "{{\"hostname\":\"node.assay.test\",\"agentname\":\"a\",\"port\":{port}}}{}",
                " ".repeat(512)
            )),
            "payload-malformed",
        ),
    ] {
        let found = check(claims(&login, &*attestor, &payload).await);
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(&payload));
    }
    assert_eq!(host.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_payload_that_is_cut_anywhere_is_refused() {
    let whole = payload("node.assay.test", 80);
    let login = Login::new(KIND, "hello");
    for cut in 0..whole.len() {
        let error = login.errand(&*allowed(), &whole[..cut]).unwrap_err();
        assert_eq!(
            (error.check, error.fault),
            ("payload-malformed", Fault::Malformed)
        );
    }
    assert_eq!(
        login.errand(&*allowed(), &whole).unwrap().when(),
        When::AtOnce
    );
}
