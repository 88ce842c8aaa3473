//! What a verified token must say. Each token is right but for one claim.

use core::time::Duration;

use assay_host_verifier::jwt::{
    Algorithm, Claims, Expectations, JwkProblem, JwtError, Prepared, judge,
};
use serde_json::{Value, json};

use super::signer::{NOW, Signer, audience, but, expected, fault, good, judged, now};

/// The fault of a token with these claims.
fn told(claims: &Value) -> JwtError {
    let signer = Signer::new(1);
    fault(&signer.token(claims), &signer.jwk())
}

fn passes(claims: &Value) -> bool {
    let signer = Signer::new(1);
    judged(&signer.token(claims), &signer.jwk()).is_ok()
}

/// Judged with other expectations.
fn with(
    claims: &Value,
    header: &str,
    change: impl FnOnce(&mut Expectations<'_>),
) -> Result<Claims<'static>, JwtError> {
    let signer = Signer::new(1);
    let audiences = audience();
    let mut expected = expected(&audiences);
    change(&mut expected);
    let judged = judge(
        signer.sign(header, &claims.to_string()).as_bytes(),
        signer.jwk().to_string().as_bytes(),
        &Prepared::default(),
        &expected,
        now(),
    );
    judged.map_err(|error| match error {
        JwkProblem::Token(error) => error,
        JwkProblem::Jwk(error) => panic!("{error}"),
    })
}

const PLAIN: &str = r#"{"alg":"EdDSA"}"#;

/// CVE-2026-22772: an issuer is compared byte for byte, neither as a pattern nor as a URL.
#[test]
fn the_issuer_is_exact() {
    for other in [
        "https://issuer.example.org/",
        "https://ISSUER.example.org",
        "https://issuer.example.org.evil.example",
        "https://issuerXexample.org",
        "http://issuer.example.org",
        "https://issuer.example.org:443",
        " https://issuer.example.org",
        "",
    ] {
        let error = told(&but("iss", other.into()));
        assert!(matches!(error, JwtError::Issuer { .. }), "{other}: {error}");
    }
    assert_eq!(
        told(&but("iss", Value::Null)),
        JwtError::Missing("issuer (iss)")
    );
    let list = told(&but("iss", json!(["https://issuer.example.org"])));
    assert!(matches!(list, JwtError::Member { name: "iss", .. }));
}

/// A token without an audience passes a common library's check of it.
#[test]
fn the_audience_is_required_and_whole() {
    assert_eq!(
        told(&but("aud", Value::Null)),
        JwtError::Missing("audience (aud)")
    );
    for other in [
        json!("assays"),
        json!("ASSAY"),
        json!(""),
        json!([]),
        json!(["a", "b"]),
    ] {
        let error = told(&but("aud", other.clone()));
        assert!(
            matches!(error, JwtError::Audience { .. }),
            "{other}: {error}"
        );
    }
    for wrong in [
        json!(1),
        json!({"assay": true}),
        json!(["assay", 1]),
        json!([["assay"]]),
    ] {
        let error = told(&but("aud", wrong.clone()));
        assert!(
            matches!(error, JwtError::Member { name: "aud", .. }),
            "{wrong}: {error}"
        );
    }
    assert!(passes(&but("aud", json!(["other", "assay"]))));
    let nobody = with(&good(), PLAIN, |expected| expected.audiences = &[]);
    assert!(matches!(nobody, Err(JwtError::Audience { .. })));
}

#[test]
fn the_subject_is_exact_where_one_is_expected() {
    let wants = |claims: &Value| with(claims, PLAIN, |e| e.subject = Some("node-7"));
    assert!(wants(&good()).is_ok());
    for other in ["node-70", "Node-7", ""] {
        let error = wants(&but("sub", other.into())).unwrap_err();
        assert!(
            matches!(error, JwtError::Subject { .. }),
            "{other}: {error}"
        );
    }
    let none = wants(&but("sub", Value::Null)).unwrap_err();
    assert_eq!(none, JwtError::Missing("subject (sub)"));
    assert!(passes(&but("sub", Value::Null)), "none is expected");
    let number = told(&but("sub", json!(7)));
    assert!(matches!(number, JwtError::Member { name: "sub", .. }));
}

/// SPIRE 1.11.3: a token without an end was taken.
#[test]
fn an_end_is_required_and_kept() {
    assert_eq!(
        told(&but("exp", Value::Null)),
        JwtError::Missing("expiry (exp)")
    );
    assert!(passes(&but("exp", json!(NOW - 29))), "within the leeway");
    for over in [NOW - 30, NOW - 31, 0] {
        let error = told(&but("exp", json!(over)));
        assert!(matches!(error, JwtError::Expired(_)), "{over}: {error}");
    }
}

