//! An instance of EC2 that logs in by its identity document, with a stand-in for its metadata service and one for AWS' API.

use std::fs;

use assay_cloud_standins::api::{Api, KEY_ID, Known, SECRET};
use assay_cloud_standins::ec2::{Authority, Ec2, Instance, Mode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::site::{Process, Site, agent_json, eventually};
use super::{attestor, attributes, logs_in, more, policy, refused, told};

const TEMPLATE: &str =
    "/aws/{{aws_iid.account.id}}/{{aws_iid.ec2.instance.region}}/{{aws_iid.ec2.instance.id}}";
const ID: &str = "spiffe://example.org/aws/123456789012/eu-west-1/i-0abcdef1234567890";

struct Aws {
    site: Site,
    authority: Authority,
    ec2: Ec2,
    api: Api,
    _folder: TempDir,
}

impl Aws {
    fn new(config: &Value) -> Self {
        let authority = Authority::new().unwrap();
        let api = Api::start(Known::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path();
        fs::write(
            files.join("regions-certs.md"),
            authority.page("eu-west-1").unwrap(),
        )
        .unwrap();
        fs::write(files.join("aws.pem"), api.authority()).unwrap();
        fs::write(files.join("secret"), format!("{SECRET}\n")).unwrap();
        let endpoints: serde_json::Map<_, _> = ["sts", "ec2", "iam"]
            .iter()
            .map(|name| ((*name).to_owned(), api.server().url().into()))
            .collect();
        let clouds = json!({"aws": {
            "region": "eu-west-1",
            "credentials": {"accessKey": {"id": KEY_ID, "secretFile": files.join("secret")}},
            "endpoints": endpoints,
            "caCerts": files.join("aws.pem"),
            "certificates": [files.join("regions-certs.md")],
            "cacheTtl": "1s",
        }});
        Self {
            site: Site::set_up_with(&policy("aws_iid", config), &more(TEMPLATE, &clouds)),
            ec2: Ec2::start(Mode::V2, Instance::default(), &authority).unwrap(),
            authority,
            api,
            _folder: folder,
        }
    }

    fn offers(&self, more: &Value) -> String {
        attestor("aws_iid", &self.ec2.server().url(), more)
    }

    fn logs_in(&self, assayd: &Process) {
        logs_in(&self.site, assayd, &self.offers(&json!({})), "aws_iid", ID);
    }

    fn refused(&self, assayd: &Process, check: &str) {
        refused(&self.site, assayd, &self.offers(&json!({})), check);
    }

    fn told(&self, more: &Value, what: &str, hint: &str) {
        told(&self.site, &self.offers(more), what, hint);
    }
}

#[test]
fn an_instance_logs_in_by_its_document_and_its_attributes_name_it() {
    let aws = Aws::new(&json!({}));
    let assayd = aws.site.start(&[]);
    aws.logs_in(&assayd);
    aws.logs_in(&assayd);
    attributes(
        &assayd,
        &[
            "aws_iid.account.id",
            "123456789012",
            "aws_iid.ec2.instance.id",
            "i-0abcdef1234567890",
            "aws_iid.ec2.instance.region",
            "eu-west-1",
            "aws_iid.ec2.instance.availability_zone",
            "eu-west-1a",
            "aws_iid.ec2.instance.image_id",
            "ami-0123456789abcdef0",
            "aws_iid.ec2.instance.tag.Environment",
            "production",
            "aws_iid.ec2.security_group.id",
            "sg-0123456789abcdef0",
            "aws_iid.ec2.security_group.name",
            "nodes",
            "aws_iid.iam.role",
            "arn:aws:iam::123456789012:role/node",
        ],
    );
    // Neither key nor token of anybody.
    assert!(!assayd.log().contains(SECRET) && !assayd.log().contains("assumed/"));
}

#[test]
fn what_aws_says_of_the_instance_decides() {
    let aws = Aws::new(&json!({"instanceTagRequirements": {"Environment": ["production"]}}));
    let assayd = aws.site.start(&[]);
    aws.logs_in(&assayd);
    let refused = |change: &dyn Fn(&mut Known), check: &str| {
        aws.api.change(|known| {
            *known = Known::default();
            change(known);
        });
        let before = assayd.log().len();
        // What was said before is kept for a second.
        eventually(check, || {
            let config = aws.site.agent(&aws.offers(&json!({})), "");
            let (status, ..) = agent_json(&["login"], &config);
            status == 1 && assayd.log().split_off(before).contains(check)
        });
    };
    refused(
        &|known| known.state = Some("stopped"),
        "instance-not-running",
    );
    refused(&|known| known.state = None, "instance-not-found");
    refused(&|known| known.tags.clear(), "tag-not-allowed");
}

#[test]
fn a_document_that_is_not_the_regions_lets_nobody_in_and_asks_nobody() {
    let aws = Aws::new(&json!({}));
    let assayd = aws.site.start(&[]);
    // Another authority's signature under the same document.
    let other = Authority::new().unwrap();
    aws.ec2.serve(&other.rsa2048(&aws.ec2.document()).unwrap());
    aws.refused(&assayd, "signer-not-pinned");
    // One byte of the document is another.
    let mut der = aws.authority.rsa2048(&aws.ec2.document()).unwrap();
    let place = der
        .windows(12)
        .position(|part| part == b"123456789012")
        .unwrap();
    der[place] = b'9';
    aws.ec2.serve(&der);
    aws.refused(&assayd, "cms-digest");
    // A region whose certificate the operator has not given.
    let elsewhere = Instance {
        region: "us-east-1".to_owned(),
        ..Instance::default()
    };
    aws.ec2
        .serve(&aws.authority.rsa2048(&elsewhere.document()).unwrap());
    aws.refused(&assayd, "region-not-pinned");
    assert_eq!(aws.api.calls("DescribeInstances"), 0);
    // Another account.
    let stranger = Instance {
        account: "999988887777".to_owned(),
        ..Instance::default()
    };
    aws.ec2
        .serve(&aws.authority.rsa2048(&stranger.document()).unwrap());
    aws.refused(&assayd, "account-not-allowed");
    assert_eq!(aws.api.calls("DescribeInstances"), 0);
    // And its own again.
    aws.ec2
        .serve(&aws.authority.rsa2048(&aws.ec2.document()).unwrap());
    aws.logs_in(&assayd);
}

#[test]
fn a_verifier_that_may_not_become_the_role_lets_nobody_in() {
    let aws = Aws::new(&json!({}));
    aws.api.change(|known| known.trusts = false);
    let assayd = aws.site.start(&[]);
    aws.refused(&assayd, "cloud-api");
}

#[test]
fn an_instance_that_cannot_have_its_document_says_why() {
    let aws = Aws::new(&json!({}));
    let _assayd = aws.site.start(&[]);
    aws.ec2.become_like(Mode::OneHopTooFar);
    aws.told(
        &json!({"timeout": "300ms"}),
        "the token was lost on the way",
        "--http-put-response-hop-limit 2",
    );
    aws.ec2.become_like(Mode::Off);
    aws.told(&json!({}), "HTTP 403", "--http-endpoint enabled");
    aws.ec2.become_like(Mode::V1);
    aws.told(&json!({}), "no token for IMDSv2", "imdsv1: true");
    aws.told(
        &json!({"metadataEndpoint": "http://127.0.0.1:1"}),
        "127.0.0.1:1",
        "is this a virtual machine of AWS?",
    );
}
