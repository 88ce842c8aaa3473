//! Every algorithm, with keys and signatures of openssl, and with tokens of the `jsonwebtoken` crate; and every algorithm with
//! every key that is not its own.

use assay_host_verifier::jwt::{Algorithm, JwkProblem, JwtError, Prepared, judge, parse};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::signer::{audience, b64, expected, fault, good, judged, now};
use crate::pki::Pki;

/// An algorithm, the kind of key that it takes, and how openssl makes its signatures.
const ALGORITHMS: [(&str, &str, &str); 10] = [
    ("RS256", "rsa2048", "-sha256"),
    ("RS384", "rsa2048", "-sha384"),
    ("RS512", "rsa2048", "-sha512"),
    (
        "PS256",
        "rsa2048",
        "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1",
    ),
    (
        "PS384",
        "rsa2048",
        "-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1",
    ),
    (
        "PS512",
        "rsa2048",
        "-sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1",
    ),
    ("ES256", "p256", "-sha256"),
    ("ES384", "p384", "-sha384"),
    ("ES512", "p521", "-sha512"),
    ("EdDSA", "ed25519", ""),
];

const KINDS: [&str; 5] = ["rsa2048", "p256", "p384", "p521", "ed25519"];

/// One key of each kind.
fn keys() -> Pki {
    let pki = Pki::new();
    for kind in KINDS {
        pki.key(kind, kind);
    }
    pki
}

/// The JWK of a key, out of what openssl prints.
pub(super) fn jwk(pki: &Pki, name: &str) -> Value {
    let spki = pki.openssl(&format!("pkey -in {name}.key -pubout -outform DER"));
    let tail = |n: usize| &spki[spki.len() - n..];
    let point = |curve: &str, n: usize| {
        let (x, y) = tail(2 * n).split_at(n);
        json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
    };
    match name {
        "p256" => point("P-256", 32),
        "p384" => point("P-384", 48),
        "p521" => point("P-521", 66),
        "ed25519" => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(tail(32))}),
        _ => {
            let printed = pki.openssl(&format!("rsa -in {name}.key -modulus -noout"));
            let printed = String::from_utf8(printed).unwrap();
            let modulus = printed.trim().strip_prefix("Modulus=").unwrap();
            json!({"kty": "RSA", "n": b64(hex::decode(modulus).unwrap()), "e": "AQAB"})
        }
    }
}

/// `r` and `s` of a signature in DER, at the field's length each (RFC 7518 section 3.4).
fn fixed(der: &[u8], field: usize) -> Vec<u8> {
    let mut rest = match der[1] {
        0x81 => &der[3..],
        _ => &der[2..],
    };
    let mut out = Vec::new();
    for _ in 0..2 {
        let (number, behind) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.iter().take_while(|b| **b == 0).count()..];
        out.resize(out.len() + field - number.len(), 0);
        out.extend_from_slice(number);
        rest = behind;
    }
    out
}

/// A token signed by openssl under a header that names `alg`, whatever the key is.
fn signed(pki: &Pki, alg: &str, kind: &str, options: &str) -> String {
    let header = json!({"alg": alg, "typ": "JWT"}).to_string();
    let input = format!("{}.{}", b64(header), b64(good().to_string()));
    pki.write("input", &input);
    let raw = match kind {
        "ed25519" => pki.openssl("pkeyutl -sign -rawin -inkey ed25519.key -in input"),
        _ => pki.openssl(&format!("dgst {options} -sign {kind}.key input")),
    };
    let signature = match kind {
        "p256" => fixed(&raw, 32),
        "p384" => fixed(&raw, 48),
        "p521" => fixed(&raw, 66),
        _ => raw,
    };
    format!("{input}.{}", b64(signature))
}

