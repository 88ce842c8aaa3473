//! Signatures, computed anew by botocore: AWS's own Python library knows nothing of ours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use assay_host_verifier::cloud::aws::RoleArn;
use serde_json::json;

use super::api::{Api, Seen, secret};
use super::{Verifier, place, script, tool};

#[tokio::test]
async fn every_request_is_signed_as_botocore_signs_it() {
    let api = Api::start().await;
    let account = "111122223333";
    api.set(|state| {
        state.accounts = (0..25).map(|n| (format!("{n:012}"), "ACTIVE")).collect();
        let group = vec![("ng-1".to_owned(), "eks a/b+c d".to_owned())];
        let at = format!("{account}/ap-southeast-2/prod");
        state.nodegroups.insert(at, group);
    });
    // A page with a token that has all that URLs and signatures encode.
    let page = r#"{"nodegroups":["ng-1"],"nextToken":"a b+c/d=&%e~"}"#;
    let page = super::api::status(200, "application/json", page);
    api.fault("ListNodegroups", [page]);
    let verifier = Verifier::of(&api);
    let (aws, world) = (&verifier.aws, &verifier.world);
    let place = place(account, "ap-southeast-2");
    let id = "i-0123456789abcdef0";
    aws.caller(world).await.unwrap();
    let instance = aws.instance(world, &place, id).await.unwrap().unwrap();
    let profile = instance.instance_profile.unwrap();
    aws.roles(world, &place, &profile).await.unwrap();
    let role = RoleArn::parse("arn:aws:iam::700000000000:role/a/b/Reader+x=,.@-_").unwrap();
    aws.in_organization(world, Some(&role), account)
        .await
        .unwrap();
    aws.cluster_nodes(world, &place, "prod").await.unwrap();

    let requests = api.upstream.requests();
    let mut cases = Vec::new();
    let mut operations = std::collections::BTreeSet::new();
    for request in &requests {
        let seen = Seen::parse(request);
        operations.insert(seen.operation());
        let shown = seen.header("authorization");
        let credential = shown
            .split("Credential=")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        let parts: Vec<_> = credential.split('/').collect();
        let names = shown
            .split("SignedHeaders=")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        let headers: Vec<_> = names
            .split(';')
            .map(|name| (name, seen.header(name)))
            .collect();
        let query = if seen.query.is_empty() {
            String::new()
        } else {
            format!("?{}", seen.query)
        };
        let (_, key, token) = secret(parts[0]).unwrap();
        cases.push(json!({
            "method": seen.method, "url": format!("https://{}{}{query}", seen.header("host"), seen.path),
            "headers": headers, "body": seen.body, "region": parts[2], "service": parts[3],
            "id": parts[0], "secret": key, "token": token, "authorization": shown,
        }));
    }
    let expected = [
        "AssumeRole",
        "DescribeAutoScalingGroups",
        "DescribeInstances",
        "DescribeNodegroup",
        "GetCallerIdentity",
        "GetInstanceProfile",
        "ListAccounts",
        "ListNodegroups",
    ];
    assert!(operations.iter().eq(expected.iter()), "{operations:?}");

    let mut python = Command::new(tool("python"))
        .arg(script("botocore_signs.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let cases = serde_json::to_vec(&cases).unwrap();
    python.stdin.take().unwrap().write_all(&cases).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let told: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    let shown = requests
        .iter()
        .map(|request| Seen::parse(request).header("authorization").to_owned());
    assert_eq!(told, shown.collect::<Vec<_>>());
}
