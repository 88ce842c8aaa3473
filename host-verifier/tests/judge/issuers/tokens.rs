//! `custom_jwt` and `k8s_token`: what the methods ask beyond the engine, and where the key comes from. Each refused token is
//! right but for one thing.

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Claims, Fault};
use assay_host_verifier::outside::{NoOutside, Outside};
use serde_json::{Value, json};

use super::{Judgement, World, attestor, judge};
use crate::jwt::signer::{NOW, Signer};
use crate::pki::Pki;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn named(signer: &Signer, kid: &str) -> Value {
    let mut key = signer.jwk();
    key["kid"] = kid.into();
    key
}

fn sign(signer: &Signer, claims: &Value) -> String {
    signer.sign(r#"{"alg":"EdDSA","kid":"abc123"}"#, &claims.to_string())
}

/// A service account token as Kubernetes 1.30 makes it.
fn pod_token() -> Value {
    json!({
        "iss": ISSUER,
        "aud": ["urn:assay:example.org:server"],
        "sub": "system:serviceaccount:spirl-system:spirl-agent",
        "iat": NOW, "nbf": NOW, "exp": NOW + 600,
        "jti": "0d9f9b5e-8f4b-4a3f-a3e8-7c2e5a1c9c10",
        "kubernetes.io": {
            "namespace": "spirl-system",
            "node": {"name": "worker-1", "uid": "6fae9a6c"},
            "pod": {"name": "agent-x", "uid": "1f8d43a5"},
            "serviceaccount": {"name": "spirl-agent", "uid": "51e5d3c2"},
        },
    })
}

fn inline(extra: Value) -> Value {
    let keys = json!({"keys": [named(&Signer::new(1), "abc123")]}).to_string();
    let mut config = json!({"issuerURL": ISSUER, "jwks": keys});
    for (name, value) in extra.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn k8s(config: Value, claims: &Value) -> Result<Claims, AttestError> {
    let attestor = attestor(AttestorKind::K8S_TOKEN, config).unwrap();
    let token = sign(&Signer::new(1), claims);
    let payload = json!({"token": token}).to_string();
    judge(&*attestor, &World::default(), payload.as_bytes()).result
}

#[test]
fn a_pods_token_passes_and_gives_no_attribute() {
    let claims = k8s(inline(json!({})), &pod_token()).unwrap();
    assert!(claims.attributes.is_empty());
    let identity = claims.facts.identity.unwrap();
    assert_eq!(identity, format!("{ISSUER}#node/6fae9a6c"));
}

#[test]
fn the_node_is_known_by_the_best_name_that_the_token_gives() {
    let mut claims = pod_token();
    claims["kubernetes.io"]
        .as_object_mut()
        .unwrap()
        .remove("node");
    let identity = k8s(inline(json!({})), &claims).unwrap().facts.identity;
    assert_eq!(identity, Some(format!("{ISSUER}#pod/1f8d43a5")));
    claims.as_object_mut().unwrap().remove("kubernetes.io");
    let identity = k8s(inline(json!({})), &claims).unwrap().facts.identity;
    let subject = "system:serviceaccount:spirl-system:spirl-agent";
    assert_eq!(identity, Some(format!("{ISSUER}#{subject}")));
}

#[test]
fn each_claim_of_a_pods_token_counts() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 12] = [
        ("token-issuer", |c| {
            c["iss"] = "https://other.example".into()
        }),
        // A token for the API server, which every workload has.
        ("token-audience", |c| c["aud"] = json!([ISSUER])),
        ("token-claims", |c| {
            drop(c.as_object_mut().unwrap().remove("aud"))
        }),
        ("token-subject", |c| {
            c["sub"] = "system:serviceaccount:default:spirl-agent".into()
        }),
        ("token-subject", |c| {
            c["sub"] = "system:serviceaccount:spirl-system:other".into()
        }),
        ("token-expired", |c| c["exp"] = (NOW - 60).into()),
        ("token-claims", |c| {
            drop(c.as_object_mut().unwrap().remove("exp"))
        }),
        ("token-not-yet", |c| c["nbf"] = (NOW + 61).into()),
        ("token-kubernetes", |c| {
            c["kubernetes.io"]["namespace"] = "default".into()
        }),
        ("token-kubernetes", |c| {
            c["kubernetes.io"]["serviceaccount"]["name"] = "x".into()
        }),
        ("token-kubernetes", |c| {
            c["kubernetes.io"]["serviceaccount"] = Value::Null
        }),
        ("token-kubernetes", |c| c["kubernetes.io"] = "x".into()),
    ];
    for (check, change) in changes {
        let mut claims = pod_token();
        change(&mut claims);
        let error = k8s(inline(json!({})), &claims).unwrap_err();
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
        let text = "JWT verification failed: ";
        assert!(error.detail.starts_with(text), "{error}");
    }
}

