//! Whom the verifier is to AWS: a file, a token, the instance that it runs on, a role before all others.

use std::sync::Arc;

use assay_host_verifier::cloud::aws::{CredentialSource, RoleArn};
use assay_host_verifier::cloud::{CallError, CallErrorKind};
use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{AddressClass, ErrorKind, Outbound};

use super::api::{Api, OWN, Seen};
use super::{Verifier, place, world};
use crate::upstream::{Piece, Upstream, say};

async fn account(verifier: &Verifier) -> Result<String, CallError> {
    let caller = verifier.aws.caller(&verifier.world).await?;
    Ok(caller.account)
}

#[tokio::test]
async fn a_key_in_a_file_is_read_whenever_it_is_needed() {
    let api = Api::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let verifier = Verifier::with(&api, |settings| {
        settings.credentials = CredentialSource::Static {
            access_key_id: super::KEY_ID.to_owned(),
            secret_access_key_file: file.clone(),
        };
    });
    let none = account(&verifier).await.unwrap_err();
    assert!(matches!(none.kind, CallErrorKind::Credentials(_)), "{none}");
    std::fs::write(&file, "another/secret").unwrap();
    let wrong = account(&verifier).await.unwrap_err();
    assert_eq!(wrong.kind, CallErrorKind::Denied);
    assert_eq!(wrong.code.as_str(), "SignatureDoesNotMatch");
    assert!(verifier.aws.hint(&wrong).unwrap().contains("clock"));
    std::fs::write(&file, format!("{}\n", super::SECRET)).unwrap();
    assert_eq!(account(&verifier).await.unwrap(), OWN);
}

#[tokio::test]
async fn a_role_may_come_before_all_others() {
    let api = Api::start().await;
    let verifier = Verifier::with(&api, |settings| {
        let arn = "arn:aws:iam::555555555555:role/Verifier";
        settings.assume_role = Some(RoleArn::parse(arn).unwrap());
        settings.external_id = Some("ext".to_owned());
    });
    assert_eq!(account(&verifier).await.unwrap(), "555555555555");
    let at = place("111122223333", "eu-west-1");
    let id = "i-0123456789abcdef0";
    verifier
        .aws
        .instance(&verifier.world, &at, id)
        .await
        .unwrap();
    let requests = api.upstream.requests();
    let assumed: Vec<_> = requests
        .iter()
        .map(|request| Seen::parse(request))
        .filter(|seen| seen.operation() == "AssumeRole")
        .map(|seen| {
            let by = seen.header("authorization");
            let by = by.split(['=', '/']).nth(1).unwrap().to_owned();
            (
                by,
                seen.parameter("RoleArn").unwrap(),
                seen.parameter("ExternalId"),
            )
        })
        .collect();
    assert_eq!(
        assumed,
        [
            (
                super::KEY_ID.to_owned(),
                "arn:aws:iam::555555555555:role/Verifier".to_owned(),
                None
            ),
            (
                "ASIA555555555555".to_owned(),
                "arn:aws:iam::111122223333:role/DefaktoServer".to_owned(),
                Some("ext".to_owned())
            ),
        ]
    );
}

#[tokio::test]
async fn in_its_own_account_it_may_be_itself() {
    let id = "i-0123456789abcdef0";
    for (assume, roles) in [(true, 1), (false, 0)] {
        let api = Api::start().await;
        let verifier = Verifier::with(&api, |settings| settings.assume_in_own_account = assume);
        let own = place(OWN, "eu-west-1");
        let found = verifier
            .aws
            .instance(&verifier.world, &own, id)
            .await
            .unwrap();
        assert!(found.is_some());
        assert_eq!(api.calls("AssumeRole"), roles);
        let other = place("111122223333", "eu-west-1");
        verifier
            .aws
            .instance(&verifier.world, &other, id)
            .await
            .unwrap();
        assert_eq!(api.calls("AssumeRole"), roles + 1);
    }
}