/// CVE-2026-25537: a text where a number belongs counted as absent.
#[test]
fn times_are_numbers_and_nothing_else() {
    for name in ["exp", "nbf", "iat"] {
        for wrong in [
            json!(NOW.to_string()),
            json!(true),
            json!([NOW]),
            json!({}),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MAX),
        ] {
            let error = told(&but(name, wrong.clone()));
            assert!(
                matches!(error, JwtError::Member { .. }),
                "{name} {wrong}: {error}"
            );
        }
        let null = good().to_string().replacen('{', "{\"zzz\":1,", 1);
        let mut claims: Value = serde_json::from_str(&null).unwrap();
        claims[name] = Value::Null;
        let error = told(&claims);
        assert!(
            matches!(error, JwtError::Member { .. }),
            "{name} null: {error}"
        );
    }
    assert!(
        passes(&but("exp", json!(NOW as f64 + 0.5))),
        "fractions are allowed"
    );
}

#[test]
fn a_token_from_the_future_is_refused() {
    for name in ["nbf", "iat"] {
        assert!(passes(&but(name, json!(NOW + 30))), "within the leeway");
        assert!(passes(&but(name, Value::Null)), "not required");
    }
    assert!(matches!(
        told(&but("nbf", json!(NOW + 31))),
        JwtError::NotYet(_)
    ));
    assert!(matches!(
        told(&but("iat", json!(NOW + 31))),
        JwtError::FromTheFuture(_)
    ));
}

#[test]
fn no_leeway_is_longer_than_five_minutes() {
    let generous = |exp: i64| {
        with(&but("exp", json!(exp)), PLAIN, |e| {
            e.leeway = Duration::from_secs(86_400)
        })
    };
    assert!(generous(NOW - 299).is_ok());
    assert!(matches!(generous(NOW - 300), Err(JwtError::Expired(_))));
}

#[test]
fn a_lifetime_has_an_end_where_one_is_set() {
    let limited = |claims: &Value| {
        with(claims, PLAIN, |e| {
            e.max_lifetime = Some(Duration::from_secs(610))
        })
    };
    assert!(limited(&good()).is_ok());
    let error = limited(&but("iat", json!(NOW - 11))).unwrap_err();
    assert_eq!(
        error,
        JwtError::Lifetime {
            found: 611,
            most: 610
        }
    );
    let error = limited(&but("iat", Value::Null)).unwrap_err();
    assert_eq!(error, JwtError::Missing("issue time (iat)"));
}

/// An access token or a logout token of the same issuer, with the same audience, is something else.
#[test]
fn the_type_is_the_expected_one() {
    let typed = |typ: &str, wanted: Option<&'static str>| {
        let header = json!({"alg": "EdDSA", "typ": typ}).to_string();
        with(&good(), &header, |e| e.typ = wanted)
    };
    for typ in ["JWT", "jwt", "application/jwt"] {
        assert!(typed(typ, None).is_ok(), "{typ}");
    }
    for typ in [
        "at+jwt",
        "logout+jwt",
        "JOSE",
        "text/jwt",
        "application/application/jwt",
    ] {
        assert!(
            matches!(typed(typ, None), Err(JwtError::Type { .. })),
            "{typ}"
        );
    }
    for typ in ["at+jwt", "application/at+JWT"] {
        assert!(typed(typ, Some("at+jwt")).is_ok(), "{typ}");
    }
    assert!(matches!(
        typed("JWT", Some("at+jwt")),
        Err(JwtError::Type { .. })
    ));
    assert!(with(&good(), PLAIN, |e| e.typ = None).is_ok(), "absent");
    let absent = with(&good(), PLAIN, |e| e.typ = Some("at+jwt"));
    assert!(matches!(absent, Err(JwtError::Type { .. })));
}

#[test]
fn algorithms_can_be_narrowed() {
    let only = |algorithms: &'static [Algorithm]| {
        with(&good(), PLAIN, |e| e.algorithms = Some(algorithms))
    };
    assert!(only(&[Algorithm::RS256, Algorithm::EdDsa]).is_ok());
    for without in [&[][..], &[Algorithm::RS256]] {
        let error = only(without).unwrap_err();
        assert_eq!(error, JwtError::AlgorithmNotAllowed(Algorithm::EdDsa));
    }
}
