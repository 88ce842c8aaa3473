//! `aws_token` with the role of an instance; its other sources of credentials are the environment's, and so a process' own.

use std::fs;

use assay_cloud_standins::ec2::{Authority, Ec2, Instance, Mode, Role};
use assay_cloud_standins::server::Reply;
use assay_cloud_standins::sts::{Account, Sts};
use assay_common::policy::AttestorKind;
use assay_host_agent::finding::Level;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{claims, fails, header, method, nonce, prove};
use assay_host_agent::method::Method;

struct Cloud {
    ec2: Ec2,
    sts: Sts,
    folder: TempDir,
    _authority: Authority,
}

fn start(instance: Instance, account: Account) -> Cloud {
    let authority = Authority::new().unwrap();
    let cloud = Cloud {
        ec2: Ec2::start(Mode::V2, instance, &authority).unwrap(),
        sts: Sts::start(account).unwrap(),
        folder: tempfile::tempdir().unwrap(),
        _authority: authority,
    };
    fs::write(cloud.folder.path().join("sts.pem"), cloud.sts.authority()).unwrap();
    cloud
}

impl Cloud {
    fn token(&self, mut config: Value) -> Box<dyn Method> {
        let defaults = json!({
            "credentials": "instance",
            "metadataEndpoint": self.ec2.server().url(),
            "stsEndpoint": self.sts.server().url(),
            "stsCa": self.folder.path().join("sts.pem"),
        });
        for (name, value) in defaults.as_object().unwrap() {
            config
                .as_object_mut()
                .unwrap()
                .entry(name)
                .or_insert(value.clone());
        }
        method(AttestorKind::AWS_TOKEN, config)
    }
}

fn proven(method: &mut dyn Method, request: &[u8]) -> String {
    String::from_utf8(prove(method, request).unwrap()).unwrap()
}

#[test]
fn sts_makes_a_token_of_the_roles_credentials_for_the_trust_domains_verifier() {
    let cloud = start(Instance::default(), Account::default());
    let token = proven(&mut *cloud.token(json!({})), b"");
    let said = claims(&token);
    assert_eq!(said["aud"], "urn:assay:example.org:server");
    assert_eq!(said["sub"], "arn:aws:iam::123456789012:role/node");
    assert_eq!(
        said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(),
        60
    );
    assert_eq!(header(&token)["alg"], "RS256");
    let config = json!({
        "audience": ["urn:a", "urn:b"],
        "signingAlgorithm": "ES384",
        "durationSeconds": 900,
        "tags": {"rack": "7 / é+&="},
        "region": "eu-west-1",
    });
    let token = proven(&mut *cloud.token(config), b"");
    let said = claims(&token);
    assert_eq!(said["aud"], json!(["urn:a", "urn:b"]));
    assert_eq!(
        said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(),
        900
    );
    assert_eq!(
        said["https://sts.amazonaws.com/"]["request_tags"]["rack"],
        "7 / é+&="
    );
    assert_eq!(header(&token)["alg"], "ES384");
}

