//! `x509pop`: what is proven, and one refusal for each check.

use assay_host_verifier::{
    attestor::{Claims, x509pop::Config},
    document::{self, Files},
    x509::der::Reader,
};
use serde_json::{Value, json};

use super::{agent, digest, server, text, with};
use crate::pki::{CA, Pki, days_from_now, now};

/// A leaf that signs.
pub(crate) const LEAF: &str =
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature";

/// The response by `name.key` over the nonces of these tests.
pub(super) fn response(pki: &Pki, name: &str, kind: &str, salt: &str) -> Value {
    pki.write("digest", digest());
    let nonce = text(&agent());
    let sign = |options: &str| {
        pki.openssl(&format!(
            "pkeyutl -sign -inkey {name}.key -in digest -out sig {options}"
        ));
        std::fs::read(pki.path("sig")).unwrap()
    };
    match kind {
        "ed25519" => json!({"ed25519_signature": {
            "nonce": nonce, "signature": text(&sign("-rawin"))
        }}),
        kind if kind.starts_with("rsa") => {
            let signature = sign(&format!(
                "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:{salt}"
            ));
            json!({"rsa_signature": {"nonce": nonce, "signature": text(&signature)}})
        }
        _ => {
            let der = sign("");
            let mut numbers = Reader::new(&der).any().unwrap().reader();
            let mut number = || {
                let contents = numbers.any().unwrap().contents;
                text(contents.strip_prefix(&[0]).unwrap_or(contents))
            };
            json!({"ecdsa_signature": {"nonce": nonce, "r": number(), "s": number()}})
        }
    }
}

pub(crate) fn payload(pki: &Pki, chain: &[&str], kind: &str) -> Value {
    let certificates: Vec<String> = chain
        .iter()
        .map(|name| text(pki.read(name).der()))
        .collect();
    json!({"certificates": certificates, "response": response(pki, chain[0], kind, "max")})
}

/// The claims, or the name of the failed check.
pub(super) fn judge(pki: &Pki, config: &str, payload: &Value) -> Result<Claims, String> {
    judge_bytes(
        pki,
        config,
        payload.to_string().as_bytes(),
        &server(),
        now(),
    )
}

pub(super) fn judge_bytes(
    pki: &Pki,
    config: &str,
    payload: &[u8],
    nonce: &[u8; 32],
    at: assay_host_verifier::x509::UnixTime,
) -> Result<Claims, String> {
    let config: Config = document::parse("config", config).unwrap();
    let attestor = config.attestor(Files::beside(&pki.path(""))).unwrap();
    let claims = attestor.prove(payload, nonce, at);
    claims.map_err(|error| error.check().to_owned())
}

fn refused(pki: &Pki, config: &str, payload: &Value, check: &str) {
    assert_eq!(judge(pki, config, payload).err().as_deref(), Some(check));
}

const CONFIG: &str = "caBundle: [root.crt]\ntrustDomain: example.org\n";

#[test]
fn accepts_every_key_and_every_usual_salt() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    for kind in ["rsa2048", "rsa3072", "p256", "p384", "p521", "ed25519"] {
        pki.issue_as(kind, kind, kind, "root", LEAF, "-sha256");
        let claims = judge(&pki, CONFIG, &payload(&pki, &[kind], kind));
        assert!(claims.is_ok(), "{kind}: {claims:?}");
    }
    let whole = payload(&pki, &["rsa2048"], "rsa2048");
    for salt in ["max", "digest", "0", "20", "48", "64"] {
        let salted = with(&whole, "response", response(&pki, "rsa2048", "rsa", salt));
        assert!(judge(&pki, CONFIG, &salted).is_ok(), "{salt}");
    }
    let odd = with(&whole, "response", response(&pki, "rsa2048", "rsa", "33"));
    refused(&pki, CONFIG, &odd, "x509pop-signature");
}

