//! Bytes that are no token, headers that are refused, and the known attacks on both. Every token here is signed by the right
//! key, so that nothing but the check under test can refuse it.

use assay_host_verifier::attestor::Fault;
use assay_host_verifier::jwt::{JwtError, MAX_TOKEN, Part, parse, untrusted_texts};
use serde_json::json;

use super::signer::{NOW, Signer, b64, fault, good, judged};

#[test]
fn a_good_token_passes() {
    let signer = Signer::new(1);
    let claims = judged(&signer.token(&good()), &signer.jwk()).unwrap();
    assert_eq!(claims.subject.as_deref(), Some("node-7"));
    assert_eq!(claims.expires.as_second(), NOW + 600);
}

/// GO-2025-4193: the size is looked at before anything is decoded.
#[test]
fn a_token_that_is_too_long_is_refused_before_it_is_read() {
    let signer = Signer::new(1);
    let fitting = |length: usize| {
        let mut claims = good();
        claims["pad"] = "x".into();
        let empty = signer.token(&claims).len();
        claims["pad"] = "x".repeat((length - empty) * 3 / 4).into();
        signer.token(&claims)
    };
    let token = fitting(MAX_TOKEN);
    assert!(token.len() <= MAX_TOKEN && token.len() + 4 > MAX_TOKEN);
    assert!(judged(&token, &signer.jwk()).is_ok());
    let token = fitting(MAX_TOKEN + 4);
    assert_eq!(fault(&token, &signer.jwk()), JwtError::TooLong(token.len()));
    let dots = ".".repeat(MAX_TOKEN + 1);
    assert_eq!(parse(dots.as_bytes()).unwrap_err().check(), "token-size");
}

#[test]
fn a_token_has_three_parts() {
    let signer = Signer::new(1);
    let token = signer.token(&good());
    for (changed, parts) in [
        (String::new(), 1),
        ("a".to_owned(), 1),
        (token.rsplit_once('.').unwrap().0.to_owned(), 2),
        (format!("{token}."), 4),
        (format!("{token}.a"), 4),
        (format!("{token}.a.b"), 5),
    ] {
        assert_eq!(fault(&changed, &signer.jwk()), JwtError::Parts(parts));
    }
}

