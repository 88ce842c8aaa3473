//! SVIDs for nodes with a session, and what others verify them by. Verified by openssl and jsonwebtoken.

use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::api::router;
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::Store;
use assay_host_verifier::store::{Ban, Lifecycle, Role};
use assay_host_verifier::svid::keys::MemoryKeys;
use assay_host_verifier::svid::{Issuer, Settings};
use assay_host_verifier::telemetry::metrics::names;
use axum::Router;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{Api, ask, bearer, json as body, peer};
use crate::agent::Opened;
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;
use crate::metrics::page::Page;
use crate::svid_keys::{SvidKey, login, payload};

const JWT: &str = "/v1/svids/jwt";
const X509: &str = "/v1/svids/x509";

/// A node with a session, whose login has certified a key.
struct Node {
    api: Api,
    router: Router,
    key: SvidKey,
    opened: Opened,
    ek_hash: String,
}

impl Node {
    async fn new() -> Self {
        let (tpm, key) = (FakeTpm::new(), SvidKey::new());
        let mut api = Api::with("", "", &[]);
        api.desk = Desk::new(&ek_and_quote(&[&tpm]));
        let (_, answer) = login(&api.desk, &tpm, |asked| Some(payload(&tpm, &key, asked))).await;
        Self {
            router: api.router(),
            api,
            key,
            opened: granted(answer),
            ek_hash: tpm.ek_hash(),
        }
    }

    fn id(&self) -> String {
        hex::encode(self.opened.session_id)
    }

    fn credential(&self) -> String {
        credential(&self.id(), &self.opened.secret)
    }

    /// (status, body).
    async fn post(&self, path: &str, authorization: &str, sent: Value) -> (u16, Value) {
        let peer = peer("192.0.2.1:1");
        let answer = ask(
            &self.router,
            peer,
            "POST",
            path,
            Some(authorization),
            Some(sent),
        )
        .await;
        let status = answer.status();
        if status == StatusCode::OK {
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
        if status == StatusCode::UNAUTHORIZED {
            assert_eq!(
                answer.headers()["www-authenticate"],
                "Assay realm=\"assay\""
            );
        }
        (status.as_u16(), body(answer).await)
    }

    async fn token(&self) -> (u16, Value) {
        let sent = json!({"audience": ["reports"]});
        self.post(JWT, &self.credential(), sent).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = ask(&self.router, peer("192.0.2.1:1"), "GET", path, None, None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
        assert!(answer.headers().contains_key("etag"));
        body(answer).await
    }
}

fn credential(id: &str, secret: &[u8]) -> String {
    format!("Assay {id}.{}", STANDARD.encode(secret))
}

fn seconds(value: &Value) -> i64 {
    let time: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
    time.as_second()
}

#[tokio::test]
async fn a_node_with_a_session_gets_tokens_that_the_keys_at_their_path_verify() {
    let node = Node::new().await;
    let (status, answer) = node.token().await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["spiffeId"], node.opened.spiffe_id);
    let token = answer["svid"].as_str().unwrap();
    let keys: JwkSet = serde_json::from_value(node.get("/keys").await).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["reports"]);
    // The desk's calendar is not that of the library.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    assert_eq!(claims.claims["sub"], node.opened.spiffe_id);
    let expires = i64::try_from(node.opened.issued_at).unwrap() + 300;
    assert_eq!(claims.claims["exp"], expires);
    assert_eq!(seconds(&answer["expiresAt"]), expires);
    let bundle = node.get("/v1/bundle/spiffe").await;
    let mut kids = bundle["keys"].as_array().unwrap().iter();
    assert!(kids.any(|key| key["kid"] == kid), "{bundle}");

    // It does not outlive its session.
    node.api.desk.clock.advance(Duration::from_secs(3590));
    let (_, answer) = node.token().await;
    let end = i64::try_from(node.opened.expires_at).unwrap();
    assert_eq!(seconds(&answer["expiresAt"]), end);
    for audience in [json!([]), json!([""]), json!(vec!["x"; 9])] {
        let sent = json!({ "audience": audience });
        let (status, answer) = node.post(JWT, &node.credential(), sent).await;
        assert_eq!((status, &answer["code"]), (400, &json!("bad-audience")));
    }
}