#[test]
fn gives_the_attributes_of_leaf_and_chain() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let middle = pki.issue("middle", "root", CA);
    let names = "subjectAltName=URI:x509pop://example.org/datacenter/us-east-1,\
        URI:x509pop://Example.ORG/key/path/to/value,URI:x509pop://other.org/datacenter/x,URI:https://example.org/a/b";
    let leaf = pki.issue("leaf", "middle", &format!("{LEAF}\n{names}"));
    let claims = judge(&pki, CONFIG, &payload(&pki, &["leaf", "middle"], "p256")).unwrap();
    let shown: Vec<String> = claims.attributes.iter().map(ToString::to_string).collect();
    let ca = |c: &assay_host_verifier::x509::Certificate| {
        let fingerprint = pki.openssl(&format!(
            "x509 -in {}.crt -noout -fingerprint -sha1",
            if c.der() == root.der() {
                "root"
            } else {
                "middle"
            }
        ));
        let fingerprint = String::from_utf8(fingerprint).unwrap();
        let hex = fingerprint
            .trim()
            .rsplit('=')
            .next()
            .unwrap()
            .replace(':', "");
        format!(
            "x509_pop:x509_pop.ca.{}={:?}",
            hex::encode(c.serial()),
            hex.to_lowercase()
        )
    };
    assert_eq!(
        shown,
        [
            "x509_pop:x509_pop.subject.common_name=\"leaf\"".to_owned(),
            format!(
                "x509_pop:x509_pop.serial_number={:?}",
                hex::encode(leaf.serial())
            ),
            ca(&middle),
            ca(&root),
            "x509_pop:x509_pop.san.datacenter=\"us-east-1\"".to_owned(),
            "x509_pop:x509_pop.san.key=\"path/to/value\"".to_owned(),
        ]
    );
    let key = leaf.key().unwrap().spki_sha256();
    assert_eq!(claims.facts.identity, Some(hex::encode(key)));
    // Nobody's names count where no trust domain is set.
    let silent = judge(
        &pki,
        "caBundle: [root.crt]",
        &payload(&pki, &["leaf", "middle"], "p256"),
    );
    assert_eq!(silent.unwrap().attributes.len(), 4);
}

#[test]
fn refuses_each_way_that_a_certificate_can_be_wrong() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.root("stranger", "p256", CA);
    let cases = [
        (
            "no-usage",
            "root",
            "basicConstraints=critical,CA:FALSE",
            "key-usage",
        ),
        (
            "encipher",
            "root",
            "keyUsage=critical,keyEncipherment",
            "key-usage",
        ),
        (
            "ca",
            "root",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature",
            "leaf-is-ca",
        ),
        ("foreign", "stranger", LEAF, "unknown-issuer"),
        (
            "critical",
            "root",
            "keyUsage=digitalSignature\n1.2.3.4=critical,DER:0500",
            "critical-extension",
        ),
        (
            "twice",
            "root",
            "keyUsage=digitalSignature\nsubjectAltName=URI:x509pop://example.org/a/1,URI:x509pop://example.org/a/2",
            "x509pop-san-twice",
        ),
        (
            "no-value",
            "root",
            "keyUsage=digitalSignature\nsubjectAltName=URI:x509pop://example.org/a",
            "x509pop-san-form",
        ),
        (
            "empty",
            "root",
            "keyUsage=digitalSignature\nsubjectAltName=URI:x509pop://example.org/a/",
            "x509pop-san-form",
        ),
    ];
    for (name, issuer, extensions, check) in cases {
        pki.issue(name, issuer, extensions);
        refused(&pki, CONFIG, &payload(&pki, &[name], "p256"), check);
    }
    pki.issue_as("small", "small", "rsa1024", "root", LEAF, "-sha256");
    refused(
        &pki,
        CONFIG,
        &payload(&pki, &["small"], "rsa1024"),
        "weak-key",
    );
    pki.issue_as("large", "large", "rsa3072", "root", LEAF, "-sha256");
    let limited = format!("{CONFIG}maxRsaKeySize: 2048");
    refused(
        &pki,
        &limited,
        &payload(&pki, &["large"], "rsa3072"),
        "key-too-large",
    );
    pki.issue("good", "root", LEAF);
    let good = payload(&pki, &["good"], "p256").to_string();
    let at = |days| {
        judge_bytes(
            &pki,
            CONFIG,
            good.as_bytes(),
            &server(),
            days_from_now(days),
        )
    };
    assert!(at(0).is_ok());
    assert_eq!(at(-3).unwrap_err(), "not-yet-valid");
    assert_eq!(at(36_600).unwrap_err(), "expired");
}

