//! The file of `--cloud-answers`: `docs/clouds.md` describes it, and its examples are judged as they stand there.

use std::path::Path;

use assay_common::policy::AttestorKind;
use serde_json::{Value, json};

use super::{Run, assay};
use crate::azure::documents::{self as imds, Azure};
use crate::{aws_iid, pki::Pki};

/// The time of the recorded tokens.
const AT: &str = "2026-11-23T03:00:00Z";
const METHODS: [AttestorKind; 5] = [
    AttestorKind::AWS_IID,
    AttestorKind::AWS_TOKEN,
    AttestorKind::AZURE_IMDS,
    AttestorKind::AZURE_MSI,
    AttestorKind::GCP_IIT,
];

fn section() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clouds.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n### Answers in a file\n").unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// The document's settings and answers of a method.
struct Example {
    kind: AttestorKind,
    config: String,
    answers: Value,
}

fn example(kind: AttestorKind) -> Example {
    let section = section();
    let row = format!("| `{kind}` | `{{");
    let mut rows = section.lines().filter_map(|line| {
        let config = line.strip_prefix(row.strip_suffix('{').unwrap())?;
        config.strip_suffix("` |")
    });
    let config = rows.next().unwrap().to_owned();
    let blocks = section.split("```json\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
    let named = format!("\"method\": \"{kind}\"");
    let answers = blocks.find(|block| block.contains(&named)).unwrap();
    Example {
        kind,
        config,
        answers: serde_json::from_str(answers).unwrap(),
    }
}

impl Example {
    fn verify(&self, answers: Option<&str>) -> Run {
        self.verify_with(answers, &[])
    }

    fn verify_with(&self, answers: Option<&str>, more: &[&str]) -> Run {
        let pki = Pki::new();
        let kind = self.kind.to_string();
        let (mut at, mut own) = (AT.to_owned(), Vec::new());
        match self.kind {
            AttestorKind::AWS_IID => {
                pki.write("payload", aws_iid::honest().to_string());
                pki.write("keys", aws_iid::page());
                at = aws_iid::now().to_string();
                own.extend(["--keys".to_owned(), pki.path("keys").display().to_string()]);
            }
            AttestorKind::AZURE_IMDS => {
                let azure = Azure::own();
                let content = imds::document(&imds::login());
                let signed = azure.sign("leaf", content.to_string().as_bytes(), "sha256");
                pki.write("payload", imds::payload(&signed, json!({})));
                pki.write("keys", azure.pem("root") + &azure.pem("issuing"));
                at = imds::now().to_string();
                let nonce = content["nonce"].as_str().unwrap().to_owned();
                own.extend(["--keys".to_owned(), pki.path("keys").display().to_string()]);
                own.extend(["--nonce".to_owned(), nonce]);
            }
            _ => {
                let recorded =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judge/data/answers");
                let payload = std::fs::read(recorded.join(format!("{kind}.payload"))).unwrap();
                pki.write("payload", payload);
            }
        }
        pki.write("config.yaml", &self.config);
        if let Some(answers) = answers {
            pki.write("answers", answers);
            let path = pki.path("answers").display().to_string();
            own.extend(["--cloud-answers".to_owned(), path]);
        }
        let (payload, config) = (pki.path("payload"), pki.path("config.yaml"));
        let (payload, config) = (payload.display().to_string(), config.display().to_string());
        let mut args = vec!["evidence", "verify", &kind, "--payload", &payload];
        args.extend(["--config", &config, "--at", &at]);
        args.extend(own.iter().map(String::as_str));
        args.extend(more);
        assay(&args)
    }

    /// With another value at a pointer; `None` takes the member away.
    fn but(&self, pointer: &str, value: Option<Value>) -> Run {
        let mut answers = self.answers.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = answers.pointer_mut(parent).unwrap();
        let parent = parent.as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(name.to_owned(), value)),
            None => drop(parent.remove(name).unwrap()),
        }
        self.verify(Some(&answers.to_string()))
    }
}

fn told(run: &Run, status: i32, what: &str) {
    assert_eq!(run.status, status, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(what), "{what}: {}", run.stderr);
}