#[tokio::test]
async fn an_svid_is_issued_for_the_key_of_the_login_and_openssl_trusts_it() {
    let node = Node::new().await;
    let wanted = |csr: &[u8]| json!({"csr": STANDARD.encode(csr)});
    let csr = node.key.csr();
    let (status, answer) = node.post(X509, &node.credential(), wanted(&csr)).await;
    assert_eq!(status, 200, "{answer}");
    let dir = tempfile::tempdir().unwrap();
    let leaf = STANDARD
        .decode(answer["chain"][0].as_str().unwrap())
        .unwrap();
    std::fs::write(dir.path().join("leaf.der"), leaf).unwrap();
    let bundle = node.api.desk.server.issuer.bundle();
    std::fs::write(dir.path().join("roots.pem"), bundle.pem()).unwrap();
    std::fs::write(dir.path().join("csr.der"), &csr).unwrap();
    let script = format!(
        "set -e; openssl x509 -inform DER -in leaf.der -out leaf.pem\n\
         openssl verify -attime {} -purpose sslclient -CAfile roots.pem leaf.pem\n\
         openssl x509 -in leaf.pem -noout -pubkey >of-leaf; openssl req -inform DER -in csr.der -noout -pubkey >of-csr\n\
         cmp of-leaf of-csr; openssl x509 -in leaf.pem -noout -ext subjectAltName",
        node.opened.issued_at
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        told.contains(&format!("URI:{}", node.opened.spiffe_id)),
        "{told}"
    );
    let end = i64::try_from(node.opened.expires_at).unwrap();
    assert!(seconds(&answer["expiresAt"]) <= end);

    let (status, answer) = node
        .post(X509, &node.credential(), wanted(&SvidKey::new().csr()))
        .await;
    assert_eq!((status, &answer["code"]), (403, &json!("other-key")));
    assert!(answer["hint"].as_str().unwrap().contains("log in anew"));
    // The right key in a request that it did not sign.
    let mut bent = csr;
    *bent.last_mut().unwrap() ^= 1;
    let (status, answer) = node.post(X509, &node.credential(), wanted(&bent)).await;
    assert_eq!((status, &answer["code"]), (400, &json!("bad-csr")));
}

/// Without a quote there is no renewal, and the key that the login has certified is the session's all the same.
#[tokio::test]
async fn a_session_that_cannot_be_renewed_has_certificates_for_its_key() {
    let mut node = Node::new().await;
    let tpm = FakeTpm::new();
    node.api.desk = Desk::new(&crate::desk::ek_only("rack", &[&tpm]));
    node.router = node.api.router();
    let (_, answer) = login(&node.api.desk, &tpm, |asked| {
        Some(payload(&tpm, &node.key, asked))
    })
    .await;
    node.opened = granted(answer);
    let stored = node
        .api
        .desk
        .store
        .session(SessionId(node.opened.session_id));
    assert_eq!(stored.await.unwrap().unwrap().renewal, None);
    let sent = |key: &SvidKey| json!({"csr": STANDARD.encode(key.csr())});
    let (status, answer) = node.post(X509, &node.credential(), sent(&node.key)).await;
    assert_eq!(status, 200, "{answer}");
    let other = sent(&SvidKey::new());
    let (status, answer) = node.post(X509, &node.credential(), other).await;
    assert_eq!((status, &answer["code"]), (403, &json!("other-key")));
}

#[tokio::test]
async fn a_login_that_certified_no_key_gives_tokens_and_no_certificates() {
    let tpm = FakeTpm::new();
    let mut node = Node::new().await;
    node.api.desk = Desk::new(&ek_and_quote(&[&tpm]));
    node.router = node.api.router();
    node.opened = granted(node.api.desk.login(&tpm).await);
    assert_eq!(node.token().await.0, 200);
    let sent = json!({"csr": STANDARD.encode(node.key.csr())});
    let (status, answer) = node.post(X509, &node.credential(), sent).await;
    assert_eq!((status, &answer["code"]), (403, &json!("other-key")));
}