#[test]
fn tokens_signed_by_openssl_pass_in_every_algorithm_and_with_no_other_key() {
    let pki = keys();
    let own: Vec<Value> = KINDS.iter().map(|kind| jwk(&pki, kind)).collect();
    for (alg, kind, options) in ALGORITHMS {
        let token = signed(&pki, alg, kind, options);
        for (other, jwk) in KINDS.iter().zip(&own) {
            match *other == kind {
                true => {
                    let claims = judged(&token, jwk).unwrap();
                    assert_eq!(claims.subject.as_deref(), Some("node-7"), "{alg}");
                }
                false => {
                    let told = fault(&token, jwk);
                    let fits = matches!(told, JwtError::KeyType { .. });
                    assert!(fits, "{alg} with {other}: {told}");
                }
            }
        }
    }
}

/// The signature is right, and the header says another algorithm of the same family.
#[test]
fn a_signature_is_verified_by_the_named_algorithm_only() {
    let pki = keys();
    let rsa = jwk(&pki, "rsa2048");
    for (alg, _, options) in ALGORITHMS.iter().filter(|(_, kind, _)| *kind == "rsa2048") {
        for (other, _, _) in ALGORITHMS.iter().filter(|(_, kind, _)| *kind == "rsa2048") {
            let token = signed(&pki, other, "rsa2048", options);
            match alg == other {
                true => assert!(judged(&token, &rsa).is_ok()),
                false => assert_eq!(fault(&token, &rsa), JwtError::Signature, "{alg} as {other}"),
            }
        }
    }
}

/// RFC 7518 section 3.5: the salt is as long as the hash.
#[test]
fn the_salt_of_pss_has_its_length() {
    let pki = keys();
    let rsa = jwk(&pki, "rsa2048");
    for length in ["0", "20", "222"] {
        let options =
            format!("-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{length}");
        let token = signed(&pki, "PS256", "rsa2048", &options);
        assert_eq!(fault(&token, &rsa), JwtError::Signature, "salt of {length}");
    }
}

/// DER, short numbers, superfluous zeros: one signature has one form. CVE-2022-21449: zeros are no signature.
#[test]
fn a_curves_signature_is_two_numbers_of_full_length() {
    let pki = keys();
    let key = jwk(&pki, "p256");
    let token = signed(&pki, "ES256", "p256", "-sha256");
    let (input, signature) = token.rsplit_once('.').unwrap();
    pki.write("again", input);
    let der = pki.openssl("dgst -sha256 -sign p256.key again");
    let right = fixed(&der, 32);
    let wrong = [
        der,
        vec![0; 64],
        right[..63].to_vec(),
        [&right[..], &[0]].concat(),
        [&[0], &right[..]].concat(),
        [&[0], &right[..32], &[0], &right[32..]].concat(),
    ];
    assert!(judged(&format!("{input}.{signature}"), &key).is_ok());
    assert!(judged(&format!("{input}.{}", b64(&right)), &key).is_ok());
    for wrong in wrong {
        let token = format!("{input}.{}", b64(&wrong));
        assert_eq!(fault(&token, &key), JwtError::Signature, "{}", wrong.len());
    }
}

/// What the other implementation signs is accepted; what is accepted here it accepts as well.
#[test]
fn the_jsonwebtoken_crate_agrees() {
    use jsonwebtoken::Algorithm as Theirs;
    let pki = keys();
    let algorithms = [
        (Theirs::RS256, "rsa2048"),
        (Theirs::RS384, "rsa2048"),
        (Theirs::RS512, "rsa2048"),
        (Theirs::PS256, "rsa2048"),
        (Theirs::PS384, "rsa2048"),
        (Theirs::PS512, "rsa2048"),
        (Theirs::ES256, "p256"),
        (Theirs::ES384, "p384"),
        (Theirs::EdDSA, "ed25519"),
    ];
    for (algorithm, kind) in algorithms {
        let pem = std::fs::read(pki.path(&format!("{kind}.key"))).unwrap();
        let public = pki.openssl(&format!("pkey -in {kind}.key -pubout"));
        let (private, public) = match kind {
            "rsa2048" => (
                EncodingKey::from_rsa_pem(&pem),
                DecodingKey::from_rsa_pem(&public),
            ),
            "ed25519" => (
                EncodingKey::from_ed_pem(&pem),
                DecodingKey::from_ed_pem(&public),
            ),
            _ => (
                EncodingKey::from_ec_pem(&pem),
                DecodingKey::from_ec_pem(&public),
            ),
        };
        let token = jsonwebtoken::encode(&Header::new(algorithm), &good(), &private.unwrap());
        let token = token.unwrap();
        assert!(judged(&token, &jwk(&pki, kind)).is_ok(), "{algorithm:?}");

        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["assay"]);
        validation.set_issuer(&["https://issuer.example.org"]);
        // The tests' time is not the clock's.
        validation.validate_exp = false;
        let read = jsonwebtoken::decode::<Value>(&token, &public.unwrap(), &validation);
        assert_eq!(read.unwrap().claims, good());
    }
}

