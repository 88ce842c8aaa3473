//! Who may do what.

use std::sync::Arc;

use assay_host_verifier::api::peer::ClientCertificate;
use assay_host_verifier::api::{Peer, document};
use assay_host_verifier::config::ClientName;
use assay_host_verifier::store::Role;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Api, ask, bearer, json as body, peer, with_certificate};

/// What everybody may ask without a credential. A route that is added here is open to the world.
const PUBLIC: &[&str] = &[
    "get /.well-known/openid-configuration",
    "get /keys",
    "get /v1/bundle",
    "get /v1/bundle/spiffe",
    "post /v1/login",
];

/// What nodes may ask with a live session, which no role stands in for.
const SESSION: &[&str] = &["post /v1/svids/jwt", "post /v1/svids/x509"];

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Session,
    Role(Role),
}

/// Every operation of the document: (method, path with something in the place of parameters, what it asks for).
fn operations(api: &Api) -> Vec<(String, String, Asks)> {
    let document = serde_json::to_value(document(&api.state())).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schemes = operation["security"].as_array().unwrap();
            let name = format!("{method} {path}");
            let asks = match schemes.as_slice() {
                [] => Asks::Nothing,
                [one] if one.get("session").is_some() => Asks::Session,
                [bearer, mtls] => {
                    assert_eq!(mtls["mtls"], bearer["bearer"], "{path}");
                    let role = bearer["bearer"][0].as_str().unwrap();
                    Asks::Role(role.parse().unwrap())
                }
                other => panic!("{name}: {other:?}"),
            };
            let open = PUBLIC.contains(&name.as_str());
            assert_eq!(open, asks == Asks::Nothing, "{name} asks for {asks:?}");
            let node = SESSION.contains(&name.as_str());
            assert_eq!(node, asks == Asks::Session, "{name} asks for {asks:?}");
            let path = path.replace("{id}", &"ab".repeat(16));
            assert!(!path.contains('{'), "{path}");
            operations.push((method.to_uppercase(), path, asks));
        }
    }
    operations
}