#[tokio::test]
async fn a_web_identity_is_shown_and_nothing_is_signed() {
    let api = Api::start().await;
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "ey.web.identity\n").unwrap();
    let verifier = Verifier::with(&api, |settings| {
        let role = RoleArn::parse("arn:aws:iam::666666666666:role/Irsa").unwrap();
        settings.credentials = CredentialSource::WebIdentity { role, token_file };
    });
    assert_eq!(account(&verifier).await.unwrap(), "666666666666");
    account(&verifier).await.unwrap();
    assert_eq!(api.calls("AssumeRoleWithWebIdentity"), 1);
}

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// A metadata service that answers nobody without its token, as instances have it on which IMDSv1 is off.
fn metadata(request: &str) -> Vec<Piece> {
    let seen = Seen::parse(request);
    let answer = |status: &str, body: &str| {
        let length = body.len();
        say(&format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let has_token = seen.header("x-aws-ec2-metadata-token") == "imds-token==";
    match (seen.method, seen.path) {
        ("PUT", "/latest/api/token") => {
            let ttl = seen.header("x-aws-ec2-metadata-token-ttl-seconds");
            match ttl.parse::<u32>() {
                Ok(1..=21600) => answer("200 OK", "imds-token=="),
                _ => answer("400 Bad Request", ""),
            }
        }
        ("GET", _) if !has_token => answer("401 Unauthorized", ""),
        ("GET", path) if path == ROLE => answer("200 OK", "HostRole"),
        ("GET", path) if path == format!("{ROLE}HostRole") => {
            let (_, secret, token) = super::api::secret("ASIA777777777777").unwrap();
            let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(6);
            let document = serde_json::json!({
                "Code": "Success", "LastUpdated": "2026-11-22T12:00:00Z", "Type": "AWS-HMAC",
                "AccessKeyId": "ASIA777777777777", "SecretAccessKey": secret, "Token": token, "Expiration": ends.to_string(),
            });
            answer("200 OK", &document.to_string())
        }
        _ => answer("404 Not Found", ""),
    }
}

fn on_instance(api: &Api, imds: &Upstream) -> Verifier {
    Verifier::with(api, |settings| {
        let metadata = format!("http://127.0.0.1:{}", imds.port);
        settings.credentials = CredentialSource::Instance { metadata };
    })
}

#[tokio::test]
async fn an_instances_role_is_asked_for_with_a_token_only() {
    let api = Api::start().await;
    let imds = Upstream::plain(Arc::new(metadata)).await;
    let verifier = on_instance(&api, &imds);
    assert_eq!(account(&verifier).await.unwrap(), "777777777777");
    account(&verifier).await.unwrap();
    let requests = imds.requests();
    let firsts: Vec<_> = requests
        .iter()
        .map(|r| r.split(" HTTP").next().unwrap())
        .collect();
    assert_eq!(
        firsts,
        [
            "PUT /latest/api/token",
            &format!("GET {ROLE}"),
            &format!("GET {ROLE}HostRole")
        ]
    );
}

#[tokio::test]
async fn a_metadata_service_that_gives_no_keys_gives_none() {
    let told = |role: &'static str, document: &'static str| -> crate::upstream::Script {
        Arc::new(move |request: &str| {
            let seen = Seen::parse(request);
            let body = match (seen.method, seen.path) {
                ("PUT", _) => "t",
                (_, path) if path == ROLE => role,
                _ => document,
            };
            say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
        })
    };
    let past = r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t","Expiration":"2020-01-01T00:00:00Z"}"#;
    let failed = r#"{"Code":"AssumeRoleUnauthorizedAccess","AccessKeyId":"A","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    let inject = r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t\r\nx: y","Expiration":"2099-01-01T00:00:00Z"}"#;
    for (role, document) in [
        ("HostRole", past),
        ("HostRole", failed),
        ("HostRole", inject),
        ("HostRole", "{}"),
        ("../../user-data", past),
        ("a b", past),
        ("", past),
    ] {
        let api = Api::start().await;
        let imds = Upstream::plain(told(role, document)).await;
        let error = account(&on_instance(&api, &imds)).await.unwrap_err();
        assert!(
            matches!(error.kind, CallErrorKind::Content(_)),
            "{role} {document}: {error}"
        );
        assert!(api.upstream.requests().is_empty());
        assert!(
            imds.requests()
                .iter()
                .all(|request| !request.contains("user-data"))
        );
    }
    // No role, switched off.
    for (status, why) in [(404, "has no role"), (403, "switched off")] {
        let api = Api::start().await;
        let imds = Upstream::plain(Arc::new(move |_| {
            say(&format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"))
        }))
        .await;
        let error = account(&on_instance(&api, &imds)).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn what_is_asked_as_metadata_is_link_local_and_nothing_else() {
    let api = Api::start().await;
    let imds = Upstream::plain(Arc::new(metadata)).await;
    let on = |metadata: String, client: Client| {
        let mut verifier = Verifier::with(&api, |settings| {
            settings.credentials = CredentialSource::Instance { metadata };
        });
        verifier.world = world(client);
        verifier
    };
    let link_local = std::net::IpAddr::from([169, 254, 169, 254]);
    let loopback = std::net::IpAddr::from([127, 0, 0, 1]);
    let outbound = |allow_loopback| Outbound {
        allow_loopback,
        ..Outbound::default()
    };
    let client = Client::new(&outbound(true)).with_stand_ins([(link_local, loopback)]);
    let verifier = on(format!("http://169.254.169.254:{}", imds.port), client);
    assert_eq!(account(&verifier).await.unwrap(), "777777777777");
    let seen = imds.requests().len();
    for (host, class) in [
        ("127.0.0.1", AddressClass::Loopback),
        ("10.0.0.1", AddressClass::Private),
        ("93.184.215.14", AddressClass::Public),
    ] {
        let url = format!("http://{host}:{}", imds.port);
        let error = account(&on(url, Client::new(&outbound(false))))
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            CallErrorKind::Outside(ErrorKind::Address(class))
        );
    }
    assert_eq!(imds.requests().len(), seen);
}
