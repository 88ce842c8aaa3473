//! `aws_iid`: an instance whose document a region's key signed, with and without AWS's word for it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::aws_iid::payload::MAX_PAYLOAD;
use assay_host_verifier::cloud::Clouds;
use assay_host_verifier::document::Provided;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws_iid as aws;
use crate::conformance::{Method, Sent, World};

pub(super) enum AwsIid {
    Asked,
    Alone,
}

/// Signed once, as AWS signs a document once.
fn payload() -> &'static str {
    static PAYLOAD: OnceLock<String> = OnceLock::new();
    PAYLOAD.get_or_init(|| aws::honest().to_string())
}

/// The page of certificates.
fn page() -> PathBuf {
    static PAGE: OnceLock<PathBuf> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        aws::aws().write("regions-certs.md", aws::page());
        aws::aws().path("regions-certs.md")
    });
    page.clone()
}

impl Method for AwsIid {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AWS_IID
    }

    fn way(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Alone => "alone",
        }
    }

    fn config(&self) -> Value {
        match self {
            Self::Asked => json!({
                "allowOwnAccount": false,
                "assumeOrgRoleArns": [aws::ORGANIZATION],
                "eksClusterNames": ["prod"],
                "describeVolumes": true,
                "describeImage": true,
                "maxInstanceAge": "24h",
            }),
            Self::Alone => json!({
                "awsAccountsAllowed": [aws::ACCOUNT],
                "localOnly": true,
                "maxInstanceAge": "24h",
            }),
        }
    }

    fn provided(&self) -> Provided {
        let mut clouds = Clouds::default();
        clouds.aws.certificates = vec![page()];
        Provided {
            clouds: Arc::new(clouds),
            ..Provided::default()
        }
    }

    fn now(&self) -> Timestamp {
        aws::now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        let times = ["2026-02-16T00:37:26Z", "2026-02-17T00:38:28Z"];
        times.map(|time| time.parse().unwrap()).to_vec()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, _: &Transcript) -> Sent {
        Sent::payload(payload())
    }

    fn forge(&self, _: &Transcript) -> Sent {
        let document = aws::document(|_| {});
        Sent::payload(aws::signed_by("virginia", &document).to_string())
    }

    fn world(&self, _: &Transcript) -> World {
        let image = format!(
            "ec2/{}/{} DescribeImages {}",
            aws::ACCOUNT,
            aws::REGION,
            aws::IMAGE
        );
        let volumes = format!(
            "ec2/{}/{} DescribeVolumes vol-12345678 vol-87654321",
            aws::ACCOUNT,
            aws::REGION
        );
        let answers = [
            (aws::member(aws::ORGANIZATION), json!({"member": true})),
            (aws::describe(), json!({"instance": aws::described()})),
            (aws::node(aws::ACCOUNT, "prod"), json!({"member": true})),
            (aws::profile(), json!({"roles": [aws::ROLE]})),
            (
                volumes,
                json!({"encrypted": {"vol-12345678": true, "vol-87654321": true}}),
            ),
            (image, json!({"created": "2026-01-01T00:00:00Z"})),
        ];
        World::default().cloud(move |key| {
            let asked = format!("{} {}", key.lane, key.what);
            let known = answers.iter().find(|(question, _)| *question == asked);
            known.map(|(_, answer)| answer.to_string().into_bytes())
        })
    }

    fn secrets(&self) -> Vec<String> {
        let signed: Value = serde_json::from_str(payload()).unwrap();
        let text = signed["rsa2048"].as_str().unwrap();
        vec![text[text.len() - 60..text.len() - 20].replace('\n', "")]
    }
}