#[test]
fn the_logins_nonce_is_an_audience_of_its_own_when_the_verifier_asks_for_it() {
    let cloud = start(Instance::default(), Account::default());
    let token = proven(&mut *cloud.token(json!({})), br#"{"nonceInAudience":true}"#);
    let nonce = format!("urn:assay:nonce:{}", nonce());
    assert_eq!(
        claims(&token)["aud"],
        json!(["urn:assay:example.org:server", nonce])
    );
}

#[test]
fn each_refusal_of_sts_has_its_mend() {
    let cloud = start(Instance::default(), Account::default());
    let refused = |change: &dyn Fn(&mut Account), config: Value, what: &str, hint: &str| {
        cloud.sts.change(|account| {
            *account = Account::default();
            change(account);
        });
        fails(&mut *cloud.token(config), what, hint);
    };
    refused(
        &|account| account.federates = false,
        json!({}),
        "OutboundWebIdentityFederationDisabledException",
        "aws iam enable-outbound-web-identity-federation",
    );
    refused(
        &|account| account.session_left = 90,
        json!({"durationSeconds": 120}),
        "SessionDurationEscalationException",
        "lower `durationSeconds`",
    );
    refused(
        &|account| account.allows = false,
        json!({}),
        "AccessDenied",
        "sts:GetWebIdentityToken",
    );
    refused(
        &|account| account.role.secret_access_key = "another".to_owned(),
        json!({}),
        "SignatureDoesNotMatch",
        "clock",
    );
    refused(
        &|account| account.role.session_token = "another".to_owned(),
        json!({}),
        "InvalidClientTokenId",
        "does not know these credentials",
    );
    // Another region's STS.
    refused(
        &|_| {},
        json!({"region": "us-east-1"}),
        "SignatureDoesNotMatch",
        "",
    );
    // The global endpoint, as it answers.
    let invalid = "<ErrorResponse><Error><Code>InvalidAction</Code><Message>Could not find operation GetWebIdentityToken</Message></Error></ErrorResponse>";
    cloud.sts.server().next([Reply::of(400, invalid)]);
    refused(
        &|_| {},
        json!({}),
        "InvalidAction",
        "a regional `stsEndpoint`",
    );
}

#[test]
fn throttling_is_asked_again_and_what_is_no_sts_is_told() {
    let cloud = start(Instance::default(), Account::default());
    let slow = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    cloud
        .sts
        .server()
        .next([Reply::of(400, slow), Reply::of(503, ""), Reply::of(500, "")]);
    proven(&mut *cloud.token(json!({})), b"");
    assert_eq!(cloud.sts.server().seen().len(), 4);
    cloud.sts.server().next([Reply::of(400, slow)]);
    fails(
        &mut *cloud.token(json!({"maxRetries": 0})),
        "Throttling: Rate exceeded",
        "",
    );
    for (reply, what, hint) in [
        (
            Reply::of(302, "").with("location", "https://localhost/"),
            "HTTP 302",
            "redirects",
        ),
        (
            Reply::of(403, "<html>blocked</html>"),
            "HTTP 403",
            "may be a proxy",
        ),
        (
            Reply::of(200, "<html>login</html>"),
            "is no token",
            "in the service's place",
        ),
        (
            Reply::of(200, vec![b'a'; 80 * 1024]),
            "more than 65536 bytes",
            "may be a proxy",
        ),
    ] {
        cloud.sts.server().next([reply]);
        fails(&mut *cloud.token(json!({"maxRetries": 0})), what, hint);
    }
    // Another authority than the one that is named.
    let other = Sts::start(Account::default()).unwrap();
    let config = json!({"stsEndpoint": other.server().url(), "maxRetries": 0});
    fails(&mut *cloud.token(config), "TLS", "`stsCa`");
}

#[test]
fn an_instance_without_a_role_says_so() {
    let instance = Instance {
        role: None,
        ..Instance::default()
    };
    let cloud = start(instance, Account::default());
    let mut none = cloud.token(json!({}));
    fails(
        &mut *none,
        "the instance has no role",
        "associate-iam-instance-profile",
    );
    assert_eq!(none.doctor()[0].level, Level::Fail);
}

#[test]
fn neither_show_nor_debug_has_a_secret_in_it() {
    let cloud = start(Instance::default(), Account::default());
    let token = cloud.token(json!({}));
    let shown = format!("{token:?}{:?}", token.show().unwrap());
    assert!(shown.contains("the instance's role"), "{shown}");
    assert!(cloud.ec2.server().seen().is_empty() && cloud.sts.server().seen().is_empty());
    let found = token.doctor();
    assert_eq!(found[0].level, Level::Ok, "{found:?}");
    let told = format!("{shown}{found:?}{token:?}");
    let Role {
        secret_access_key,
        session_token,
        ..
    } = Role::default();
    assert!(!told.contains(&secret_access_key) && !told.contains(&session_token));
    assert!(!told.contains("eyJ"), "{told}");
}
