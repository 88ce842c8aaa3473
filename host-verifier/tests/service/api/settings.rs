//! The configuration of the API: what is refused, and where.

use std::path::Path;
use std::time::Duration;

use assay_host_verifier::config::{ClientName, Config, overlay};
use assay_host_verifier::store::Role;

const FULL: &str = "\
trustDomain: example.org
dataDir: data
listeners:
  api:
    address: 127.0.0.1:8443
    tls:
      certificate: server.crt
      key: server.key
      clientCAs: ca.crt
  health:
    address: 127.0.0.1:8080
  metrics:
    address: 127.0.0.1:9988
api:
  clients:
    - spiffeId: spiffe://example.org/console
      role: viewer
    - dnsName: Deploy.example.org
      role: operator
limits:
  api:
    connections: 10
    bodyBytes: 65536
    idleTimeout: 1m
";

fn parse(text: &str) -> Result<Config, assay_host_verifier::document::DocumentError> {
    Config::parse("f", text, Path::new("/etc/assay"))
}

#[test]
fn every_key_is_taken_as_it_is_written() {
    let http = parse(FULL).unwrap().http;
    let api = http.api.unwrap();
    assert_eq!(api.address.to_string(), "127.0.0.1:8443");
    assert_eq!(api.tls.key, Path::new("/etc/assay/server.key"));
    assert_eq!(api.tls.client_cas.unwrap(), Path::new("/etc/assay/ca.crt"));
    assert_eq!(http.clients.len(), 2);
    assert_eq!(http.clients[0].role, Role::Viewer);
    let deploy = ClientName::DnsName("deploy.example.org".to_owned());
    assert_eq!(
        (&http.clients[1].name, http.clients[1].role),
        (&deploy, Role::Operator)
    );
    assert_eq!(
        (http.limits.connections, http.limits.body_bytes),
        (10, 65536)
    );
    assert_eq!(http.limits.idle_timeout, Duration::from_secs(60));
    assert_eq!(
        http.limits.drain_timeout,
        Duration::from_secs(20),
        "the default"
    );
    // What is not named is not opened.
    let none = parse("trustDomain: example.org\ndataDir: d\n")
        .unwrap()
        .http;
    assert!(none.is_empty());
    let health = "trustDomain: example.org\ndataDir: d\nlisteners: {health: {}}\n";
    let health = parse(health).unwrap().http.health.unwrap();
    assert!(health.ip().is_loopback());
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place_and_a_hint() {
    let mut wrong = Vec::new();
    for (from, to, place, message, hint) in [
        (
            "certificate: server.crt",
            "certificate: \"\"",
            (7, 20),
            "tls.certificate is empty",
            "assayd init",
        ),
        (
            "      key: server.key\n",
            "",
            (8, 7),
            "missing field `key`",
            "",
        ),
        (
            "clientCAs: ca.crt",
            "clientCas: ca.crt",
            (9, 7),
            "unknown field `clientCas`",
            "clientCAs",
        ),
        (
            "      clientCAs: ca.crt\n",
            "",
            (15, 5),
            "api.clients without",
            "name the authorities",
        ),
        (
            "127.0.0.1:8080",
            "127.0.0.1:8443",
            (11, 5),
            "listeners.health: 127.0.0.1:8443 is listed twice",
            "port of its own",
        ),
        (
            "127.0.0.1:9988",
            "127.0.0.1:8080",
            (13, 5),
            "listeners.metrics: 127.0.0.1:8080 is listed twice",
            "",
        ),
        ("127.0.0.1:9988", "localhost:9988", (13, 14), "", ""),
        (
            "spiffe://example.org/console",
            "spiffe://example.org/../x",
            (16, 17),
            "spiffeId: ",
            "for example spiffe://",
        ),
        (
            "Deploy.example.org",
            "\"*.example.org\"",
            (18, 16),
            "is no host name",
            "wildcards are not compared",
        ),
        (
            "role: viewer",
            "role: root",
            (17, 13),
            "unknown variant `root`",
            "",
        ),
        (
            "    - dnsName: Deploy.example.org",
            "    - spiffeId: spiffe://example.org/console",
            (18, 7),
            "listed twice",
            "one role",
        ),
        (
            "    - dnsName: Deploy.example.org\n      role",
            "    - role",
            (18, 7),
            "by either `spiffeId` or `dnsName`",
            "",
        ),
        (
            "connections: 10",
            "connections: 0",
            (22, 18),
            "0 is out of range",
            "from 1 to 1000000",
        ),
        (
            "bodyBytes: 65536",
            "bodyBytes: 1",
            (23, 16),
            "1 is out of range",
            "from 65536 to",
        ),
        (
            "idleTimeout: 1m",
            "idleTimeout: 2h",
            (24, 18),
            "7200s is out of range",
            "from 1s to 3600s",
        ),
        (
            "idleTimeout: 1m",
            "idleTimeout: 60",
            (24, 18),
            "no span of time",
            "unit",
        ),
    ] {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL, "{from}");
        let error = parse(&text).expect_err(&text);
        let said = format!("{error} {}", error.hint.clone().unwrap_or_default());
        let found = (error.line, error.column) == place;
        if !found || !said.contains(message) || !said.contains(hint) {
            wrong.push(format!("{to}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_value_of_the_example_survives_a_value_that_is_set() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml");
    let sets = [
        "session.ttl=2h".to_owned(),
        "listeners.api.address=127.0.0.1:0".to_owned(),
    ];
    let config = overlay::load(&path, &sets).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.session_ttl, Duration::from_secs(7200));
    assert_eq!(config.http.api.unwrap().address.port(), 0);
    assert_eq!(config.clusters.len(), 1);
}
