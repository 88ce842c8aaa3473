//! `extension`: a webhook over real TLS.

mod trouble;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::extension::WebhookError;
use assay_host_verifier::attestor::{AttestError, Attestor, Claims, Fault, When};
use assay_host_verifier::outside::{AddressClass, Error, ErrorKind, TlsFault};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Value, json};

use crate::dns;
use crate::method::{Login, Network, attestor, column, fields};
use crate::upstream::{Piece, Upstream, answer, say};

const KIND: AttestorKind = AttestorKind::EXTENSION;
const CANARY: &str = "c4n4ry";
const SECRET: &str = "s3cret-of-the-webhook";
const DOCUMENT: &str = include_str!("../../../../docs/methods/extension.md");

fn entry(hook: &Upstream, more: &Value, base: &Path) -> Arc<dyn Attestor> {
    let mut config = json!({"webhookURL": hook.url("/attest"), "caCerts": &*hook.authority, "timeout": "5s", "maxRetries": 0});
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    attestor(KIND, &config, base).unwrap()
}

async fn says(body: &str) -> Upstream {
    let body = body.to_owned();
    Upstream::tls(Arc::new(move |_| answer("application/json", &body))).await
}

async fn ask(login: &Login, attestor: &dyn Attestor, proof: &[u8]) -> Result<Claims, AttestError> {
    let network = Network(dns::shared().client(true));
    login.claims(attestor, proof, &network).await
}

fn check(result: Result<Claims, AttestError>) -> &'static str {
    let error = result.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        !told.contains(CANARY) && !told.contains(SECRET) && !told.contains("127.0.0.1"),
        "{told}"
    );
    error.check
}

#[tokio::test]
async fn a_webhook_is_told_what_is_known_and_its_word_counts() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), format!("{SECRET}\n")).unwrap();
    let hook = says(r#"{"allow":true,"attributes":{"environment":"prod","device.id":"esp32 7"},"identity":"esp32:7"}"#).await;
    let attestor = entry(&hook, &json!({"bearerTokenFile": "token"}), dir.path());
    assert!(!format!("{attestor:?}").contains(SECRET));
    let login = Login::new(KIND, "hello");
    let claims = ask(&login, &*attestor, b"\x00proof\xff").await.unwrap();
    let given: Vec<_> = claims
        .attributes
        .iter()
        .map(|a| (&*a.name, a.value.as_str()))
        .collect();
    assert_eq!(
        given,
        [
            ("custom.device.id", "esp32 7"),
            ("custom.environment", "prod")
        ]
    );
    assert_eq!(claims.facts.identity.as_deref(), Some("esp32:7"));
    assert_eq!(
        column(DOCUMENT, "Attributes"),
        BTreeSet::from(["custom.<key>".to_owned()])
    );

    let request = hook.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /attest HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("authorization: Bearer {SECRET}\r\n")),
        "{head}"
    );
    let body: Value = serde_json::from_str(body).unwrap();
    let id = body["requestId"].as_str().unwrap();
    assert_eq!(id.len(), 64);
    assert!(
        head.contains(&format!("idempotency-key: {id}\r\n")),
        "{head}"
    );
    assert_eq!(
        body,
        json!({
            "version": 1, "requestId": id, "loginId": "login-1", "trustDomain": "example.org",
            "cluster": "rack", "policy": "first", "methods": ["tpm_ek"],
            "attributes": {"tpm_ek.public_hash": ["3f"]},
            "nonce": URL_SAFE.encode(login.context.proof_nonce),
            "proof": STANDARD.encode(b"\x00proof\xff"),
        })
    );
    // Another login, another question; a rotated secret is used at once.
    std::fs::write(dir.path().join("token"), "another").unwrap();
    ask(&Login::new(KIND, "another"), &*attestor, b"")
        .await
        .unwrap();
    let request = hook.requests().remove(1);
    assert!(!request.contains(id));
    assert!(
        request.contains("authorization: Bearer another\r\n") && request.contains("\"proof\":\"\"")
    );
    // And one that is gone lets nobody in.
    std::fs::remove_file(dir.path().join("token")).unwrap();
    assert_eq!(check(ask(&login, &*attestor, b"").await), "webhook-token");
    assert_eq!(hook.requests().len(), 2);
}