#[test]
fn the_documents_examples_are_answers_that_let_in() {
    for kind in METHODS {
        let example = example(kind);
        let run = example.verify(Some(&example.answers.to_string()));
        assert_eq!(run.status, 0, "{kind}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_read_decides_nothing() {
    for kind in METHODS {
        let example = example(kind);
        for text in ["", "no JSON", "[]", "{}", "{\"method\": \"x509pop\"}"] {
            let run = example.verify(Some(text));
            told(&run, 2, "error: --cloud-answers: ");
            told(&run, 2, "\nhint: docs/clouds.md");
        }
        let other = match kind {
            AttestorKind::AWS_TOKEN => "gcp_iit",
            _ => "aws_token",
        };
        let run = example.but("/method", Some(other.into()));
        told(&run, 2, &format!("its method is \"{other}\", not {kind}"));
        let run = example.but("/more", Some(1.into()));
        told(&run, 2, "unknown field `more`");
        let long = format!("{}{}", example.answers, " ".repeat(512 * 1024));
        told(&example.verify(Some(&long)), 2, "longer than 524288 bytes");
    }
    let inner = [
        (AttestorKind::AWS_IID, "/api/instance/more"),
        (AttestorKind::AWS_TOKEN, "/key/more"),
        (AttestorKind::AZURE_IMDS, "/api/machine/more"),
        (AttestorKind::AZURE_MSI, "/api/more"),
        (AttestorKind::GCP_IIT, "/api/found/instance/more"),
    ];
    for (kind, pointer) in inner {
        let run = example(kind).but(pointer, Some(1.into()));
        told(&run, 2, "unknown field `more`");
    }
    let run = example(AttestorKind::AWS_IID).but("/certificates", Some(json!([])));
    told(&run, 2, "`certificates`: aws_iid asks nobody for that");
    let run = example(AttestorKind::AWS_TOKEN).but("/api", Some(json!({})));
    told(&run, 2, "`api`: aws_token asks nobody for that");
}

#[test]
fn what_nobody_answered_is_told_by_its_question() {
    let aws = example(AttestorKind::AWS_IID);
    let not_asked = "ec2:DescribeInstances was not asked for i-0123456789abcdef0 of account 111122223333 in eu-west-1";
    told(&aws.verify(None), 2, not_asked);
    told(&aws.but("/api/asked", Some(false.into())), 2, not_asked);
    let profile = "without `profile`: iam:GetInstanceProfile was not asked for \"arn:aws:iam::111122223333:instance-profile/nodes\"";
    told(&aws.but("/api/profile", None), 2, profile);
    let asking = |more: &str| Example {
        config: format!("awsAccountsAllowed: [\"111122223333\"]\n{more}\n"),
        answers: aws.answers.clone(),
        kind: aws.kind,
    };
    for (more, what) in [
        (
            "describeVolumes: true",
            "without `volumes`: ec2:DescribeVolumes was not asked for vol-12345678",
        ),
        (
            "describeImage: true",
            "without `image`: ec2:DescribeImages was not asked for \"ami-0123456789abcdef0\"",
        ),
        (
            "eksClusterNames: [edge]",
            "without `clusters` of edge: eks:DescribeNodegroup was not asked for i-0123456789abcdef0",
        ),
    ] {
        let asking = asking(more);
        told(&asking.verify(Some(&asking.answers.to_string())), 2, what);
    }
    let role = "arn:aws:iam::444455556666:role/List";
    let stranger = |more: &str| Example {
        config: format!("awsAccountsAllowed: [\"222222222222\"]\n{more}\n"),
        answers: aws.answers.clone(),
        kind: aws.kind,
    };
    let own = stranger("");
    told(&own.verify(None), 2, "sts:GetCallerIdentity was not asked");
    let run = own.but("/api/ownAccount", Some("999988887777".into()));
    told(&run, 1, "account-not-allowed");
    let of = stranger(&format!(
        "allowOwnAccount: false\nassumeOrgRoleArns: [\"{role}\"]"
    ));
    told(&of.verify(None), 2, &format!("`organizations` of {role}"));
    let run = of.but("/api/organizations", Some(json!({role: false})));
    told(&run, 1, "account-not-allowed");
    let run = of.but("/api/organizations", Some(json!({role: true})));
    assert_eq!(run.status, 0, "{}", run.stderr);

    let imds = example(AttestorKind::AZURE_IMDS);
    let not_asked = "https://management.azure.com was not asked for virtual machine f904ece8-c6c1-4b5c-881f-309b50f25e56 of subscription";
    told(&imds.verify(None), 2, not_asked);
    told(&imds.but("/api", None), 2, not_asked);
    let msi = example(AttestorKind::AZURE_MSI);
    told(
        &msi.but("/api", None),
        2,
        "https://management.azure.com was not asked for \"/subscriptions/",
    );
    told(
        &msi.verify(None),
        2,
        "has the key that signed the token, and nobody is asked here",
    );
    told(
        &msi.but("/key", None),
        2,
        "hint: give its JWK set with --keys, or the key as `key`",
    );
    let gcp = example(AttestorKind::GCP_IIT);
    told(
        &gcp.but("/api", None),
        2,
        "https://compute.googleapis.com was not asked for projects/my-project-prod/zones/us-central1-a/instances/node-7",
    );
    told(
        &gcp.verify(None),
        2,
        "https://www.googleapis.com/oauth2/v3/certs has the key that signed the token",
    );
    let sts = example(AttestorKind::AWS_TOKEN);
    told(&sts.verify(None), 2, "hint: give its JWK set with --keys");
}

#[test]
fn an_answer_of_somebody_else_or_about_another_decides_nothing() {
    let aws = example(AttestorKind::AWS_IID);
    let run = aws.but("/api/instanceId", Some("i-0fedcba9876543210".into()));
    told(
        &run,
        2,
        "it is about instance \"i-0fedcba9876543210\" of account",
    );
    let imds = example(AttestorKind::AZURE_IMDS);
    let run = imds.but(
        "/api/asked",
        Some("https://management.usgovcloudapi.net".into()),
    );
    told(&run, 2, "it is of another resource manager");
    let msi = example(AttestorKind::AZURE_MSI);
    let run = msi.but("/key/source", Some("https://evil.example".into()));
    told(
        &run,
        2,
        "`key.source` is \"https://evil.example\", and these settings ask https://login.microsoftonline.com/",
    );
    let gcp = example(AttestorKind::GCP_IIT);
    let run = gcp.but("/api/place/name", Some("node-8".into()));
    told(
        &run,
        2,
        "about projects/my-project-prod/zones/us-central1-a/instances/node-8",
    );
    // What is wrong with the machine itself is a decision.
    let run = gcp.but(
        "/api/found/instance/machineType",
        Some("n1-standard-2".into()),
    );
    told(&run, 1, "machine-type-not-allowed");
    let run = imds.but("/api/machine/size", Some("Standard_D4s_v3".into()));
    told(&run, 1, "vm-size-not-allowed");
}

#[test]
fn the_key_is_given_once_and_can_be_used() {
    for kind in [
        AttestorKind::AWS_TOKEN,
        AttestorKind::AZURE_MSI,
        AttestorKind::GCP_IIT,
    ] {
        let example = example(kind);
        let files = tempfile::tempdir().unwrap();
        let set = files.path().join("keys.json");
        let jwk = &example.answers["key"]["jwk"];
        std::fs::write(&set, json!({"keys": [jwk]}).to_string()).unwrap();
        let keys = ["--keys", set.to_str().unwrap()];
        let whole = example.answers.to_string();
        told(
            &example.verify_with(Some(&whole), &keys),
            2,
            "give one of the two",
        );
        let mut without = example.answers.clone();
        without.as_object_mut().unwrap().remove("key");
        let run = example.verify_with(Some(&without.to_string()), &keys);
        assert_eq!(run.status, 0, "{kind}: {}", run.stderr);
        told(
            &example.but("/key/jwk/n", Some("AQAB".into())),
            2,
            "`key.jwk`: ",
        );
        told(
            &example.but("/key/jwk/kid", Some("k9".into())),
            2,
            "`key.jwk` is not the key ",
        );
    }
}
