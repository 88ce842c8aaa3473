//! Tokens that no method over a cloud's tokens may take: one test for each entry of the list, and for each method. Each token
//! is right but for one thing.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;

use assay_host_verifier::attestor::{Claims, Fault};
use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::jwt::MAX_TOKEN;
use assay_host_verifier::jwt::cache::{KeyCache, PAUSE};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::signer::Key;
use super::{Bench, Case, LEEWAY, but, check, claimed, token, world};
use crate::jwt::signer::{NOW, b64};

fn header(more: Value) -> String {
    let mut header = json!({"alg": "RS256", "kid": "k1", "typ": "JWT"});
    let more = more.as_object().unwrap().clone();
    header.as_object_mut().unwrap().extend(more);
    header.retain_given()
}

trait RetainGiven {
    fn retain_given(self) -> String;
}

impl RetainGiven for Value {
    /// Without the members that are `null`.
    fn retain_given(mut self) -> String {
        self.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        self.to_string()
    }
}

/// The check that fails for a token of this header, signed by the cloud.
fn headed<B: Bench>(more: Value) -> &'static str {
    check(token::<B>(
        &Key::rsa().sign(&header(more), &B::claims().to_string()),
    ))
}

pub(super) fn is_let_in<B: Bench>() -> Claims {
    claimed::<B>(&B::claims()).unwrap()
}

pub(super) fn alg_none<B: Bench>() {
    let claims = b64(B::claims().to_string());
    for (name, signature) in [("none", ""), ("None", "AA"), ("", "AA")] {
        let head = b64(header(json!({"alg": name})));
        let error = token::<B>(&format!("{head}.{claims}.{signature}")).unwrap_err();
        assert!(
            matches!(error.check, "token-algorithm" | "token-form"),
            "{error}"
        );
    }
    assert_eq!(headed::<B>(json!({"alg": "none"})), "token-algorithm");
}

/// With whatever of the public key somebody may take for a secret.
pub(super) fn alg_hs256<B: Bench>() {
    let jwk = Key::rsa().jwk("k1");
    let secrets = [
        jwk.to_string(),
        jwk["n"].as_str().unwrap().to_owned(),
        String::new(),
    ];
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let head = b64(header(json!({"alg": "HS256"})));
        let signed = format!("{head}.{}", b64(B::claims().to_string()));
        let mac = hmac::sign(&key, signed.as_bytes());
        let forged = format!("{signed}.{}", b64(mac));
        assert_eq!(check(token::<B>(&forged)), "token-algorithm");
    }
}

/// Rightly signed, by an algorithm that the cloud does not use.
pub(super) fn alg_rs512<B: Bench>() {
    let head = header(json!({"alg": "RS512"}));
    let signed = Key::rsa().sign_rs512(&head, &B::claims().to_string());
    assert_eq!(check(token::<B>(&signed)), "token-algorithm");
}

/// A P-384 key of somebody's under the name of the cloud's RSA key, and the other way round.
pub(super) fn key_confusion<B: Bench>() {
    let claims = B::claims();
    let forged = Key::p384().token("k1", &claims);
    let told = check(token::<B>(&forged));
    assert!(matches!(told, "token-key" | "token-algorithm"), "{told}");
    let world = world::<B>();
    world.has_key(B::source(), Key::p384().jwk("k1"));
    let payload = B::payload(&Key::rsa().token("k1", &claims));
    assert_eq!(check(Case::of::<B>().judge(&world, &payload)), "token-key");
}

/// The header names the key that it was signed with.
pub(super) fn key_in_the_header<B: Bench>() {
    let own = Key::other().jwk("k1");
    for more in [
        json!({"jwk": own}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/chain"}),
        json!({"x5c": ["AAAA"]}),
    ] {
        let forged = Key::other().sign(&header(more), &B::claims().to_string());
        assert_eq!(check(token::<B>(&forged)), "token-signature");
    }
}

pub(super) fn crit<B: Bench>() {
    assert_eq!(headed::<B>(json!({"crit": ["exp"]})), "token-critical");
    assert_eq!(headed::<B>(json!({"crit": []})), "token-critical");
}

pub(super) fn kid_missing<B: Bench>() {
    // Even where there is one key only.
    let world = world::<B>();
    let mut nameless = Key::rsa().jwk("");
    nameless.as_object_mut().unwrap().remove("kid");
    world.has_key(B::source(), nameless);
    let signed = Key::rsa().sign(&header(json!({"kid": null})), &B::claims().to_string());
    let result = Case::of::<B>().judge(&world, &B::payload(&signed));
    assert_eq!(check(result), "token-key-unknown");
}

pub(super) fn kid_unknown<B: Bench>() {
    let signed = Key::rsa().token("k2", &B::claims());
    let error = token::<B>(&signed).unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Refused, "token-key-unknown")
    );
}

