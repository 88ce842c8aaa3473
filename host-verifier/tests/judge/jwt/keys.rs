//! Keys and sets of keys: what is read, what is refused, and which key a token means.

use assay_host_verifier::jwt::{
    Jwk, JwkError, JwkSet, MAX_JWK, MAX_KEYS, MAX_SET, NoKey, SetError,
};
use serde_json::{Value, json};

use super::algorithms::jwk;
use super::signer::{Signer, b64, good, judged};
use crate::pki::Pki;

fn parse(key: &Value) -> Result<Jwk, JwkError> {
    Jwk::parse(key.to_string().as_bytes())
}

fn set(keys: &[Value]) -> Result<JwkSet, SetError> {
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes())
}

fn named(seed: u8, kid: &str) -> Value {
    let mut key = Signer::new(seed).jwk();
    key["kid"] = kid.into();
    key
}

/// The example of RFC 7638 section 3.1.
#[test]
fn the_thumbprint_is_the_standards() {
    let key = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
              tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI\
              SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    });
    let key = parse(&key).unwrap();
    assert_eq!(
        key.thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert_eq!(Jwk::parse(&key.to_json()), Ok(key));
}

#[test]
fn a_key_is_written_as_it_was_read_without_the_rest() {
    let pki = Pki::new();
    for kind in ["rsa2048", "p256", "p384", "p521", "ed25519"] {
        pki.key(kind, kind);
        let mut full = jwk(&pki, kind);
        full["kid"] = "a".into();
        full["use"] = "sig".into();
        full["key_ops"] = json!(["verify"]);
        full["x5c"] = json!(["MIIB"]);
        let key = parse(&full).unwrap();
        let written: Value = serde_json::from_slice(&key.to_json()).unwrap();
        let mut bare = jwk(&pki, kind);
        bare["kid"] = "a".into();
        assert_eq!(written, bare);
        assert_eq!(parse(&written), Ok(key));
    }
}

/// Seed 003: "only public keys", checked when the configuration is read.
#[test]
fn a_key_with_a_secret_refuses_its_set() {
    let pki = Pki::new();
    pki.key("rsa2048", "rsa2048");
    let rsa = jwk(&pki, "rsa2048");
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"] {
        let mut private = rsa.clone();
        private[name] = "AQAB".into();
        assert_eq!(parse(&private), Err(JwkError::Private(name)));
        let error = set(&[named(1, "a"), private.clone()]).unwrap_err();
        assert!(matches!(error, SetError::Key { at: 1, .. }), "{error}");
        // Also in a key that would be left out.
        private["use"] = "enc".into();
        assert!(set(&[named(1, "a"), private]).is_err());
    }
    for symmetric in [json!({"kty": "oct", "k": "AQAB"}), json!({"kty": "oct"})] {
        assert_eq!(parse(&symmetric), Err(JwkError::Private("k")));
        let document = json!({"keys": [named(1, "a"), symmetric]}).to_string();
        assert!(JwkSet::parse(document.as_bytes()).is_err());
        assert!(JwkSet::parse_fetched(document.as_bytes()).is_err());
    }
}

#[test]
fn weak_and_broken_keys_are_refused() {
    let pki = Pki::new();
    pki.key("rsa1024", "rsa1024");
    assert_eq!(parse(&jwk(&pki, "rsa1024")), Err(JwkError::Small(1024)));
    let rsa = |n: &[u8], e: &[u8]| parse(&json!({"kty": "RSA", "n": b64(n), "e": b64(e)}));
    assert!(rsa(&[0xff; 1024], &[1, 0, 1]).is_ok(), "8192 bits");
    for (n, e) in [
        (&[0xff; 1025][..], &[1, 0, 1][..]),
        (&[0xfe; 256], &[1, 0, 1]),
        (&[0xff; 256], &[1]),
        (&[0xff; 256], &[2]),
        (&[0xff; 256], &[1, 0, 0, 0, 1, 1]),
        (&[0xff; 256], &[1; 9]),
    ] {
        assert!(rsa(n, e).is_err(), "{} {e:?}", n.len());
    }
    let roca = rsa(&Pki::power_of_65537(128), &[1, 0, 1]);
    assert_eq!(roca, Err(JwkError::Roca));

    pki.key("p256", "p256");
    let right = jwk(&pki, "p256");
    assert!(parse(&right).is_ok());
    for (name, wrong) in [
        ("x", json!(b64([1; 32]))),
        ("x", json!(b64([0; 32]))),
        ("x", json!(b64([1; 31]))),
        ("x", json!(b64([0; 33]))),
        ("y", Value::Null),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("crv", Value::Null),
        ("x", json!(format!("{}=", right["x"].as_str().unwrap()))),
        ("kid", json!(1)),
        ("kid", json!("")),
        ("alg", json!(["ES256"])),
        ("key_ops", json!("verify")),
        ("kty", json!("EC2")),
    ] {
        let mut key = right.clone();
        key[name] = wrong.clone();
        assert!(parse(&key).is_err(), "{name} {wrong}");
    }
    for length in [31, 33, 0] {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(vec![1; length])});
        assert!(parse(&key).is_err(), "{length}");
    }
    let long = json!({"kty": "RSA", "pad": "x".repeat(MAX_JWK)});
    assert!(matches!(parse(&long), Err(JwkError::Form(_))));
    assert!(matches!(Jwk::parse(b"[]"), Err(JwkError::Form(_))));
    let twice = br#"{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"AA"}"#;
    assert!(matches!(Jwk::parse(twice), Err(JwkError::Form(_))));
}

