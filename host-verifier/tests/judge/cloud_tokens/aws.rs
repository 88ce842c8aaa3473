//! `aws_token`: a token of STS, and what a policy may ask of the principal that it names.

use std::path::Path;

use assay_common::login::{Direction, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::{self, deserialize_config};
use assay_host_verifier::attestor::{AttestError, Claims, Fault};
use assay_host_verifier::cloud::{Clouds, TokenIssuers};
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::outside::NoOutside;
use serde_json::{Value, json};

use super::signer::Key;
use super::{Bench, Case, but, check, claimed, token, world};
use crate::issuers::attestor;
use crate::jwt::signer::NOW;
use crate::pki::Pki;

const ISSUER: &str = "https://0f8fad5b-d9cb-469f-a165-70867728950e.tokens.sts.global.api.aws";
const OTHER: &str = "https://7c9e6679-7425-40de-944b-e07fc1f90ae7.tokens.sts.global.api.aws";
const STS: &str = "https://sts.amazonaws.com/";
const INSTANCE: &str = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc123def4567890";
const ROLE: &str = "arn:aws:iam::123456789012:role/nodes/rack-7";

pub(crate) struct Aws;

impl Bench for Aws {
    const KIND: AttestorKind = AttestorKind::AWS_TOKEN;

    fn config() -> Value {
        json!({"issuerURLs": [OTHER, ISSUER]})
    }

    fn source() -> &'static str {
        ISSUER
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER,
            "aud": "urn:assay:example.org:server",
            "sub": ROLE,
            "iat": NOW - 10,
            "exp": NOW + 50,
            "jti": "4f3c2b1a-0000-4000-8000-000000000001",
            (STS): {
                "aws_account": "123456789012",
                "source_region": "eu-west-1",
                "org_id": "o-a1b2c3d4e5",
                "ou_path": ["o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"],
                "principal_id": ROLE,
                "principal_tags": {"Environment": "production", "Team": "platform"},
                "request_tags": {"rack": "7"},
                "ec2_source_instance_arn": INSTANCE,
                "ec2_instance_source_vpc": "vpc-12345678",
                "ec2_instance_source_private_ipv4": "10.0.0.7",
                "ec2_role_delivery": "2.0",
                "original_session_exp": "2026-11-22T18:00:00Z",
            },
        })
    }

    fn payload(token: &str) -> Vec<u8> {
        token.as_bytes().to_vec()
    }
}

mod negatives {
    crate::cloud_tokens::negatives::negatives!(super::Aws);
}

/// The claims with another member of STS's own claim; `null` takes it away.
fn sts(name: &str, value: Value) -> Value {
    let mut claims = Aws::claims();
    match value {
        Value::Null => drop(claims[STS].as_object_mut().unwrap().remove(name)),
        value => claims[STS][name] = value,
    }
    claims
}

/// Judged with more settings.
fn with(more: Value, claims: &Value) -> Result<Claims, AttestError> {
    let mut config = Aws::config();
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    let payload = Key::rsa().token("k1", claims);
    Case::with(Aws::KIND, config).judge(&world::<Aws>(), payload.as_bytes())
}

fn said(claims: &Claims) -> Vec<String> {
    claims.attributes.iter().map(ToString::to_string).collect()
}

#[test]
fn attributes_are_named_as_the_documents_of_the_method_name_them() {
    let claims = claimed::<Aws>(&Aws::claims()).unwrap();
    assert_eq!(
        said(&claims),
        [
            r#"aws_token:aws_token.account.id="123456789012""#,
            r#"aws_token:aws_token.org.id="o-a1b2c3d4e5""#,
            r#"aws_token:aws_token.source_region="eu-west-1""#,
            &format!("aws_token:aws_token.principal_arn={ROLE:?}"),
            &format!("aws_token:aws_token.ec2.instance.arn={INSTANCE:?}"),
            r#"aws_token:aws_token.ec2.instance.id="i-0abc123def4567890""#,
            r#"aws_token:aws_token.ou_path="o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/""#,
            r#"aws_token:aws_token.principal_tags.Environment="production""#,
            r#"aws_token:aws_token.principal_tags.Team="platform""#,
            r#"aws_token:aws_token.request_tags.rack="7""#,
        ]
    );
    assert_eq!(claims.facts.identity.as_deref(), Some(INSTANCE));
    for attribute in &claims.attributes {
        let known = registry::may_give(Aws::KIND, &attribute.name);
        assert_eq!(known, Some(true), "{}", attribute.name);
    }
}