#[test]
fn the_document_has_the_settings_and_the_checks_of_the_code() {
    assert_eq!(column(DOCUMENT, "Configuration"), fields(KIND));
    let outside = [
        ErrorKind::Address(AddressClass::Loopback),
        ErrorKind::NameNotFound,
        ErrorKind::Resolver,
        ErrorKind::Connect,
        ErrorKind::Tls(TlsFault::Name),
        ErrorKind::Deadline,
        ErrorKind::TooLarge,
        ErrorKind::Status(404),
        ErrorKind::Redirect(302),
        ErrorKind::Malformed,
        ErrorKind::ContentType,
        ErrorKind::Busy,
        ErrorKind::Open,
        ErrorKind::Offline,
        ErrorKind::Roots,
    ];
    let outside = outside.map(|kind| WebhookError::Outside(Error::new("", kind)));
    let own = [
        WebhookError::ProofTooLong,
        WebhookError::Token(""),
        WebhookError::Status(204),
        WebhookError::Answer,
        WebhookError::Attribute,
        WebhookError::Identity,
        WebhookError::Denied(String::new()),
        WebhookError::Kept,
    ];
    let checks: BTreeSet<_> = outside
        .iter()
        .chain(&own)
        .map(|e| e.check().to_owned())
        .collect();
    assert_eq!(checks, column(DOCUMENT, "Errors"));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("empty", "\n");
    write("two", "a\nb\n");
    write("long", &"a".repeat(5000));
    write("good", "a");
    write("noca.pem", "hello");
    let url = "https://hook.example.org/";
    for (config, field) in [
        (
            json!({"webhookURL": "http://hook.example.org/"}),
            "webhookURL",
        ),
        (
            json!({"webhookURL": "https://user:pw@hook.example.org/"}),
            "webhookURL",
        ),
        (json!({"webhookURL": "https://0x7f.1/"}), "webhookURL"),
        (json!({"webhookURL": "hook"}), "webhookURL"),
        (json!({"webhookURL": url, "timeout": "10"}), "timeout"),
        (json!({"webhookURL": url, "timeout": "-1s"}), "timeout"),
        (json!({"webhookURL": url, "timeout": "0s"}), "timeout"),
        (json!({"webhookURL": url, "timeout": "61s"}), "timeout"),
        (json!({"webhookURL": url, "maxRetries": 11}), "maxRetries"),
        (json!({"webhookURL": url, "caCerts": ""}), "caCerts"),
        (json!({"webhookURL": url, "caCerts": "none.pem"}), "caCerts"),
        (json!({"webhookURL": url, "caCerts": "noca.pem"}), "caCerts"),
        (
            json!({"webhookURL": url, "caCerts": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}),
            "caCerts",
        ),
        (
            json!({"webhookURL": url, "authType": "BEARER"}),
            "bearerTokenFile",
        ),
        (
            json!({"webhookURL": url, "authType": "NONE", "bearerTokenFile": "good"}),
            "authType",
        ),
        (
            json!({"webhookURL": url, "bearerTokenFile": "none"}),
            "bearerTokenFile",
        ),
        (
            json!({"webhookURL": url, "bearerTokenFile": "empty"}),
            "bearerTokenFile",
        ),
        (
            json!({"webhookURL": url, "bearerTokenFile": "two"}),
            "bearerTokenFile",
        ),
        (
            json!({"webhookURL": url, "bearerTokenFile": "long"}),
            "bearerTokenFile",
        ),
    ] {
        let error = attestor(KIND, &config, dir.path()).unwrap_err();
        assert_eq!(error.field, field, "{config}");
        assert!(error.hint.is_some(), "{config}");
        assert!(!error.message.contains(":pw"), "{error}");
    }
    let fine = json!({"webhookURL": url, "authType": "BEARER", "bearerTokenFile": "good"});
    let fine = attestor(KIND, &fine, dir.path()).unwrap();
    assert!(!fine.is_fresh());
    let login = Login::new(KIND, "hello");
    assert_eq!(login.errand(&*fine, b"").unwrap().when(), When::AfterOthers);
    assert!(login.errand(&*fine, &[0; 32 * 1024]).is_ok());
    let error = login.errand(&*fine, &[0; 32 * 1024 + 1]).unwrap_err();
    assert_eq!(
        (error.check, error.fault),
        ("proof-too-long", Fault::Malformed)
    );
}