#[tokio::test]
async fn only_the_secret_of_a_live_session_is_a_credential() {
    let node = Node::new().await;
    let (id, secret) = (node.id(), node.opened.secret);
    let mut other = secret;
    other[31] ^= 1;
    let admin = node.api.token(Role::Admin).await;
    let refused = [
        credential(&id, &other),
        credential(&id, &secret[..31]),
        credential(&id, &[&secret[..], &[0]].concat()),
        credential(&"00".repeat(16), &secret),
        format!("Assay {id}"),
        format!("Assay {id}."),
        node.credential().replace("Assay", "Bearer"),
        bearer(&admin),
    ];
    for authorization in refused {
        let sent = json!({"audience": ["reports"]});
        let (status, answer) = node.post(JWT, &authorization, sent).await;
        assert_eq!(
            (status, &answer["code"]),
            (401, &json!("no-session")),
            "{authorization}"
        );
        assert!(!answer.to_string().contains(&STANDARD.encode(secret)));
    }
    assert_eq!(node.token().await.0, 200);
    // A session is no role.
    let answer = ask(
        &node.router,
        peer("192.0.2.9:1"),
        "GET",
        "/v1/nodes",
        Some(&node.credential()),
        None,
    )
    .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_live_session_does_not_wait_for_what_its_neighbours_get_wrong() {
    let node = Node::new().await;
    let mut last = 0;
    for _ in 0..100 {
        let sent = json!({"audience": ["reports"]});
        last = node.post(JWT, "Assay wrong", sent).await.0;
        if last != 401 {
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(node.token().await.0, 200);
}

#[tokio::test]
async fn a_session_that_is_over_gets_nothing_from_that_moment_on() {
    let node = Node::new().await;
    let (id, now) = (SessionId(node.opened.session_id), node.api.desk.clock_now());
    assert_eq!(node.token().await.0, 200);
    assert!(node.api.desk.store.revoke_session(id, now).await.unwrap());
    let (status, answer) = node.token().await;
    assert_eq!((status, &answer["code"]), (401, &json!("no-session")));

    let node = Node::new().await;
    let ban = Ban::new(&node.ek_hash, node.api.desk.clock_now(), "test", "stolen").unwrap();
    assert!(node.api.desk.store.ban(&ban).await.unwrap());
    assert_eq!(node.token().await.0, 401);

    let node = Node::new().await;
    node.api.desk.clock.advance(Duration::from_secs(3599));
    assert_eq!(node.token().await.0, 200);
    node.api.desk.clock.advance(Duration::from_secs(1));
    assert_eq!(node.token().await.0, 401);
}

#[tokio::test]
async fn who_knows_oidc_only_finds_the_keys_where_an_issuer_is_named() {
    const PATH: &str = "/.well-known/openid-configuration";
    let node = Node::new().await;
    let answer = ask(&node.router, peer("192.0.2.1:1"), "GET", PATH, None, None).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(body(answer).await["code"], "no-issuer");

    let mut node = node;
    let settings = Settings {
        jwt_issuer: Some("https://assay.example.org".to_owned()),
        ..Settings::new("example.org")
    };
    let keys = Arc::new(MemoryKeys::new(&SystemRandom).unwrap());
    let (store, random) = (node.api.desk.store.clone(), Arc::new(SystemRandom));
    let issuer = Issuer::new(settings, keys, None, store, random);
    issuer
        .rotate(node.api.desk.server.clock.now())
        .await
        .unwrap();
    node.api.desk.server.issuer = Arc::new(issuer);
    node.router = router(node.api.state());
    let document = node.get(PATH).await;
    assert_eq!(document["issuer"], "https://assay.example.org");
    assert_eq!(document["jwks_uri"], "https://assay.example.org/keys");
    assert!(
        !node.get("/keys").await["keys"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_operator_bans_and_lifts_the_ban_with_their_name_beside_it() {
    let node = Node::new().await;
    let operator = bearer(&node.api.token(Role::Operator).await);
    let path = format!("/v1/nodes/{}/ban", node.ek_hash);
    let asked = async |method: &str, sent: Option<Value>| {
        let peer = peer("192.0.2.1:1");
        ask(&node.router, peer, method, &path, Some(&operator), sent).await
    };
    for reason in ["", " ", "a\nb", "x".repeat(513).as_str()] {
        let answer = asked("POST", Some(json!({ "reason": reason }))).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{reason:?}");
        assert_eq!(body(answer).await["code"], "bad-ban");
    }
    assert_eq!(node.token().await.0, 200);
    let answer = asked("POST", Some(json!({"reason": "stolen"}))).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(node.token().await.0, 401);
    let bans = node.api.desk.store.bans(10).await.unwrap();
    assert_eq!(bans.len(), 1);
    assert!(bans[0].banned_by.ends_with("(test)"), "{bans:?}");
    assert_eq!(
        (bans[0].reason.as_str(), &bans[0].ek_hash),
        ("stolen", &node.ek_hash)
    );
    let answer = asked("POST", Some(json!({"reason": "again"}))).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(asked("DELETE", None).await.status(), StatusCode::NO_CONTENT);
    let answer = asked("DELETE", None).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(body(answer).await["code"], "no-such-ban");
    assert!(node.api.desk.store.bans(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_svid_is_in_the_audit_trail_before_the_node_has_it() {
    let (tpm, key) = (FakeTpm::new(), SvidKey::new());
    let mut api = Api::with("", "", &[]);
    api.desk = Desk::new(&ek_and_quote(&[&tpm]));
    let trail = api.path("data").join(audit::FILE);
    api.desk.server.audit = AuditLog::open(&trail).unwrap().0;
    let (_, answer) = login(&api.desk, &tpm, |asked| Some(payload(&tpm, &key, asked))).await;
    let node = Node {
        router: api.router(),
        api,
        key,
        opened: granted(answer),
        ek_hash: tpm.ek_hash(),
    };
    let (_, token) = node.token().await;
    let csr = json!({"csr": STANDARD.encode(node.key.csr())});
    let (status, issued) = node.post(X509, &node.credential(), csr).await;
    assert_eq!(status, 200, "{issued}");

    let text = std::fs::read_to_string(&trail).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let [granted, jwt, x509] = records.as_slice() else {
        panic!("{records:#?}")
    };
    // What openssl reads in the certificate.
    let serial = |der: &[u8]| {
        let path = node.api.path("svid.der");
        std::fs::write(&path, der).unwrap();
        let read = std::process::Command::new("openssl")
            .args(["x509", "-inform", "DER", "-noout", "-serial", "-in"])
            .arg(path)
            .output();
        let said = String::from_utf8(read.unwrap().stdout).unwrap();
        let number = said.trim().strip_prefix("serial=").unwrap().to_lowercase();
        format!("{number:0>40}")
    };
    assert_eq!(granted["outcome"], "granted");
    assert_eq!(
        granted["svid"]["serial"],
        serial(&node.opened.renewal.as_ref().unwrap().2)
    );
    let leaf = STANDARD
        .decode(issued["chain"][0].as_str().unwrap())
        .unwrap();
    assert_eq!(x509["svid"]["serial"], serial(&leaf));
    assert_eq!(x509["svid"]["kind"], "x509");
    for (record, issued) in [(jwt, &token), (x509, &issued)] {
        assert_eq!(record["outcome"], "issued");
        assert_eq!(record["session_id"], node.id());
        assert_eq!(record["spiffe_id"], issued["spiffeId"]);
        assert_eq!(
            seconds(&record["svid"]["expires_at"]),
            seconds(&issued["expiresAt"])
        );
    }
    let token = token["svid"].as_str().unwrap();
    let digest = assay_host_verifier::crypto::sha256(&[token.as_bytes()]);
    assert_eq!(jwt["svid"]["sha256"], hex::encode(digest));
    assert_eq!(jwt["svid"]["audience"], json!(["reports"]));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!text.contains(signature), "the token itself is not there");

    let page = Page::read(&node.api.desk.server.metrics.render());
    let count = |kind, occasion| {
        let labels = [
            ("kind", kind),
            ("occasion", occasion),
            ("outcome", "success"),
        ];
        page.value(names::SVIDS, &labels)
    };
    assert_eq!(count("x509", "login"), Some(1.0));
    assert_eq!(count("x509", "renewal"), Some(0.0));
    assert_eq!(
        (count("x509", "session"), count("jwt", "session")),
        (Some(1.0), Some(1.0))
    );
}