#[test]
fn what_a_token_lacks_is_no_attribute() {
    let mut claims = Aws::claims();
    claims[STS] = json!({"aws_account": "123456789012"});
    let claims = claimed::<Aws>(&claims).unwrap();
    assert_eq!(
        said(&claims),
        [
            r#"aws_token:aws_token.account.id="123456789012""#,
            &format!("aws_token:aws_token.principal_arn={ROLE:?}"),
        ]
    );
    assert_eq!(claims.facts.identity.as_deref(), Some(ROLE));
}

#[test]
fn functions_and_users_are_attributes_too() {
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:rack";
    let mut claims = sts("ec2_source_instance_arn", Value::Null);
    claims[STS]["lambda_source_function_arn"] = function.into();
    claims[STS]["identity_store_user_id"] = "906731ab".into();
    let claims = claimed::<Aws>(&claims).unwrap();
    let said = said(&claims);
    let has = |text: String| assert!(said.contains(&text), "{text}: {said:?}");
    has(format!(
        "aws_token:aws_token.lambda.function.arn={function:?}"
    ));
    has(r#"aws_token:aws_token.identity_store_user_id="906731ab""#.to_owned());
    assert_eq!(claims.facts.identity.as_deref(), Some(function));
}

/// AWS's page shows a text, its tokens have a list.
#[test]
fn a_path_of_units_is_a_text_or_a_list() {
    let paths = |value: Value| {
        let claims = claimed::<Aws>(&sts("ou_path", value))?;
        let paths = claims.attributes.into_iter();
        let paths = paths.filter(|a| a.name == "aws_token.ou_path");
        Ok::<_, AttestError>(paths.map(|a| a.value).collect::<Vec<_>>())
    };
    assert_eq!(paths(json!("o-1/r-1/")).unwrap(), ["o-1/r-1/"]);
    assert_eq!(paths(json!(["a", "b"])).unwrap(), ["a", "b"]);
    assert!(paths(json!([])).unwrap().is_empty());
    for wrong in [
        json!(1),
        json!([1]),
        json!(["a", ["b"]]),
        json!(vec!["a"; 65]),
    ] {
        assert_eq!(paths(wrong).unwrap_err().check, "token-sts");
    }
}

/// The caller writes them; nothing that is decided may come of them.
#[test]
fn a_request_tag_is_no_principal_tag() {
    let required = json!({"requiredPrincipalTags": {"Environment": "production"}});
    assert!(with(required.clone(), &Aws::claims()).is_ok());
    let mut claims = sts("principal_tags", json!({"Team": "platform"}));
    for spoof in [
        json!({"Environment": "production"}),
        json!({"principal_tags.Environment": "production"}),
        json!({"../principal_tags.Environment": "production"}),
    ] {
        claims[STS]["request_tags"] = spoof.clone();
        assert_eq!(
            check(with(required.clone(), &claims)),
            "principal-tag",
            "{spoof}"
        );
        // What they are named after is under their own name.
        let claims = claimed::<Aws>(&claims).unwrap();
        let names = claims.attributes.iter().map(|a| &*a.name);
        let principal: Vec<_> = names
            .filter(|n| n.starts_with("aws_token.principal_tags."))
            .collect();
        assert_eq!(principal, ["aws_token.principal_tags.Team"]);
    }
    claims[STS]
        .as_object_mut()
        .unwrap()
        .remove("principal_tags");
    assert_eq!(check(with(required, &claims)), "principal-tag");
}

#[test]
fn each_required_tag_is_there_with_one_of_its_values() {
    let required = json!({"requiredPrincipalTags": {"Environment": ["staging", "production"], "Team": "platform"}});
    let tagged = |tags: Value| with(required.clone(), &sts("principal_tags", tags));
    assert!(tagged(json!({"Environment": "staging", "Team": "platform"})).is_ok());
    for tags in [
        json!({"Environment": "staging"}),
        json!({"Environment": "dev", "Team": "platform"}),
        json!({"environment": "staging", "Team": "platform"}),
        json!({"Environment": "", "Team": "platform"}),
        json!({}),
    ] {
        assert_eq!(check(tagged(tags.clone())), "principal-tag", "{tags}");
    }
    for tags in [
        json!({"Team": 1}),
        json!(["Team"]),
        json!({"Team": ["platform"]}),
    ] {
        assert_eq!(check(tagged(tags.clone())), "token-sts", "{tags}");
    }
}

#[test]
fn the_subject_is_a_principal_of_the_account() {
    for subject in [
        "arn:aws:iam::999999999999:role/nodes/rack-7",
        "arn:aws:sts::999999999999:assumed-role/nodes/s",
    ] {
        let told = check(claimed::<Aws>(&but::<Aws>("sub", subject.into())));
        assert_eq!(told, "token-account", "{subject}");
    }
    for subject in [
        "123456789012",
        "arn:aws:iam::123456789012",
        "arn:aws:iam::123456789012:",
        "arn:aws:s3::123456789012:bucket",
        "arn:awsome:iam::123456789012:role/x",
        "arn:evil:iam::123456789012:role/x",
        "arn:aws:iam::12345678901:role/x",
        "",
    ] {
        let told = check(claimed::<Aws>(&but::<Aws>("sub", subject.into())));
        assert_eq!(told, "token-sts", "{subject}");
    }
    assert_eq!(
        check(claimed::<Aws>(&but::<Aws>("sub", Value::Null))),
        "token-sts"
    );
    for partition in ["aws-cn", "aws-us-gov", "aws-eusc"] {
        let subject = format!("arn:{partition}:iam::123456789012:role/x");
        assert!(claimed::<Aws>(&but::<Aws>("sub", subject.into())).is_ok());
    }
}

#[test]
fn stss_own_claim_is_required_and_of_its_shape() {
    for claims in [
        but::<Aws>(STS, Value::Null),
        but::<Aws>(STS, json!("123456789012")),
        sts("aws_account", Value::Null),
        sts("aws_account", json!(123_456_789_012_u64)),
        sts("aws_account", json!("12345678901")),
        sts("aws_account", json!("12345678901x")),
        sts("org_id", json!(["o-a1b2c3d4e5"])),
        sts("ec2_source_instance_arn", json!({})),
        sts("source_region", json!("x".repeat(2049))),
    ] {
        let error = claimed::<Aws>(&claims).unwrap_err();
        assert_eq!((error.fault, error.check), (Fault::Refused, "token-sts"));
    }
    // A claim of the same name elsewhere is not it.
    let mut claims = but::<Aws>(STS, Value::Null);
    claims["aws_account"] = "123456789012".into();
    assert_eq!(check(claimed::<Aws>(&claims)), "token-sts");
}

#[test]
fn accounts_organizations_and_principals_are_restricted() {
    let claims = Aws::claims();
    for (settings, told) in [
        (json!({"allowedAccountIDs": ["123456789012"]}), None),
        (
            json!({"allowedAccountIDs": ["000000000000"]}),
            Some("account-not-allowed"),
        ),
        (json!({"allowedOrgIDs": "o-a1b2c3d4e5"}), None),
        (
            json!({"allowedOrgIDs": ["o-a1b2c3d4e"]}),
            Some("organization-not-allowed"),
        ),
        (json!({"allowedPrincipalArns": [ROLE]}), None),
        (
            json!({"allowedPrincipalArns": ["arn:aws:iam::*:role/nodes/*"]}),
            None,
        ),
        (
            json!({"allowedPrincipalArns": ["arn:aws:iam::*:role/rack*"]}),
            Some("principal-not-allowed"),
        ),
        (
            json!({"allowedPrincipalArns": ["arn:aws:iam::123456789012:role/nodes/rack-"]}),
            Some("principal-not-allowed"),
        ),
    ] {
        let judged = with(settings.clone(), &claims)
            .err()
            .map(|error| error.check);
        assert_eq!(judged, told, "{settings}");
    }
    let without = sts("org_id", Value::Null);
    let told = check(with(json!({"allowedOrgIDs": "o-a1b2c3d4e5"}), &without));
    assert_eq!(told, "organization-not-allowed");
}

#[test]
fn an_instance_of_the_account_is_required_where_the_policy_says_so() {
    let settings = json!({"requireEc2SourceInstance": true});
    assert!(with(settings.clone(), &Aws::claims()).is_ok());
    for other in [
        Value::Null,
        json!(""),
        json!("i-0abc123def4567890"),
        json!("arn:aws:ec2:eu-west-1:999999999999:instance/i-0abc123def4567890"),
        json!("arn:aws:ec2:eu-west-1:123456789012:instance/"),
        json!("arn:aws:ec2:eu-west-1:123456789012:volume/i-0abc123def4567890"),
        json!("arn:aws:iam::123456789012:instance/i-0abc123def4567890"),
    ] {
        let told = check(with(
            settings.clone(),
            &sts("ec2_source_instance_arn", other.clone()),
        ));
        assert_eq!(told, "no-source-instance", "{other}");
    }
    // Where none is required such a token counts, and names no instance by its ID.
    let volume = "arn:aws:ec2:eu-west-1:123456789012:volume/i-0abc123def4567890";
    let claims = with(json!({}), &sts("ec2_source_instance_arn", json!(volume))).unwrap();
    let has = |name: &str| claims.attributes.iter().any(|one| one.name == name);
    assert!(has("aws_token.ec2.instance.arn") && !has("aws_token.ec2.instance.id"));
}

/// A token of another account's issuer that the policy names too is judged by that issuer's key, and by no other.
#[test]
fn each_issuer_has_its_own_keys() {
    let world = world::<Aws>();
    world.has_key(OTHER, Key::other().jwk("k1"));
    let case = Case::of::<Aws>();
    let of = |key: &Key, issuer: &str| {
        let payload = key.token("k1", &but::<Aws>("iss", issuer.into()));
        case.judge(&world, payload.as_bytes())
            .map_err(|error| error.check)
    };
    assert!(of(Key::rsa(), ISSUER).is_ok());
    assert!(of(Key::other(), OTHER).is_ok());
    assert_eq!(of(Key::rsa(), OTHER), Err("token-signature"));
    assert_eq!(of(Key::other(), ISSUER), Err("token-signature"));
}

/// The domain is everybody's: anyone can have an account, and an issuer in it.
#[test]
fn nobody_is_asked_about_an_issuer_that_is_not_configured() {
    let payload = Key::rsa().token(
        "k1",
        &but::<Aws>("iss", format!("{ISSUER}.evil.tld").into()),
    );
    let told = check(Case::of::<Aws>().judge(&NoOutside, payload.as_bytes()));
    assert_eq!(told, "token-issuer");
}

/// Signed by another implementation, with both of AWS's algorithms.
#[test]
fn tokens_of_another_implementation_verify() {
    let pki = Pki::new();
    for (kind, algorithm) in [
        ("rsa2048", jsonwebtoken::Algorithm::RS256),
        ("p384", jsonwebtoken::Algorithm::ES384),
    ] {
        pki.key(kind, kind);
        let private = std::fs::read(pki.path(&format!("{kind}.key"))).unwrap();
        let public = pki.openssl(&format!("pkey -in {kind}.key -pubout -outform DER"));
        let (private, jwk) = match algorithm {
            jsonwebtoken::Algorithm::ES384 => {
                let point = &public[public.len() - 96..];
                let jwk = json!({"kty": "EC", "crv": "P-384", "kid": "k1",
                    "x": crate::jwt::signer::b64(&point[..48]), "y": crate::jwt::signer::b64(&point[48..])});
                (
                    jsonwebtoken::EncodingKey::from_ec_pem(&private).unwrap(),
                    jwk,
                )
            }
            _ => {
                let text = pki.openssl(&format!("rsa -in {kind}.key -noout -modulus"));
                let text = String::from_utf8(text).unwrap();
                let modulus = text.trim().strip_prefix("Modulus=").unwrap();
                let jwk = json!({"kty": "RSA", "kid": "k1", "e": "AQAB",
                    "n": crate::jwt::signer::b64(hex::decode(modulus).unwrap())});
                (
                    jsonwebtoken::EncodingKey::from_rsa_pem(&private).unwrap(),
                    jwk,
                )
            }
        };
        let mut header = jsonwebtoken::Header::new(algorithm);
        header.kid = Some("k1".to_owned());
        let signed = jsonwebtoken::encode(&header, &Aws::claims(), &private).unwrap();
        let world = world::<Aws>();
        world.has_key(ISSUER, jwk);
        Case::of::<Aws>().judge(&world, signed.as_bytes()).unwrap();
    }
}

fn nonce(transcript: &Transcript) -> String {
    let nonce = proof_nonce(Aws::KIND, transcript);
    format!("urn:assay:nonce:{}", hex::encode(&nonce[..16]))
}

#[test]
fn a_token_for_a_login_is_good_for_that_login_only() {
    let mut config = Aws::config();
    config["nonceInAudience"] = true.into();
    let mut case = Case::with(Aws::KIND, config);
    case.transcript = Transcript::new().then(Direction::Agent, b"hello");
    assert!(case.attestor.is_fresh());
    assert_eq!(
        case.attestor.request(None).unwrap(),
        br#"{"nonceInAudience":true}"#
    );
    let world = world::<Aws>();
    let judged = |aud: Value| {
        let payload = Key::rsa().token("k1", &but::<Aws>("aud", aud));
        case.judge(&world, payload.as_bytes())
    };
    let own = "urn:assay:example.org:server";
    let mine = nonce(&case.transcript);
    assert!(judged(json!([own, mine])).is_ok());
    assert!(judged(json!([mine, own])).is_ok());
    let of_another = nonce(&Transcript::new());
    for aud in [
        json!(own),
        json!([own]),
        json!([own, of_another]),
        json!([own, mine.to_uppercase()]),
        json!([own, &mine[..mine.len() - 1]]),
    ] {
        assert_eq!(check(judged(aud.clone())), "token-nonce", "{aud}");
    }
    // The nonce alone makes it nobody's: any verifier could have handed it out.
    assert_eq!(check(judged(json!([mine]))), "token-audience");
    assert!(!Case::of::<Aws>().attestor.is_fresh());
}

#[test]
fn the_clocks_leeway_is_the_policys() {
    let settings = json!({"clockSkew": "5s"});
    let at = |exp: i64| with(settings.clone(), &but::<Aws>("exp", exp.into()));
    assert!(at(NOW - 4).is_ok());
    assert_eq!(check(at(NOW - 5)), "token-expired");
}

#[test]
fn a_token_is_all_that_travels() {
    let good = Key::rsa().token("k1", &Aws::claims());
    assert!(token::<Aws>(&good).is_ok());
    for payload in [
        format!("{good}\n"),
        format!(" {good}"),
        json!({"token": good}).to_string(),
        String::new(),
    ] {
        let error = token::<Aws>(&payload).unwrap_err();
        assert_eq!(error.fault, Fault::Malformed, "{payload:?}");
    }
}

/// Whoever signs an issuer's tokens says who is which principal, so a policy names AWS's or the operator's.
#[test]
fn a_policy_names_no_issuer_that_is_neither_awss_nor_the_operators() {
    let told = |issuer: &str, clouds: Clouds| {
        let provided = Provided {
            clouds: clouds.into(),
            ..Provided::default()
        };
        let config = deserialize_config(Aws::KIND, json!({"issuerURLs": [issuer]})).unwrap();
        let files = Files::beside(Path::new("/nonexistent")).provided_by(&provided);
        config.build_in(files).map(drop)
    };
    assert_eq!(told(ISSUER, Clouds::default()), Ok(()));
    for theirs in [
        "https://issuer.example.org",
        "https://tokens.sts.global.api.aws",
        "https://a.b.tokens.sts.global.api.aws",
        "https://atokens.sts.global.api.aws",
        "https://a.tokens.sts.global.api.aws.example.org",
        "https://a.tokens.sts.global.api.aws:8443",
        "https://a.tokens.sts.global.api.aws/b",
        "https://example.org/.tokens.sts.global.api.aws",
    ] {
        let error = told(theirs, Clouds::default()).unwrap_err();
        assert_eq!(error.field, "issuerURLs[0]", "{theirs}");
        let hint = error.hint.unwrap();
        assert!(hint.contains("clouds.aws.tokenIssuers"), "{hint}");
        let mut listing = Clouds::default();
        listing.aws.token_issuers = TokenIssuers::Listed([theirs.to_owned()].into());
        assert_eq!(told(theirs, listing.clone()), Ok(()), "{theirs}");
        assert!(told("https://other.example.org", listing).is_err());
    }
}

#[test]
fn settings_that_could_let_nobody_or_anybody_in_are_refused() {
    let field = |more: Value| {
        let mut config = Aws::config();
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        match deserialize_config(Aws::KIND, config.clone()) {
            Err(_) => "unreadable".to_owned(),
            Ok(_) => match attestor(Aws::KIND, config) {
                Ok(_) => "accepted".to_owned(),
                Err(error) => error.field,
            },
        }
    };
    assert_eq!(field(json!({})), "accepted");
    for (more, expected) in [
        (json!({"issuerURLs": []}), "unreadable"),
        (json!({"issuerURLs": null}), "unreadable"),
        (
            json!({"issuerURLs": ["http://x.tokens.sts.global.api.aws"]}),
            "issuerURLs[0]",
        ),
        (
            json!({"issuerURLs": ["https://x.example/?a"]}),
            "issuerURLs[0]",
        ),
        (json!({"issuerURLs": [ISSUER, ISSUER]}), "issuerURLs[1]"),
        (json!({"allowedAudiences": []}), "unreadable"),
        (json!({"allowedAccountIDs": []}), "unreadable"),
        (
            json!({"allowedAccountIDs": [123_456_789_012_u64]}),
            "unreadable",
        ),
        (
            json!({"allowedAccountIDs": ["123456789012", "1234"]}),
            "allowedAccountIDs[1]",
        ),
        (json!({"allowedOrgIDs": ["a1b2c3d4e5"]}), "allowedOrgIDs[0]"),
        (json!({"allowedOrgIDs": null}), "unreadable"),
        (
            json!({"allowedPrincipalArns": ["*"]}),
            "allowedPrincipalArns[0]",
        ),
        (json!({"requiredPrincipalTags": {}}), "unreadable"),
        (json!({"requiredPrincipalTags": {"a": []}}), "unreadable"),
        (json!({"maxTokenAge": "2h"}), "maxTokenAge"),
        (json!({"maxTokenAge": "0s"}), "maxTokenAge"),
        (json!({"clockSkew": "61s"}), "clockSkew"),
        (json!({"tofu": true}), "tofu"),
        (
            json!({"tofu": true, "requireEc2SourceInstance": true}),
            "accepted",
        ),
        (json!({"issuerUrls": [ISSUER]}), "unreadable"),
        (json!({"requiredRequestTags": {"a": "b"}}), "unreadable"),
    ] {
        assert_eq!(field(more.clone()), expected, "{more}");
    }
    let none = deserialize_config(Aws::KIND, json!({}));
    assert!(none.is_err(), "an issuer is required");
}
