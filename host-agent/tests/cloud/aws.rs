//! `aws_iid` on an instance of EC2.

use std::fs;
use std::process::Command;

use assay_cloud_standins::ec2::{Authority, Ec2, Instance, Mode};
use assay_cloud_standins::google::{self, Google};
use assay_cloud_standins::server::Reply;
use assay_common::policy::AttestorKind;
use assay_host_agent::finding::Level;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{fails, method, prove, proven};
use assay_host_agent::method::Method;

fn start(mode: Mode) -> (Authority, Ec2) {
    let authority = Authority::new().unwrap();
    let ec2 = Ec2::start(mode, Instance::default(), &authority).unwrap();
    (authority, ec2)
}

fn iid(ec2: &Ec2, mut config: Value) -> Box<dyn Method> {
    config["metadataEndpoint"] = ec2.server().url().into();
    method(AttestorKind::AWS_IID, config)
}

#[test]
fn the_signed_document_travels_as_the_service_gives_it_and_nothing_beside_it() {
    let (authority, ec2) = start(Mode::V2);
    let mut iid = iid(&ec2, json!({}));
    iid.begin().unwrap();
    assert!(ec2.server().seen().is_empty(), "nobody is asked before");
    let payload = proven(&mut *iid);
    assert_eq!(payload.as_object().unwrap().len(), 1);
    let der = STANDARD
        .decode(payload["rsa2048"].as_str().unwrap())
        .unwrap();
    // As AWS': indefinite lengths, three ends at the end.
    assert!(der.starts_with(&[0x30, 0x80]) && der.ends_with(&[0; 6]));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("der"), &der).unwrap();
    fs::write(folder.path().join("pem"), authority.certificate().unwrap()).unwrap();
    let verified = Command::new("openssl")
        .args([
            "cms",
            "-verify",
            "-inform",
            "DER",
            "-in",
            "der",
            "-certfile",
            "pem",
        ])
        .args(["-nointern", "-noverify", "-binary"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&verified.stdout), ec2.document());
    // A token first, with an end; then everything with it.
    let seen = ec2.server().seen();
    let asked: Vec<_> = seen
        .iter()
        .map(|one| (one.method.as_str(), one.path()))
        .collect();
    let path = "/latest/dynamic/instance-identity/rsa2048";
    assert_eq!(asked, [("PUT", "/latest/api/token"), ("GET", path)]);
    assert_eq!(
        seen[0].header("x-aws-ec2-metadata-token-ttl-seconds"),
        Some("60")
    );
    // Each login asks anew.
    proven(&mut *iid);
    assert_eq!(ec2.server().seen().len(), 4);
}

#[test]
fn the_older_signature_travels_where_the_settings_say_so() {
    let (authority, ec2) = start(Mode::V2);
    let payload = proven(&mut *iid(&ec2, json!({"legacySignature": true})));
    assert_eq!(payload["document"], ec2.document());
    let signature = STANDARD
        .decode(payload["signature"].as_str().unwrap())
        .unwrap();
    // The padding of PKCS #1, version 1.5, has no chance in it.
    assert_eq!(signature, authority.signature(&ec2.document()).unwrap());
}

#[test]
fn an_answer_that_is_lost_on_the_way_is_told_from_a_service_that_is_switched_off() {
    let (_authority, ec2) = start(Mode::OneHopTooFar);
    let quick = json!({"timeout": "300ms", "maxRetries": 0});
    let mut lost = iid(&ec2, quick.clone());
    fails(
        &mut *lost,
        "the token was lost on the way",
        "--http-put-response-hop-limit 2",
    );
    let found = lost.doctor();
    assert_eq!((found.len(), found[0].level), (1, Level::Fail));
    assert!(found[0].mend.as_ref().unwrap().contains("hop-limit"));
    // Once more is asked where the settings let it, and not as often as they let errors be.
    let before = ec2.server().seen().len();
    fails(
        &mut *iid(&ec2, json!({"timeout": "30s"})),
        "lost on the way",
        "",
    );
    assert_eq!(ec2.server().seen().len(), before + 2);
    ec2.become_like(Mode::Off);
    fails(
        &mut *iid(&ec2, quick),
        "HTTP 403",
        "--http-endpoint enabled",
    );
}