#[tokio::test]
async fn a_webhook_that_says_no_or_nothing_that_can_be_used_denies() {
    let login = Login::new(KIND, "hello");
    let many: String = (0..65).map(|n| format!("\"a{n}\":\"x\",")).collect();
    let many = format!(
        r#"{{"allow":true,"attributes":{{{}}}}}"#,
        many.trim_end_matches(',')
    );
    let key = |key: &str| format!(r#"{{"allow":true,"attributes":{{"{key}":"x"}}}}"#);
    let value = |value: &str| format!(r#"{{"allow":true,"attributes":{{"a":{value}}}}}"#);
    let named = |name: &str| format!(r#"{{"allow":true,"identity":"{name}"}}"#);
    let text = str::to_owned;
    for (body, expected) in [
        (text(r#"{"allow":false}"#), "webhook-denied"),
        (
            text(r#"{"allow":false,"reason":"unknown-device"}"#),
            "webhook-denied",
        ),
        (
            text(r#"{"allow":false,"attributes":{"a":"x"}}"#),
            "webhook-denied",
        ),
        (
            format!(r#"{{"allow":false,"reason":"{CANARY} <b>"}}"#),
            "webhook-answer",
        ),
        (
            format!(r#"{{"allow":false,"reason":"{}"}}"#, "a".repeat(129)),
            "webhook-answer",
        ),
        (text("{}"), "webhook-answer"),
        (text(""), "webhook-answer"),
        (text("true"), "webhook-answer"),
        (text("[true]"), "webhook-answer"),
        (text(r#"{"allow":"true"}"#), "webhook-answer"),
        (text(r#"{"allow":1}"#), "webhook-answer"),
        (text(r#"{"allow":null}"#), "webhook-answer"),
        (text(r#"{"allow":false,"allow":true}"#), "webhook-answer"),
        (
            text(r#"{"allow":true,"unless":"c4n4ry"}"#),
            "webhook-answer",
        ),
        (text(r#"{"allow":true} {"allow":false}"#), "webhook-answer"),
        (
            text(r#"{"allow":true,"attributes":{"a":"x","a":"y"}}"#),
            "webhook-answer",
        ),
        (text(r#"{"allow":true,"attributes":[]}"#), "webhook-answer"),
        (many, "webhook-answer"),
        (value("1"), "webhook-answer"),
        (value("null"), "webhook-answer"),
        (value(r#"{"b":"x"}"#), "webhook-answer"),
        (value(r#"["x"]"#), "webhook-answer"),
        (value(r#""""#), "webhook-attribute"),
        (value(r#""a\nb""#), "webhook-attribute"),
        (value(r#""a\u0000b""#), "webhook-attribute"),
        (
            value(&format!("\"{}\"", "a".repeat(257))),
            "webhook-attribute",
        ),
        (key(""), "webhook-attribute"),
        (key("."), "webhook-attribute"),
        (key("a..b"), "webhook-attribute"),
        (key(".a"), "webhook-attribute"),
        (key("A"), "webhook-attribute"),
        (key("a-b"), "webhook-attribute"),
        (key("a/b"), "webhook-attribute"),
        (key("a b"), "webhook-attribute"),
        (key("\u{e4}"), "webhook-attribute"),
        (key(&"a".repeat(65)), "webhook-attribute"),
        (named(""), "webhook-identity"),
        (named("a b"), "webhook-identity"),
        (named("a/../b"), "webhook-identity"),
        (named(&"a".repeat(129)), "webhook-identity"),
    ] {
        let hook = says(&body).await;
        let attestor = entry(&hook, &json!({}), Path::new(""));
        assert_eq!(
            check(ask(&login, &*attestor, b"x").await),
            expected,
            "{body}"
        );
        assert_eq!(hook.requests().len(), 1, "an answer is an answer: {body}");
    }
    // A key cannot leave its origin, whatever it is called.
    let hook = says(r#"{"allow":true,"attributes":{"tpm_ek.public_hash":"3f"}}"#).await;
    let claims = ask(&login, &*entry(&hook, &json!({}), Path::new("")), b"")
        .await
        .unwrap();
    assert_eq!(claims.attributes[0].name, "custom.tpm_ek.public_hash");
}