#[tokio::test]
async fn a62_no_route_works_without_a_credential_or_with_too_small_a_role() {
    let api = Api::new();
    let operations = operations(&api);
    assert!(operations.len() > PUBLIC.len() + 10, "{operations:?}");
    let router = api.router();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, bearer(&api.token(role).await)));
    }
    for (method, path, needed) in operations {
        let status = async |authorization: Option<&str>| {
            let peer = peer("192.0.2.1:1");
            let answer = ask(&router, peer, &method, &path, authorization, None).await;
            answer.status()
        };
        let bare = status(None).await;
        assert_eq!(
            bare == StatusCode::UNAUTHORIZED,
            needed != Asks::Nothing,
            "{method} {path}"
        );
        for (role, authorization) in &tokens {
            let status = status(Some(authorization)).await;
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
            let (wrong, with) = match needed {
                Asks::Nothing => (false, StatusCode::OK),
                Asks::Session => (true, StatusCode::UNAUTHORIZED),
                Asks::Role(needed) => (*role < needed, StatusCode::FORBIDDEN),
            };
            assert_eq!(refused, wrong, "{method} {path} as {role}: {status}");
            assert!(!refused || status == with, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn a_credential_that_does_not_hold_is_refused_whatever_else_is_there() {
    let api = Api::new();
    let router = api.router();
    let good = api.token(Role::Viewer).await;
    let unknown = format!("assay_{}", "A".repeat(43));
    let mut refused = vec![
        good.clone(),
        bearer(""),
        bearer(&unknown),
        bearer(&good[..good.len() - 1]),
        bearer(&format!("{good} ")),
        format!("Basic {good}"),
        "Bearer".to_owned(),
    ];
    refused.dedup();
    for (number, authorization) in refused.iter().enumerate() {
        // Each from an address of its own, which has not been refused before.
        let peer = with_certificate(&format!("192.0.2.{number}:1"), &api, 1);
        let answer = ask(&router, peer, "GET", "/v1/nodes", Some(authorization), None).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{authorization}");
        assert!(answer.headers().contains_key("www-authenticate"));
        let problem = body(answer).await;
        assert_eq!(problem["code"], "unknown-token", "{authorization}");
        assert!(!problem.to_string().contains(&good[6..]), "{problem}");
    }
    for authorization in [bearer(&good), format!("bearer {good}")] {
        let peer = peer("192.0.2.100:1");
        let answer = ask(
            &router,
            peer,
            "GET",
            "/v1/nodes",
            Some(&authorization),
            None,
        )
        .await;
        assert_eq!(answer.status(), StatusCode::OK, "{authorization}");
    }
}

#[tokio::test]
async fn a51_a_certificate_counts_while_it_lasts_and_its_authorities_are_trusted() {
    let api = Api::new();
    let router = api.router();
    let code = async |peer: Peer| {
        let answer = ask(&router, peer, "GET", "/v1/audit/x", None, None).await;
        body(answer).await["code"].clone()
    };
    let good = with_certificate("192.0.2.1:1", &api, 1);
    assert_eq!(code(good.clone()).await, "bad-id", "let in");
    assert_eq!(
        code(with_certificate("192.0.2.1:1", &api, 0)).await,
        "stale-certificate"
    );
    let changed = |change: &dyn Fn(&mut ClientCertificate)| {
        let mut certificate = ClientCertificate::clone(good.certificate.as_ref().unwrap());
        change(&mut certificate);
        Peer {
            certificate: Some(Arc::new(certificate)),
            ..good.clone()
        }
    };
    let other = changed(&|certificate| certificate.verified_by = [0; 32]);
    assert_eq!(code(other).await, "stale-certificate");
    // The name is compared as a whole.
    for name in [
        "spiffe://example.org/operator/x",
        "spiffe://example.org/operato",
        "SPIFFE://example.org/operator",
    ] {
        let named = changed(&|c| c.names = vec![ClientName::SpiffeId(name.to_owned())]);
        assert_eq!(code(named).await, "no-role", "{name}");
    }
    let dns = changed(&|c| {
        c.names = vec![ClientName::DnsName(
            "spiffe://example.org/operator".to_owned(),
        )]
    });
    assert_eq!(code(dns).await, "no-role");
}

#[tokio::test]
async fn a_good_token_never_waits_for_the_bad_ones_of_its_address() {
    let api = Api::with(", clientCAs: ca.crt", "requestsPerSecond: 1000", &[]);
    let router = api.router();
    let good = bearer(&api.token(Role::Viewer).await);
    let nodes = async |peer: Peer, authorization: Option<&str>| {
        ask(&router, peer, "GET", "/v1/nodes", authorization, None).await
    };
    let mut told = Vec::new();
    for guess in 0..100 {
        // Shaped as a token, so that the store is asked for it.
        let wrong = format!("Bearer assay_{guess:043}");
        let answer = nodes(peer("192.0.2.1:1"), Some(&wrong)).await;
        let status = answer.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = answer.headers()["retry-after"].to_str().unwrap();
            assert!((1..=60).contains(&wait.parse::<u64>().unwrap()), "{wait}");
            assert_eq!(body(answer).await["code"], "too-many-refusals");
        }
        told.push(status.as_u16());
        let mine = nodes(peer("192.0.2.1:2"), Some(&good)).await;
        assert_eq!(mine.status(), 200, "after {guess} guesses");
    }
    // Ten are plain refusals; then whoever guesses is told to wait.
    assert_eq!(told[..10], [401; 10]);
    assert!(told.iter().filter(|status| **status == 429).count() > 50);
    let other = nodes(peer("192.0.2.2:1"), Some("Bearer wrong")).await;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    let certified = with_certificate("192.0.2.1:3", &api, 1);
    assert_eq!(nodes(certified, None).await.status(), 200);
}

#[tokio::test]
async fn a_peer_that_asks_too_often_is_told_when_to_come_back() {
    let api = Api::with("", "requestsPerSecond: 3", &[]);
    let router = api.router();
    let mut last = StatusCode::OK;
    // More than any second has room for.
    for _ in 0..100 {
        let answer = ask(
            &router,
            peer("192.0.2.1:1"),
            "GET",
            "/v1/bundle",
            None,
            None,
        )
        .await;
        last = answer.status();
        if last != StatusCode::OK {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(body(answer).await["code"], "too-many-requests");
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    // Another network is another peer; another address of the same IPv6 network is not.
    let bundle = async |address: &str| {
        let answer = ask(&router, peer(address), "GET", "/v1/bundle", None, None).await;
        answer.status()
    };
    assert_eq!(bundle("[2001:db8::1]:1").await, StatusCode::OK);
    let mut v6 = StatusCode::OK;
    for host in 1..100 {
        v6 = bundle(&format!("[2001:db8::{host:x}]:1")).await;
        if v6 != StatusCode::OK {
            break;
        }
    }
    assert_eq!(v6, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_is_wrong_is_said_as_a_problem() {
    let api = Api::new();
    let router = api.router();
    let admin = bearer(&api.token(Role::Admin).await);
    let token = |json: Value| Some(json);
    for (method, path, sent, status, code) in [
        ("GET", "/v1/nothing", None, 404, "no-such-path"),
        ("PATCH", "/v1/nodes", None, 405, "wrong-method"),
        ("GET", "/v1/nodes?limt=1", None, 400, "bad-query"),
        ("GET", "/v1/nodes?limit=1&limit=2", None, 400, "bad-query"),
        ("GET", "/v1/nodes?limit=0", None, 400, "bad-limit"),
        ("GET", "/v1/nodes?limit=1001", None, 400, "bad-limit"),
        ("GET", "/v1/nodes?limit=4294967295", None, 400, "bad-limit"),
        ("GET", "/v1/nodes?cursor=!", None, 400, "bad-cursor"),
        ("GET", "/v1/sessions?cursor=c2FhYQ", None, 400, "bad-cursor"),
        ("GET", "/v1/audit?cursor=AAAA", None, 400, "bad-cursor"),
        ("GET", "/v1/sessions/xyz", None, 400, "bad-id"),
        ("GET", "/v1/nodes/..%2f..", None, 400, "bad-id"),
        ("POST", "/v1/tokens", None, 415, "bad-content-type"),
        (
            "POST",
            "/v1/tokens",
            token(json!({"name": "x"})),
            400,
            "bad-body",
        ),
        (
            "POST",
            "/v1/tokens",
            token(json!({"name": "x", "role": "root"})),
            400,
            "bad-body",
        ),
        (
            "POST",
            "/v1/tokens",
            token(json!({"name": "x", "role": "viewer", "x": 1})),
            400,
            "bad-body",
        ),
        (
            "POST",
            "/v1/tokens",
            token(json!({"name": "", "role": "viewer"})),
            400,
            "bad-token",
        ),
        (
            "POST",
            "/v1/tokens",
            token(json!({"name": "x", "role": "viewer", "ttlSeconds": 1})),
            400,
            "bad-token",
        ),
        ("DELETE", "/v1/tokens/none", None, 404, "no-such-token"),
    ] {
        let answer = ask(
            &router,
            peer("192.0.2.1:1"),
            method,
            path,
            Some(&admin),
            sent,
        )
        .await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem = body(answer).await;
        assert_eq!(
            (&problem["type"], &problem["status"], &problem["code"]),
            (&json!("about:blank"), &json!(status), &json!(code)),
            "{method} {path}: {problem}"
        );
        for member in ["title", "detail"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{problem}");
        }
    }
}