#[test]
fn a_binding_is_required_where_the_policy_says_so() {
    for (required, claim) in [("pod", "pod"), ("node", "node")] {
        let config = inline(json!({"requireBound": required}));
        assert!(k8s(config.clone(), &pod_token()).is_ok());
        for lacking in [Value::Null, json!({"name": "x"}), json!({"uid": ""})] {
            let mut claims = pod_token();
            claims["kubernetes.io"][claim] = lacking;
            let error = k8s(config.clone(), &claims).unwrap_err();
            assert_eq!(error.check, "token-kubernetes");
        }
    }
    let config = inline(json!({"maxLifetime": "599s"}));
    let error = k8s(config, &pod_token()).unwrap_err();
    assert_eq!(error.check, "token-lifetime");
}

/// The three texts that operators know from the method's page.
#[test]
fn errors_have_the_texts_of_the_methods_page() {
    let other = Signer::new(2);
    let attest = |config: Value, token: String, world: &dyn Outside| -> Judgement {
        let attestor = attestor(AttestorKind::K8S_TOKEN, config).unwrap();
        let payload = json!({"token": token}).to_string();
        judge(&*attestor, world, payload.as_bytes())
    };
    let token = other.sign(r#"{"alg":"EdDSA","kid":"new"}"#, &pod_token().to_string());
    let error = attest(inline(json!({})), token, &World::default())
        .result
        .unwrap_err();
    assert_eq!(error.detail, "key \"new\" not found in inline JWKS");
    assert_eq!(
        (error.fault, error.check),
        (Fault::Refused, "token-key-unknown")
    );

    let error = attest(
        inline(json!({})),
        sign(&other, &pod_token()),
        &World::default(),
    );
    let error = error.result.unwrap_err();
    assert_eq!(
        error.detail,
        "JWT verification failed: the signature does not verify"
    );

    let config = json!({"issuerURL": ISSUER, "jwksURI": "https://jwks.example.org/keys"});
    let world = World::default();
    let error = attest(config, sign(&other, &pod_token()), &world)
        .result
        .unwrap_err();
    assert_eq!(
        error.detail,
        "key \"abc123\" not found at https://jwks.example.org"
    );

    let config = json!({"issuerURL": ISSUER, "jwksURI": "https://jwks.example.org/keys"});
    let error = attest(config, sign(&other, &pod_token()), &NoOutside)
        .result
        .unwrap_err();
    let text = "failed to fetch signing key: https://jwks.example.org: no outside calls here";
    assert_eq!((error.check, error.detail.as_str()), ("token-keys", text));
}

#[test]
fn a_published_key_is_asked_for_and_its_answer_is_kept() {
    let world = World::default();
    let url = "https://jwks.example.org/keys";
    world.has_key(url, named(&Signer::new(1), "abc123"));
    let config = json!({"issuerURL": ISSUER, "jwksURI": url});
    let attestor = attestor(AttestorKind::K8S_TOKEN, config).unwrap();
    let token = sign(&Signer::new(1), &pod_token());
    let payload = json!({"token": token}).to_string();
    let judged = judge(&*attestor, &world, payload.as_bytes());
    assert!(judged.result.is_ok());
    let kept = String::from_utf8(judged.kept.unwrap()).unwrap();
    let answer: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(answer["source"], url);
    assert!(!kept.contains(&token) && !kept.contains(token.rsplit_once('.').unwrap().1));
    // The key of somebody else under the same name.
    world.has_key(url, named(&Signer::new(2), "abc123"));
    let error = judge(&*attestor, &world, payload.as_bytes())
        .result
        .unwrap_err();
    assert_eq!(error.check, "token-signature");
}

#[test]
fn the_payload_is_one_member_and_nothing_else() {
    let attestor = attestor(AttestorKind::K8S_TOKEN, inline(json!({}))).unwrap();
    let token = sign(&Signer::new(1), &pod_token());
    for payload in [
        token.clone(),
        "{}".to_owned(),
        json!({"token": token, "x": 1}).to_string(),
        format!(r#"{{"token":"{token}","token":"{token}"}}"#),
        json!({"token": [token]}).to_string(),
        format!("{}x", json!({"token": token})),
        json!({"token": "x".repeat(20_000)}).to_string(),
    ] {
        let error = judge(&*attestor, &World::default(), payload.as_bytes());
        let error = error.result.unwrap_err();
        assert_eq!(
            (error.fault, error.check),
            (Fault::Malformed, "payload-malformed")
        );
        assert!(!error.detail.contains(&token));
    }
    let good = json!({"token": token}).to_string();
    for cut in 0..good.len() {
        let judged = judge(&*attestor, &World::default(), &good.as_bytes()[..cut]);
        assert_eq!(judged.result.unwrap_err().fault, Fault::Malformed, "{cut}");
    }
}

fn custom(extra: Value) -> Value {
    let keys = json!({"keys": [named(&Signer::new(1), "abc123")]}).to_string();
    let mut config = json!({"issuer": ISSUER, "jwks": keys});
    for (name, value) in extra.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn custom_judged(config: Value, claims: &Value) -> Result<Claims, AttestError> {
    let attestor = attestor(AttestorKind::CUSTOM_JWT, config).unwrap();
    let token = sign(&Signer::new(1), claims);
    judge(&*attestor, &World::default(), token.as_bytes()).result
}

#[test]
fn claims_become_attributes() {
    let mut claims = pod_token();
    claims["environment"] = "production".into();
    claims["groups"] = json!(["a", "b"]);
    claims["level"] = json!(3);
    let named = json!(["sub", "environment", "groups", "level", "absent"]);
    let config = custom(json!({"attributeClaims": named}));
    let proven = custom_judged(config.clone(), &claims).unwrap();
    let said: Vec<_> = proven.attributes.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"custom_jwt:custom_jwt.sub="system:serviceaccount:spirl-system:spirl-agent""#,
            r#"custom_jwt:custom_jwt.environment="production""#,
            r#"custom_jwt:custom_jwt.groups="a""#,
            r#"custom_jwt:custom_jwt.groups="b""#,
            r#"custom_jwt:custom_jwt.level="3""#,
        ]
    );
    let subject = claims["sub"].as_str().unwrap();
    assert_eq!(proven.facts.identity, Some(format!("{ISSUER}#{subject}")));
    for wrong in [
        json!({"a": 1}),
        json!([["a"]]),
        json!(["a", null]),
        json!("x".repeat(513)),
        json!(vec!["a"; 33]),
    ] {
        claims["environment"] = wrong.clone();
        let error = custom_judged(config.clone(), &claims).unwrap_err();
        assert_eq!(error.check, "token-attribute-claim", "{wrong}");
    }
}

#[test]
fn required_claims_are_required_whole() {
    let config =
        custom(json!({"requiredClaims": {"environment": ["staging", "production"], "tier": "1"}}));
    let with = |environment: Value, tier: Value| {
        let mut claims = pod_token();
        claims["environment"] = environment;
        claims["tier"] = tier;
        custom_judged(config.clone(), &claims).map_err(|error| error.check)
    };
    assert!(with(json!("production"), json!(1)).is_ok());
    assert!(with(json!(["x", "staging"]), json!("1")).is_ok());
    for (environment, tier) in [
        (json!("production2"), json!(1)),
        (json!("Production"), json!(1)),
        (json!(""), json!(1)),
        (json!([]), json!(1)),
        (Value::Null, json!(1)),
        (json!({"production": true}), json!(1)),
        (json!("production"), json!(2)),
    ] {
        let told = with(environment.clone(), tier).unwrap_err();
        assert_eq!(told, "token-required-claim", "{environment}");
    }
    let mut claims = pod_token();
    claims["environment"] = "production".into();
    let error = custom_judged(config, &claims).unwrap_err();
    assert_eq!(error.check, "token-required-claim", "tier is absent");
}

#[test]
fn a_token_travels_bare_or_in_an_object() {
    let attestor = attestor(AttestorKind::CUSTOM_JWT, custom(json!({}))).unwrap();
    let token = sign(&Signer::new(1), &pod_token());
    for payload in [token.clone(), json!({"token": token}).to_string()] {
        let judged = judge(&*attestor, &World::default(), payload.as_bytes());
        assert!(judged.result.is_ok(), "{payload}");
    }
    for payload in [String::new(), format!("{token}\n"), format!(" {token}")] {
        let judged = judge(&*attestor, &World::default(), payload.as_bytes());
        assert_eq!(judged.result.unwrap_err().fault, Fault::Malformed);
    }
}

/// PEM keys have no names: a token is of one of them, or of none.
#[test]
fn any_of_the_pem_keys_may_be_the_tokens() {
    let pki = Pki::new();
    let mut pems = Vec::new();
    for kind in ["rsa2048", "p256", "ed25519"] {
        pki.key(kind, kind);
        let pem = pki.openssl(&format!("pkey -in {kind}.key -pubout"));
        pems.push(String::from_utf8(pem).unwrap());
    }
    let config = json!({"issuer": ISSUER, "publicKeys": pems});
    let attestor = attestor(AttestorKind::CUSTOM_JWT, config).unwrap();
    let private = std::fs::read(pki.path("p256.key")).unwrap();
    let private = jsonwebtoken::EncodingKey::from_ec_pem(&private).unwrap();
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some("whatever".to_owned());
    let token = jsonwebtoken::encode(&header, &pod_token(), &private).unwrap();
    let judged = judge(&*attestor, &World::default(), token.as_bytes());
    assert!(judged.result.is_ok());
    let foreign = sign(&Signer::new(9), &pod_token());
    let error = judge(&*attestor, &World::default(), foreign.as_bytes()).result;
    assert_eq!(error.unwrap_err().check, "token-signature");
    // It is the right key's, and expired: no other key is to blame.
    let mut over = pod_token();
    over["exp"] = (NOW - 100).into();
    let token = jsonwebtoken::encode(&header, &over, &private).unwrap();
    let error = judge(&*attestor, &World::default(), token.as_bytes()).result;
    assert_eq!(error.unwrap_err().check, "token-expired");
}