#[test]
fn counts_intermediates_before_it_reads_any() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("leaf", "root", LEAF);
    let whole = payload(&pki, &["leaf"], "p256");
    let crowd = |n: usize| {
        let mut all = vec![whole["certificates"][0].clone()];
        all.extend(vec![json!("no base64 at all"); n]);
        with(&whole, "certificates", all.into())
    };
    refused(&pki, CONFIG, &crowd(5), "x509pop-too-many-intermediates");
    refused(&pki, CONFIG, &crowd(4), "x509pop-payload");
    refused(
        &pki,
        CONFIG,
        &with(&whole, "certificates", json!([])),
        "x509pop-no-certificate",
    );
    refused(
        &pki,
        CONFIG,
        &with(&whole, "certificates", json!(["MAA="])),
        "x509pop-certificate",
    );
    // The limit is one on the path, too.
    pki.issue("a", "root", CA);
    pki.issue("b", "a", CA);
    pki.issue("deep", "b", LEAF);
    let deep = payload(&pki, &["deep", "b", "a"], "p256");
    assert!(judge(&pki, CONFIG, &deep).is_ok());
    refused(
        &pki,
        "caBundle: {anchors: [root.crt], intermediates: [a.crt]}\nmaxIntermediates: 1",
        &payload(&pki, &["deep", "b"], "p256"),
        "chain-too-long",
    );
}

#[test]
fn refuses_each_way_that_a_response_can_be_wrong() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("leaf", "root", LEAF);
    pki.issue("other", "root", LEAF);
    let whole = payload(&pki, &["leaf"], "p256");
    assert!(judge(&pki, CONFIG, &whole).is_ok());
    let changed = |path, value| with(&whole, path, value);
    let other = payload(&pki, &["other"], "p256")["response"].clone();
    refused(
        &pki,
        CONFIG,
        &changed("response", other),
        "x509pop-signature",
    );
    let short = json!(text(&[1; 31]));
    refused(
        &pki,
        CONFIG,
        &changed("response.ecdsa_signature.nonce", short),
        "x509pop-response-nonce",
    );
    let others = json!(text(&[1; 32]));
    refused(
        &pki,
        CONFIG,
        &changed("response.ecdsa_signature.nonce", others),
        "x509pop-signature",
    );
    let nonce = text(&agent());
    let r = whole["response"]["ecdsa_signature"]["r"].as_str().unwrap();
    let r = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, r).unwrap();
    let padded = json!(text(&[&[0][..], &r].concat()));
    refused(
        &pki,
        CONFIG,
        &changed("response.ecdsa_signature.r", padded),
        "x509pop-signature-encoding",
    );
    refused(
        &pki,
        CONFIG,
        &changed("response.ecdsa_signature.s", json!("")),
        "x509pop-signature-encoding",
    );
    let long = json!(text(&[9; 33]));
    refused(
        &pki,
        CONFIG,
        &changed("response.ecdsa_signature.s", long),
        "x509pop-signature",
    );
    let plain = json!({"nonce": nonce, "signature": text(&[7; 256])});
    let rsa = changed("response", json!({"rsa_signature": plain}));
    refused(&pki, CONFIG, &rsa, "x509pop-signature-type");
    let ed25519 = changed("response", json!({"ed25519_signature": plain}));
    refused(&pki, CONFIG, &ed25519, "x509pop-signature-type");
    refused(
        &pki,
        CONFIG,
        &changed("response", json!({})),
        "x509pop-payload",
    );
    let mut both = whole["response"].clone();
    both["rsa_signature"] = plain;
    refused(&pki, CONFIG, &changed("response", both), "x509pop-payload");
    // A login is judged by its own nonce.
    let bytes = whole.to_string();
    let replayed = judge_bytes(&pki, CONFIG, bytes.as_bytes(), &[9; 32], now());
    assert_eq!(replayed.unwrap_err(), "x509pop-signature");
}

#[test]
fn no_part_of_a_payload_and_no_addition_to_it_is_a_payload() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("leaf", "root", LEAF);
    let whole = payload(&pki, &["leaf"], "p256").to_string();
    let judge = |bytes: &str| judge_bytes(&pki, CONFIG, bytes.as_bytes(), &server(), now());
    assert!(judge(&whole).is_ok());
    for n in (0..whole.len()).step_by(7) {
        assert_eq!(judge(&whole[..n]).unwrap_err(), "x509pop-payload", "{n}");
    }
    for wrong in [
        format!("{whole}x"),
        whole.replacen('{', "{\"more\":1,", 1),
        whole.replacen('{', "{\"certificates\":[],", 1),
        "null".to_owned(),
        format!("{whole}{}", " ".repeat(64 * 1024)),
    ] {
        assert_eq!(judge(&wrong).unwrap_err(), "x509pop-payload");
    }
}