/// The cloud as it is asked through the cache.
#[derive(Debug)]
struct Cached {
    cache: KeyCache,
    asked: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted(AtomicUsize);

#[async_trait::async_trait]
impl Fetch for Counted {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(&request.url, ErrorKind::Connect))
    }
}

#[async_trait::async_trait]
impl Fetch for Cached {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.asked.fetch(request).await
    }
}

#[async_trait::async_trait]
impl Outside for Cached {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        self.cache.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        NoOutside.take_join_token(digest, now).await
    }
}

/// Tokens with invented names of keys have the cloud asked once, and again after the pause.
pub(super) fn kid_flood<B: Bench>() {
    let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
    clock.advance(Duration::from_secs(86_400));
    let asked = Arc::new(Counted::default());
    let outside = Cached {
        cache: KeyCache::new(clock.clone(), asked.clone()),
        asked: asked.clone(),
    };
    let case = Case::of::<B>();
    let flood = |from: usize| {
        for nth in from..from + 20 {
            let forged = Key::other().token(&format!("kid-{nth}"), &B::claims());
            drop(case.judge(&outside, &B::payload(&forged)).unwrap_err());
        }
    };
    flood(0);
    assert_eq!(asked.0.load(Ordering::SeqCst), 1);
    clock.advance(PAUSE);
    flood(20);
    assert_eq!(asked.0.load(Ordering::SeqCst), 2);
}

pub(super) fn another_key<B: Bench>() {
    let forged = Key::other().token("k1", &B::claims());
    assert_eq!(check(token::<B>(&forged)), "token-signature");
}

pub(super) fn iss_look_alike<B: Bench>() {
    let issuer = B::claims()["iss"].as_str().unwrap().to_owned();
    for other in [
        format!("{issuer}/"),
        format!("{issuer}.evil.tld"),
        format!("{issuer}/evil"),
        issuer.replacen("https://", "http://", 1),
        issuer.to_uppercase(),
        format!(" {issuer}"),
        issuer[..issuer.len() - 1].to_owned(),
        String::new(),
    ] {
        let told = check(claimed::<B>(&but::<B>("iss", other.clone().into())));
        assert_eq!(told, "token-issuer", "{other:?}");
    }
    let told = check(claimed::<B>(&but::<B>("iss", Value::Null)));
    assert_eq!(told, "token-claims");
    let told = check(claimed::<B>(&but::<B>("iss", json!([issuer]))));
    assert_eq!(told, "token-form");
}

fn audience<B: Bench>() -> String {
    let claims = B::claims();
    let one = claims["aud"].as_str().or(claims["aud"][0].as_str());
    one.unwrap().to_owned()
}

pub(super) fn aud_array<B: Bench>() {
    let own = audience::<B>();
    assert!(claimed::<B>(&but::<B>("aud", json!([own]))).is_ok());
    assert!(claimed::<B>(&but::<B>("aud", json!(["urn:other", own]))).is_ok());
    for wrong in [json!([]), json!(["urn:other"])] {
        assert_eq!(
            check(claimed::<B>(&but::<B>("aud", wrong))),
            "token-audience"
        );
    }
    for wrong in [json!([own, 1]), json!([[own]]), json!({"a": own}), json!(7)] {
        assert_eq!(check(claimed::<B>(&but::<B>("aud", wrong))), "token-form");
    }
}

pub(super) fn aud_mismatch<B: Bench>() {
    // Of another trust domain, and the one that all deployments of another product have in common.
    for other in [
        "urn:assay:example.com:server",
        "urn:defakto:security:server",
        "",
    ] {
        assert_eq!(
            check(claimed::<B>(&but::<B>("aud", other.into()))),
            "token-audience"
        );
    }
    assert_eq!(
        check(claimed::<B>(&but::<B>("aud", Value::Null))),
        "token-claims"
    );
}

pub(super) fn aud_prefix<B: Bench>() {
    let own = audience::<B>();
    for other in [
        format!("{own}:"),
        format!("{own}/x"),
        format!("x{own}"),
        own[..own.len() - 1].to_owned(),
        own.to_uppercase(),
    ] {
        let told = check(claimed::<B>(&but::<B>("aud", other.clone().into())));
        assert_eq!(told, "token-audience", "{other}");
    }
}