#[test]
fn version_1_is_asked_only_where_the_settings_say_so() {
    let (_authority, ec2) = start(Mode::V1);
    fails(
        &mut *iid(&ec2, json!({})),
        "no token for IMDSv2: HTTP 404",
        "imdsv1: true",
    );
    let payload = proven(&mut *iid(&ec2, json!({"imdsv1": true})));
    assert!(payload["rsa2048"].is_string());
    let found = iid(&ec2, json!({"imdsv1": true})).doctor();
    assert_eq!(found[0].level, Level::Warn, "{found:?}");
    // Where there is version 2, its tokens are used all the same.
    ec2.become_like(Mode::V2);
    proven(&mut *iid(&ec2, json!({"imdsv1": true})));
    let last = ec2.server().seen().pop().unwrap();
    assert!(last.header("x-aws-ec2-metadata-token").is_some());
    // Asked without a token, a service that wants one says so.
    ec2.server().next([Reply::of(404, "")]);
    fails(
        &mut *iid(&ec2, json!({"imdsv1": true})),
        "HTTP 401",
        "raise the hop limit",
    );
}

#[test]
fn a_token_that_has_ended_is_had_anew() {
    let (_authority, ec2) = start(Mode::V2);
    // Given by a service that was restarted since.
    ec2.server().next([Reply::of(200, "b2xk")]);
    proven(&mut *iid(&ec2, json!({})));
    let seen = ec2.server().seen();
    let verbs: Vec<_> = seen.iter().map(|one| one.method.as_str()).collect();
    assert_eq!(verbs, ["PUT", "GET", "PUT", "GET"]);
    // And once only.
    ec2.server().next([
        Reply::of(200, "b2xk"),
        Reply::of(401, ""),
        Reply::of(200, "b2xk"),
    ]);
    fails(
        &mut *iid(&ec2, json!({})),
        "HTTP 401",
        "takes no token that it has just given",
    );
}

#[test]
fn what_is_no_signature_does_not_travel() {
    let (_authority, ec2) = start(Mode::V2);
    let token = || Reply::of(200, "dG9rZW4=");
    for other in [&b""[..], b"<html>", b"\xFF\xFE", b"AAAA!"] {
        ec2.server().next([token(), Reply::of(200, other)]);
        fails(
            &mut *iid(&ec2, json!({})),
            "what it answers is no signature",
            "in the service's place",
        );
    }
    ec2.server().next([token(), Reply::of(404, "")]);
    fails(
        &mut *iid(&ec2, json!({})),
        "there is no identity document",
        "no EC2 instance",
    );
    for token in ["", "a b", "a\u{0}"] {
        ec2.server().next([Reply::of(200, token)]);
        fails(
            &mut *iid(&ec2, json!({})),
            "what it answers is no token",
            "metadataEndpoint",
        );
    }
}

#[test]
fn another_cloud_is_told_by_name() {
    let google = Google::start(google::Instance::default()).unwrap();
    let config = json!({"metadataEndpoint": google.server().url()});
    let mut iid = method(AttestorKind::AWS_IID, config);
    fails(&mut *iid, "this is Google Cloud and not AWS", "`gcp_iit`");
}

#[test]
fn show_asks_nobody_and_doctor_says_which_instance_it_is() {
    let (_authority, ec2) = start(Mode::V2);
    let iid = iid(&ec2, json!({}));
    let shown = format!("{:?}", iid.show().unwrap());
    assert!(
        shown.contains("IMDSv2") && shown.contains(&ec2.server().url()),
        "{shown}"
    );
    assert!(ec2.server().seen().is_empty());
    let found = iid.doctor();
    assert!(found.iter().all(|one| one.level == Level::Ok), "{found:?}");
    assert_eq!(
        found[1].seen,
        "i-0abcdef1234567890 in eu-west-1, account 123456789012, is signed"
    );
}

#[test]
fn what_the_verifier_says_beside_the_request_changes_nothing() {
    let (_authority, ec2) = start(Mode::V2);
    assert!(prove(&mut *iid(&ec2, json!({})), b"{}").is_ok());
}
