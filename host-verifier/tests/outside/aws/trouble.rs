//! An API that throttles, forbids, fails, is slow, lies, or is somewhere else.

use std::sync::Arc;

use assay_host_verifier::cloud::aws::answers::InstanceState;
use assay_host_verifier::cloud::{CallError, CallErrorKind};
use assay_host_verifier::outside::ErrorKind;

use super::api::{Api, ec2_error, query_error, status};
use super::{Verifier, aws, place, world};
use crate::dns;
use crate::upstream::{Piece, say};

const ACCOUNT: &str = "111122223333";
const ID: &str = "i-0123456789abcdef0";

async fn asked(verifier: &Verifier) -> Result<(), CallError> {
    let place = place(ACCOUNT, "eu-west-1");
    let found = verifier.aws.instance(&verifier.world, &place, ID).await?;
    assert_eq!(found.unwrap().state, InstanceState::Running);
    Ok(())
}

/// What one answer comes to, after which all would be well.
async fn after(answer: Vec<Piece>) -> (Result<(), CallError>, usize) {
    let api = Api::start().await;
    api.fault("DescribeInstances", [answer]);
    let verifier = Verifier::of(&api);
    let result = asked(&verifier).await;
    if let Err(error) = &result {
        let told = format!("{error} {error:?} {:?}", verifier.aws.hint(error));
        assert!(!told.contains("c4n4ry"), "{told}");
    }
    (result, api.calls("DescribeInstances"))
}

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    for answer in [
        ec2_error(503, "RequestLimitExceeded"),
        ec2_error(400, "Throttling"),
        ec2_error(500, "InternalError"),
        ec2_error(503, "Unavailable"),
        status(502, "text/html", "<html>bad gateway</html>"),
        status(429, "text/plain", ""),
        say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<Descr"),
        say(""),
    ] {
        let (result, calls) = after(answer.clone()).await;
        assert_eq!((result, calls), (Ok(()), 2), "{answer:?}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not() {
    let elsewhere = "HTTP/1.1 307 x\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let wrong = |body: &str| status(200, "text/xml", body);
    let instance = format!(
        "<DescribeInstancesResponse><reservationSet><item><ownerId>{ACCOUNT}</ownerId><instancesSet><item><instanceId>i-0fedcba9876543210</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    );
    let huge = format!("<a>{}</a>", "x".repeat(1024 * 1024));
    for (answer, kind) in [
        (
            ec2_error(403, "UnauthorizedOperation"),
            "not permitted (UnauthorizedOperation)",
        ),
        (ec2_error(401, "AuthFailure"), "not permitted (AuthFailure)"),
        (
            ec2_error(400, "InvalidParameterValue"),
            "refused (InvalidParameterValue)",
        ),
        (say(elsewhere), "status 307: redirects are not followed"),
        (wrong("{\"a\":1}"), "cannot be used"),
        (wrong("<DescribeInstancesResponse>"), "cannot be used"),
        (
            wrong("<!DOCTYPE a [<!ENTITY b \"c\">]><DescribeInstancesResponse/>"),
            "cannot be used",
        ),
        (
            wrong("<DescribeImagesResponse/>"),
            "answers another question",
        ),
        (wrong(&instance), "another instance"),
        (wrong(&huge), "the answer is too long"),
        (
            vec![
                Piece::Say(b"HTTP/1.1 200 OK\r\n\r\n<a>".to_vec()),
                Piece::Flood(vec![b'x'; 65536]),
            ],
            "the answer is too long",
        ),
    ] {
        let (result, calls) = after(answer).await;
        let error = result.unwrap_err();
        assert!(error.to_string().contains(kind), "{error}: {kind}");
        assert_eq!(calls, 1, "{error}");
    }
}

#[tokio::test]
async fn whoever_never_answers_is_waited_for_until_the_deadline() {
    let api = Api::start().await;
    api.set(|state| state.outage = Some((String::new(), vec![Piece::Hang])));
    let error = asked(&Verifier::of(&api)).await.unwrap_err();
    let late = [
        CallErrorKind::Deadline,
        CallErrorKind::Outside(ErrorKind::Deadline),
    ];
    assert!(late.contains(&error.kind), "{error}");
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_told_with_what_to_do() {
    let api = Api::start().await;
    api.fault("AssumeRole", [query_error(403, "AccessDenied")]);
    let verifier = Verifier::of(&api);
    let error = asked(&verifier).await.unwrap_err();
    let shown = format!("{}: AssumeRole: not permitted (AccessDenied)", api.url());
    assert_eq!(error.to_string(), shown);
    let hint = verifier.aws.hint(&error).unwrap();
    assert!(
        hint.contains("sts:AssumeRole") && hint.contains("DefaktoServer"),
        "{hint}"
    );
    assert_eq!(api.calls("DescribeInstances"), 0);
}

#[tokio::test]
async fn a_session_of_another_role_is_none() {
    for (from, to) in [
        (":assumed-role/DefaktoServer/", ":assumed-role/Other/"),
        ("sts::111122223333:", "sts::999999999999:"),
    ] {
        let session = format!(
            "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/DefaktoServer/assayd</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA{ACCOUNT}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        );
        assert!(session.contains(from));
        let api = Api::start().await;
        api.fault(
            "AssumeRole",
            [status(200, "text/xml", &session.replace(from, to))],
        );
        let error = asked(&Verifier::of(&api)).await.unwrap_err();
        assert!(
            error.to_string().contains("another role's session"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_session_that_ends_in_a_moment_is_not_used() {
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(4);
    let session = format!(
        "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/DefaktoServer/assayd</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA{ACCOUNT}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{ends}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    let api = Api::start().await;
    api.fault("AssumeRole", [status(200, "text/xml", &session)]);
    let error = asked(&Verifier::of(&api)).await.unwrap_err();
    assert!(error.to_string().contains("have ended"), "{error}");
}

#[tokio::test]
async fn an_instance_that_is_not_there_is_an_answer_and_is_asked_for_once() {
    let api = Api::start().await;
    api.set(|state| state.missing.insert(ID.to_owned()));
    let verifier = Verifier::of(&api);
    for _ in 0..3 {
        let place = place(ACCOUNT, "eu-west-1");
        let found = verifier.aws.instance(&verifier.world, &place, ID).await;
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(api.calls("DescribeInstances"), 1);
}

#[tokio::test]
async fn nobody_is_asked_about_what_is_no_instance_or_in_another_partition() {
    let api = Api::start().await;
    let verifier = Verifier::of(&api);
    let own = place(ACCOUNT, "eu-west-1");
    for wrong in [
        "",
        "i-1",
        "i-0123456789abcdef0&Action=x",
        "ami-0123456789abcdef0",
    ] {
        let error = verifier.aws.instance(&verifier.world, &own, wrong).await;
        assert!(
            matches!(error.unwrap_err().kind, CallErrorKind::Content(_)),
            "{wrong}"
        );
    }
    let other = place("444455556666", "us-gov-west-1");
    let error = verifier
        .aws
        .instance(&verifier.world, &other, ID)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind, CallErrorKind::Credentials(_)),
        "{error}"
    );
    let profile = "arn:aws:iam::444455556666:instance-profile/web";
    let error = verifier.aws.roles(&verifier.world, &own, profile).await;
    assert!(matches!(error.unwrap_err().kind, CallErrorKind::Content(_)));
    assert!(api.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_region_that_is_out_does_not_hold_up_another() {
    let api = Api::start().await;
    api.set(|state| state.outage = Some(("eu-west-1.".to_owned(), vec![Piece::Hang])));
    let port = api.upstream.port;
    let verifier = Verifier::with(&api, |settings| {
        let url = format!("https://{{region}}.nodes.assay.test:{port}");
        settings
            .endpoints
            .insert(assay_host_verifier::cloud::aws::Service::Ec2, url);
    });
    let verifier = Arc::new(Verifier {
        aws: aws(verifier.aws.settings().clone()),
        world: world(dns::shared().client(true)),
        _dir: verifier._dir,
    });
    // More than may be asked at once, of one account and of one host.
    let mut held = Vec::new();
    for n in 0..100 {
        let verifier = verifier.clone();
        held.push(tokio::spawn(async move {
            let id = format!("i-{n:017x}");
            let place = place(ACCOUNT, "eu-west-1");
            verifier.aws.instance(&verifier.world, &place, &id).await
        }));
    }
    while api.calls("DescribeInstances") == 0 {
        tokio::task::yield_now().await;
    }
    let other = place(ACCOUNT, "us-east-1");
    let found = verifier.aws.instance(&verifier.world, &other, ID).await;
    assert_eq!(
        found.unwrap().unwrap().availability_zone.as_deref(),
        Some("us-east-1a")
    );
    assert!(
        held.iter().all(|task| !task.is_finished()),
        "they still wait"
    );
    for task in held {
        task.abort();
    }
}