pub(super) fn exp_edges<B: Bench>() {
    let exp = |at: Value| claimed::<B>(&but::<B>("exp", at));
    assert!(exp((NOW - LEEWAY + 1).into()).is_ok());
    assert_eq!(check(exp((NOW - LEEWAY).into())), "token-expired");
    assert_eq!(check(exp(Value::Null)), "token-claims");
    for wrong in [
        json!("2030-01-01"),
        json!([NOW + 60]),
        json!(-1),
        json!(1e300),
    ] {
        assert_eq!(check(exp(wrong)), "token-form");
    }
}

pub(super) fn nbf_edges<B: Bench>() {
    let nbf = |at: Value| claimed::<B>(&but::<B>("nbf", at));
    assert!(nbf((NOW + LEEWAY).into()).is_ok());
    assert_eq!(check(nbf((NOW + LEEWAY + 1).into())), "token-not-yet");
    assert!(nbf(Value::Null).is_ok());
    assert_eq!(check(nbf(json!("0"))), "token-form");
}

pub(super) fn iat_edges<B: Bench>() {
    let iat = |at: Value| claimed::<B>(&but::<B>("iat", at));
    assert!(iat((NOW + LEEWAY).into()).is_ok());
    assert_eq!(check(iat((NOW + LEEWAY + 1).into())), "token-not-yet");
    assert_eq!(check(iat(json!("0"))), "token-form");
}

pub(super) fn max_token_age<B: Bench>() {
    let mut config = B::config();
    config["maxTokenAge"] = "100s".into();
    let case = Case::with(B::KIND, config);
    let world = world::<B>();
    let judged = |iat: Value| {
        let signed = Key::rsa().token("k1", &but::<B>("iat", iat));
        case.judge(&world, &B::payload(&signed))
    };
    assert!(judged((NOW - 100 - LEEWAY).into()).is_ok());
    assert_eq!(check(judged((NOW - 101 - LEEWAY).into())), "token-age");
    assert_eq!(check(judged(Value::Null)), "token-claims");
}

pub(super) fn oversized<B: Bench>() {
    let mut claims = B::claims();
    claims["padding"] = "x".repeat(MAX_TOKEN).into();
    let error = claimed::<B>(&claims).unwrap_err();
    assert_eq!(error.fault, Fault::Malformed);
    assert!(
        matches!(error.check, "token-size" | "payload-malformed"),
        "{error}"
    );
}

/// Two readings under one signature.
pub(super) fn duplicate_keys<B: Bench>() {
    let claims = B::claims().to_string();
    let rest = claims.strip_prefix('{').unwrap();
    for first in [
        r#""aud":"urn:other""#,
        r#""exp":1"#,
        r#""sub":"other""#,
        r#""iss":"https://evil.example""#,
    ] {
        let signed = Key::rsa().sign(&header(json!({})), &format!("{{{first},{rest}"));
        assert_eq!(check(token::<B>(&signed)), "token-form", "{first}");
    }
    let twice = r#"{"alg":"RS256","kid":"k1","kid":"k1"}"#;
    assert_eq!(
        check(token::<B>(&Key::rsa().sign(twice, &claims))),
        "token-form"
    );
}

pub(super) fn typ<B: Bench>() {
    assert_eq!(headed::<B>(json!({"typ": "at+jwt"})), "token-type");
    let signed = Key::rsa().sign(&header(json!({"typ": null})), &B::claims().to_string());
    assert!(token::<B>(&signed).is_ok());
}

/// One test for each entry, for one method.
macro_rules! negatives {
    ($bench:ty: $($entry:ident),* $(,)?) => {
        #[test]
        fn a_token_that_is_all_right_is_let_in() {
            crate::cloud_tokens::negatives::is_let_in::<$bench>();
        }

        $(#[test]
        fn $entry() {
            crate::cloud_tokens::negatives::$entry::<$bench>();
        })*
    };
    ($bench:ty) => {
        crate::cloud_tokens::negatives::negatives! {
            $bench: alg_none, alg_hs256, alg_rs512, key_confusion, key_in_the_header, crit, kid_missing, kid_unknown,
            kid_flood, another_key, iss_look_alike, aud_array, aud_mismatch, aud_prefix, exp_edges, nbf_edges, iat_edges,
            max_token_age, oversized, duplicate_keys, typ,
        }
    };
}
pub(crate) use negatives;