/// A57: the public key, which everybody has, as the key of a MAC.
#[test]
fn a_mac_under_the_public_key_is_no_signature() {
    let pki = keys();
    let public = pki.openssl("pkey -in rsa2048.key -pubout");
    let secret = EncodingKey::from_secret(&public);
    let header = Header::new(jsonwebtoken::Algorithm::HS256);
    let token = jsonwebtoken::encode(&header, &good(), &secret).unwrap();
    assert_eq!(
        fault(&token, &jwk(&pki, "rsa2048")),
        JwtError::Algorithm("HS256".to_owned())
    );
}

#[test]
fn a_key_that_names_its_algorithm_verifies_no_other() {
    let pki = keys();
    let token = signed(&pki, "RS256", "rsa2048", "-sha256");
    let named = |alg: &str| {
        let mut key = jwk(&pki, "rsa2048");
        key["alg"] = alg.into();
        judged(&token, &key)
    };
    assert!(named("RS256").is_ok());
    for other in ["RS384", "PS256", "RSA-OAEP", "rs256"] {
        let told = named(other).unwrap_err();
        assert!(
            matches!(told, JwkProblem::Token(JwtError::KeyAlgorithm { .. })),
            "{other}: {told}"
        );
    }
}

/// A key is remembered by all of its bytes, and for one algorithm: a changed `alg`, or another key of the same name, is
/// another key.
#[test]
fn a_remembered_key_is_the_same_key() {
    let pki = keys();
    pki.key("other", "rsa2048");
    let token = signed(&pki, "RS256", "rsa2048", "-sha256");
    let prepared = Prepared::default();
    let judged = |key: &Value| {
        judge(
            token.as_bytes(),
            key.to_string().as_bytes(),
            &prepared,
            &expected(&audience()),
            now(),
        )
    };
    let mut key = jwk(&pki, "rsa2048");
    key["kid"] = "1".into();
    assert!(judged(&key).is_ok() && judged(&key).is_ok());
    let mut other = jwk(&pki, "other");
    other["kid"] = "1".into();
    let told = judged(&other).unwrap_err();
    assert_eq!(told, JwkProblem::Token(JwtError::Signature));
    key["alg"] = "PS256".into();
    assert!(judged(&key).is_err());
}

#[test]
fn names_go_both_ways() {
    for (name, _, _) in ALGORITHMS {
        let algorithm = Algorithm::from_name(name).unwrap();
        assert_eq!(algorithm.to_string(), name);
        let header = json!({"alg": name}).to_string();
        let token = format!("{}.e30.AAAA", b64(header));
        let read = parse(token.as_bytes()).unwrap();
        assert_eq!(read.header().algorithm, algorithm);
        assert_eq!(
            serde_json::from_value::<Algorithm>(name.into()).unwrap(),
            algorithm
        );
    }
    for other in ["none", "HS256", "ES256K", "Ed25519"] {
        assert_eq!(Algorithm::from_name(other), None);
        assert!(serde_json::from_value::<Algorithm>(other.into()).is_err());
    }
}