#[test]
fn a_key_for_something_else_verifies_nothing() {
    for (name, value, usable) in [
        ("use", json!("sig"), true),
        ("use", json!("enc"), false),
        ("use", json!("SIG"), false),
        ("key_ops", json!(["verify"]), true),
        ("key_ops", json!(["sign", "verify"]), true),
        ("key_ops", json!(["encrypt"]), false),
        ("key_ops", json!([]), false),
    ] {
        let signer = Signer::new(1);
        let mut key = signer.jwk();
        key[name] = value.clone();
        let passes = judged(&signer.token(&good()), &key).is_ok();
        assert_eq!(passes, usable, "{name} {value}");
    }
}

#[test]
fn keys_of_other_kinds_are_left_out_of_a_set() {
    let mut encryption = named(2, "b");
    encryption["use"] = "enc".into();
    let others = [
        encryption,
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "a"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
    ];
    let all = [&others[..], &[named(1, "a")]].concat();
    assert_eq!(set(&all).unwrap().keys().len(), 1);
    assert_eq!(set(&others), Err(SetError::Empty));
    assert_eq!(set(&[]), Err(SetError::Empty));
}

/// An operator mends the set in a configuration; nobody here mends an issuer's.
#[test]
fn a_weak_key_refuses_a_configured_set_and_is_left_out_of_a_fetched_one() {
    let weak = json!({"kty": "RSA", "n": b64([0xff; 128]), "e": "AQAB", "kid": "weak"});
    let document = json!({"keys": [weak, named(1, "a")]}).to_string();
    let error = JwkSet::parse(document.as_bytes()).unwrap_err();
    assert!(matches!(
        error,
        SetError::Key {
            at: 0,
            why: JwkError::Small(1024)
        }
    ));
    let fetched = JwkSet::parse_fetched(document.as_bytes()).unwrap();
    assert!(fetched.select(Some("a")).is_ok());
    let gone = fetched.select(Some("weak")).unwrap_err();
    assert_eq!(gone, NoKey::Unknown("weak".to_owned()));
}

#[test]
fn two_keys_of_one_name_refuse_the_set() {
    let error = set(&[named(1, "a"), named(2, "b"), named(3, "a")]).unwrap_err();
    assert_eq!(error, SetError::Twice("a".to_owned()));
    let same = set(&[named(1, "a"), named(1, "a")]).unwrap_err();
    assert_eq!(same, SetError::Twice("a".to_owned()));
}

#[test]
fn a_document_that_is_no_set_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert!(JwkSet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let many: Vec<_> = (0..=MAX_KEYS).map(|i| named(1, &i.to_string())).collect();
    assert!(set(&many[1..]).is_ok());
    assert_eq!(set(&many), Err(SetError::TooMany(MAX_KEYS + 1)));
    let long = format!(
        "{}{}",
        json!({"keys": [named(1, "a")]}),
        " ".repeat(MAX_SET)
    );
    assert!(matches!(
        JwkSet::parse(long.as_bytes()),
        Err(SetError::Form(_))
    ));
}

#[test]
fn a_token_means_one_key_or_none() {
    let one = set(&[named(1, "a")]).unwrap();
    let two = set(&[named(1, "a"), named(2, "b")]).unwrap();
    let nameless = set(&[Signer::new(1).jwk()]).unwrap();
    let mixed = set(&[named(1, "a"), Signer::new(2).jwk()]).unwrap();
    assert!(one.select(None).is_ok());
    assert!(nameless.select(None).is_ok());
    assert!(nameless.select(Some("x")).is_ok(), "it can be no other");
    assert_eq!(one.select(Some("b")), Err(NoKey::Unknown("b".to_owned())));
    assert_eq!(two.select(Some("b")).unwrap().id(), Some("b"));
    assert_eq!(two.select(None), Err(NoKey::Ambiguous(2)));
    assert_eq!(two.select(Some("B")), Err(NoKey::Unknown("B".to_owned())));
    assert_eq!(mixed.select(Some("x")), Err(NoKey::Unknown("x".to_owned())));
    assert_eq!(mixed.select(None), Err(NoKey::Ambiguous(2)));
}

#[test]
fn a_pem_is_one_public_key() {
    let pki = Pki::new();
    for kind in ["rsa2048", "p256", "p384", "p521", "ed25519"] {
        pki.key(kind, kind);
        let pem = pki.openssl(&format!("pkey -in {kind}.key -pubout"));
        let pem = String::from_utf8(pem).unwrap();
        let read = Jwk::from_pem(&pem).unwrap();
        assert_eq!(Ok(read), parse(&jwk(&pki, kind)), "{kind}");
        assert!(Jwk::from_pem(&format!("{pem}{pem}")).is_err(), "two");
        assert!(Jwk::from_pem(&format!("x{pem}")).is_err());
        let private = std::fs::read_to_string(pki.path(&format!("{kind}.key"))).unwrap();
        let told = Jwk::from_pem(&private).unwrap_err();
        assert_eq!(told, JwkError::Private("PRIVATE KEY"));
    }
    pki.key("rsa1024", "rsa1024");
    let small = pki.openssl("pkey -in rsa1024.key -pubout");
    let told = Jwk::from_pem(&String::from_utf8(small).unwrap()).unwrap_err();
    assert_eq!(told, JwkError::Small(1024));
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for none in ["", "AAAA", certificate] {
        assert!(
            matches!(Jwk::from_pem(none), Err(JwkError::Form(_))),
            "{none}"
        );
    }
}