#[test]
fn in_spiffe_mode_the_id_decides() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    const SPIFFE: &str = "mode: spiffe\ncaBundle: [root.crt]\ntrustDomain: example.org\n";
    let id = |uri: &str| format!("keyUsage=digitalSignature\nsubjectAltName={uri}");
    for (name, names, check) in [
        (
            "good",
            "URI:spiffe://example.org/spire-exchange/host1",
            None,
        ),
        (
            "prefix",
            "URI:spiffe://example.org/agent/host1",
            Some("x509pop-prefix"),
        ),
        (
            "near",
            "URI:spiffe://example.org/spire-exchanges/host1",
            Some("x509pop-prefix"),
        ),
        (
            "domain",
            "URI:spiffe://example.com/spire-exchange/host1",
            Some("x509pop-trust-domain"),
        ),
        (
            "case",
            "URI:SPIFFE://example.org/spire-exchange/host1",
            Some("x509pop-spiffe-id"),
        ),
        (
            "dots",
            "URI:spiffe://example.org/spire-exchange/../x",
            Some("x509pop-spiffe-id"),
        ),
        (
            "none",
            "URI:https://example.org/spire-exchange/host1",
            Some("x509pop-spiffe-id"),
        ),
        (
            "two",
            "URI:spiffe://example.org/spire-exchange/host1,URI:spiffe://example.org/spire-exchange/host2",
            Some("x509pop-spiffe-id"),
        ),
    ] {
        pki.issue(name, "root", &id(names));
        let claims = judge(&pki, SPIFFE, &payload(&pki, &[name], "p256"));
        assert_eq!(claims.as_ref().err().map(String::as_str), check, "{name}");
        if let Ok(claims) = claims {
            let id = "spiffe://example.org/spire-exchange/host1";
            assert_eq!(claims.facts.identity.as_deref(), Some(id));
        }
    }
    let other = format!("{SPIFFE}spiffePrefix: /agent");
    assert!(judge(&pki, &other, &payload(&pki, &["prefix"], "p256")).is_ok());
}

#[test]
fn settings_that_could_let_in_nobody_or_everybody_are_errors() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.write("empty.pem", "");
    for (text, field) in [
        ("caBundle: []", "caBundle"),
        ("caBundle: [none.pem]", "caBundle[0]"),
        ("caBundle: [empty.pem]", "caBundle[0]"),
        (
            "caBundle: [root.crt]\nmaxIntermediates: 0",
            "maxIntermediates",
        ),
        (
            "caBundle: [root.crt]\nmaxIntermediates: 7",
            "maxIntermediates",
        ),
        ("caBundle: [root.crt]\nmaxRsaKeySize: 1024", "maxRsaKeySize"),
        (
            "caBundle: [root.crt]\nmaxRsaKeySize: 16384",
            "maxRsaKeySize",
        ),
        (
            "caBundle: [root.crt]\ntrustDomain: Not A Domain",
            "trustDomain",
        ),
        ("caBundle: [root.crt]\nmode: spiffe", "trustDomain"),
        ("caBundle: [root.crt]\nspiffePrefix: /a", "spiffePrefix"),
        (
            "caBundle: [root.crt]\nmode: spiffe\ntrustDomain: a.org\nspiffePrefix: a",
            "spiffePrefix",
        ),
        ("caBundle: [root.crt]\ncrls: []", "crls"),
        ("caBundle: [root.crt]\ncrls: [root.crt]", "crls[0]"),
        ("caBundle: [root.crt]\nrequireCrl: leaf", "requireCrl"),
        ("caBundle: [root.crt]\nstaleCrl: accept", "staleCrl"),
    ] {
        let config: Config = document::parse("config", text).unwrap();
        let error = config.attestor(Files::beside(&pki.path(""))).unwrap_err();
        assert_eq!(error.field, field, "{text}");
    }
}