#[test]
fn each_part_is_strict_base64url() {
    let signer = Signer::new(1);
    // 34 bytes: the last character has bits to spare.
    let header = b64(r#"{"alg":"EdDSA","typ":"JWT"      }"#.as_bytes());
    let claims = b64(good().to_string());
    let stray = |text: &str| {
        let (head, last) = text.split_at(text.len() - 1);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.iter().position(|b| *b == last.as_bytes()[0]);
        format!("{head}{}", char::from(alphabet[at.unwrap() + 1]))
    };
    assert_eq!(header.len() % 4, 0, "no spare bits: {}", header.len());
    let header = b64(r#"{"alg":"EdDSA","typ":"JWT"     }"#.as_bytes());
    assert_ne!(header.len() % 4, 0);
    for bad in [
        format!("{header}="),
        format!("{header}=="),
        format!("{header} "),
        format!("{header}\n"),
        format!("+{header}"),
        format!("/{header}"),
        stray(&header),
        String::new(),
    ] {
        let token = signer.sign_parts(&bad, &claims);
        assert_eq!(
            fault(&token, &signer.jwk()),
            JwtError::Base64(Part::Header),
            "{bad:?}"
        );
    }
    let header = b64(r#"{"alg":"EdDSA"}"#);
    for bad in [format!("{claims}="), format!("{claims}+"), String::new()] {
        let token = signer.sign_parts(&header, &bad);
        assert_eq!(
            fault(&token, &signer.jwk()),
            JwtError::Base64(Part::Claims),
            "{bad:?}"
        );
    }
    let token = signer.sign_parts(&header, &claims);
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for bad in [format!("{token}=="), stray(&token), unsigned] {
        assert_eq!(
            fault(&bad, &signer.jwk()),
            JwtError::Base64(Part::Signature)
        );
    }
}

/// A57: no algorithm at all, and a MAC under the public key.
#[test]
fn algorithms_that_are_no_signatures_are_refused_by_name() {
    let signer = Signer::new(1);
    for name in [
        "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "ES256K", "RS1", "eddsa",
        "EdDSA ", "Ed25519", "A256GCM", "dir",
    ] {
        let header = json!({"alg": name}).to_string();
        let token = signer.sign(&header, &good().to_string());
        assert_eq!(
            fault(&token, &signer.jwk()),
            JwtError::Algorithm(name.to_owned())
        );
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["EdDSA"]}"#,
        r#"{"alg":""}"#,
    ] {
        let token = signer.sign(header, &good().to_string());
        let told = fault(&token, &signer.jwk());
        assert!(
            matches!(told, JwtError::Member { name: "alg", .. }),
            "{header}: {told}"
        );
    }
}

/// The same bytes have one reading: neither parser's choice between two equal members decides.
#[test]
fn members_that_are_there_twice_are_refused() {
    let signer = Signer::new(1);
    let claims = good().to_string();
    let twice = r#"{"alg":"EdDSA","alg":"EdDSA"}"#;
    let told = fault(&signer.sign(twice, &claims), &signer.jwk());
    assert!(
        matches!(
            told,
            JwtError::Json {
                part: Part::Header,
                ..
            }
        ),
        "{told}"
    );
    let twice = claims.replacen('{', r#"{"iss":"https://evil.example.org","#, 1);
    let told = fault(&signer.sign(r#"{"alg":"EdDSA"}"#, &twice), &signer.jwk());
    assert!(
        matches!(
            told,
            JwtError::Json {
                part: Part::Claims,
                ..
            }
        ),
        "{told}"
    );
    assert_eq!(told.fault(), Fault::Malformed);
}

#[test]
fn header_and_claims_are_one_object_each_and_not_deep() {
    let signer = Signer::new(1);
    let claims = good().to_string();
    for header in [
        "[]",
        "\"EdDSA\"",
        "{\"alg\":\"EdDSA\"}{}",
        "{\"alg\":\"EdDSA\"",
        "{\"alg\":\"EdDSA\"}\0",
    ] {
        let told = fault(&signer.sign(header, &claims), &signer.jwk());
        assert!(
            matches!(
                told,
                JwtError::Json {
                    part: Part::Header,
                    ..
                }
            ),
            "{header}"
        );
    }
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep = claims.replacen('{', &format!("{{\"a\":{deep},"), 1);
    for claims in ["[]", "null", "1", deep.as_str()] {
        let token = signer.sign(r#"{"alg":"EdDSA"}"#, claims);
        let told = fault(&token, &signer.jwk());
        assert!(
            matches!(
                told,
                JwtError::Json {
                    part: Part::Claims,
                    ..
                }
            ),
            "{claims}"
        );
    }
}

/// A library that reads `crit` and goes on has understood nothing.
#[test]
fn critical_extensions_are_refused() {
    let signer = Signer::new(1);
    for crit in [r#"["b64"]"#, r#"["exp"]"#, "[]", "null", "\"x\""] {
        let header = format!(r#"{{"alg":"EdDSA","crit":{crit}}}"#);
        let token = signer.sign(&header, &good().to_string());
        assert_eq!(fault(&token, &signer.jwk()), JwtError::Critical);
    }
}

/// CVE-2018-0114 and A57: the token brings its key, or says where it lies. Neither is looked at, in either direction: the
/// configured key decides.
#[test]
fn keys_in_the_header_are_not_used() {
    let (signer, thief) = (Signer::new(1), Signer::new(2));
    let header = json!({
        "alg": "EdDSA",
        "jwk": thief.jwk(),
        "jku": "https://evil.example.org/keys",
        "x5u": "https://evil.example.org/cert",
        "x5c": ["MIIB"],
        "x5t": "AAAA",
    })
    .to_string();
    let forged = thief.sign(&header, &good().to_string());
    assert_eq!(fault(&forged, &signer.jwk()), JwtError::Signature);
    let honest = signer.sign(&header, &good().to_string());
    assert!(judged(&honest, &signer.jwk()).is_ok());
}

#[test]
fn names_in_the_header_are_short_texts() {
    let signer = Signer::new(1);
    for (name, value) in [
        ("kid", json!(7)),
        ("kid", json!("")),
        ("kid", json!("k".repeat(257))),
        ("kid", json!(["a"])),
        ("typ", json!(null)),
        ("typ", json!("t".repeat(257))),
    ] {
        let header = json!({"alg": "EdDSA", name: value}).to_string();
        let told = fault(&signer.sign(&header, &good().to_string()), &signer.jwk());
        assert!(matches!(told, JwtError::Member { .. }), "{header}: {told}");
    }
}

#[test]
fn every_changed_or_missing_byte_is_refused() {
    let signer = Signer::new(1);
    let token = signer.token(&good());
    for at in 0..token.len() {
        assert!(judged(&token[..at], &signer.jwk()).is_err(), "cut at {at}");
        let mut changed = token.clone().into_bytes();
        changed[at] = match changed[at] {
            b'A' => b'B',
            _ => b'A',
        };
        let changed = String::from_utf8(changed).unwrap();
        assert!(judged(&changed, &signer.jwk()).is_err(), "byte {at}");
    }
    assert_eq!(
        fault(&token, &Signer::new(2).jwk()),
        JwtError::Signature,
        "another's key"
    );
}

/// Errors end up in logs: neither the token nor its signature may.
#[test]
fn no_error_and_no_debug_output_shows_the_token() {
    let signer = Signer::new(1);
    let token = signer.token(&good());
    let signature = token.rsplit_once('.').unwrap().1;
    let parsed = parse(token.as_bytes()).unwrap();
    assert!(!format!("{parsed:?}").contains(signature));
    let told = fault(&token, &Signer::new(2).jwk());
    assert!(!told.to_string().contains(signature));
    let kid = "a\u{1b}[31m\n".repeat(20);
    let header = json!({"alg": kid}).to_string();
    let told = fault(&signer.sign(&header, "{}"), &signer.jwk()).to_string();
    assert!(!told.contains('\u{1b}') && !told.contains('\n') && told.len() < 800);
}

/// What names an issuer is read before the signature, and nothing else can be.
#[test]
fn texts_are_read_before_the_signature_where_they_are_texts() {
    let signer = Signer::new(1);
    let token = signer.token(&json!({"tid": "a", "iss": "b", "oid": 7}));
    let token = parse(token.as_bytes()).unwrap();
    let found = untrusted_texts(&token, ["iss", "tid", "ver"]).unwrap();
    assert_eq!(found, [Some("b".into()), Some("a".into()), None]);
    let error = untrusted_texts(&token, ["oid"]).unwrap_err();
    assert_eq!(error.check(), "token-form");
    let token = signer.sign(r#"{"alg":"EdDSA"}"#, "[]");
    let token = parse(token.as_bytes()).unwrap();
    assert!(untrusted_texts(&token, ["iss"]).is_err());
}
