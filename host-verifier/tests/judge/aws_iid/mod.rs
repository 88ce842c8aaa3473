//! `aws_iid`: documents in the bytes that AWS writes, signed by keys of our own, and a cloud that answers what it is told to.
//!
//! * `negative`: everything that must not let anybody in, one test each; `restrictions`: what a policy may demand besides.
//! * `positive`: what does, and what it says of the instance.
//! * `settings`: what a policy may say.
//! * `pages`: AWS's page of certificates.
//! * `samples`: really signed documents, when `ASSAY_CLOUD_SAMPLES` names them.

mod negative;
mod pages;
mod positive;
mod restrictions;
mod samples;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use assay_common::login::{LoginKeys, Transcript};
use assay_host_verifier::attestor::aws_iid::{AwsIid, Certificates, Config};
use assay_host_verifier::attestor::{
    AttestError, Attestor as _, Claims, ErrandContext, Facts, Judged, LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::cloud::{CallError, CallErrorKind, Known, Question};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use assay_host_verifier::x509::Certificate;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cms::build::Message;
use crate::conformance::at_once;
use crate::pki::Pki;

pub(crate) const ACCOUNT: &str = "111122223333";
/// The verifier's own.
pub(crate) const OWN: &str = "999988887777";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
pub(crate) const IMAGE: &str = "ami-0123456789abcdef0";
pub(crate) const PROFILE: &str = "arn:aws:iam::111122223333:instance-profile/nodes";
pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/nodes";
pub(crate) const ORGANIZATION: &str = "arn:aws:iam::444455556666:role/DefaktoServerOrgAccountsList";
pub(crate) const STARTED: &str = "2026-02-16T00:38:27Z";

pub(crate) fn now() -> Timestamp {
    "2026-02-16T01:38:27Z".parse().unwrap()
}

/// The keys of two regions, and an old one. Made once: RSA takes a while.
pub(crate) fn aws() -> &'static Pki {
    static AWS: OnceLock<Pki> = OnceLock::new();
    AWS.get_or_init(|| {
        let pki = Pki::new();
        pki.root("ireland", "rsa2048", "");
        pki.root("virginia", "rsa2048", "");
        pki.root("old", "rsa1024", "");
        pki
    })
}

pub(crate) fn certificate(name: &str) -> Certificate {
    aws().read(name)
}

/// The page, in AWS's form.
pub(crate) fn page() -> String {
    let section = |name: &str, region: &str, old: &str, new: &str| {
        let block =
            |label: &str, pem: &str| format!("#### [ {label} ]\n\n```\n{pem}```\n\n------\n");
        let pem = |name: &str| String::from_utf8(aws().pem(name)).unwrap();
        format!(
            "## {name} \u{2014} {region}\n<a name=\"{region}-cert\"></a>\n\n------\n{}{}",
            block("RSA", &pem(old)),
            block("RSA-2048", &pem(new))
        )
    };
    format!(
        "# AWS public certificates\n\n**Expand each Region below.**\n\n{}{}",
        section("US East (N. Virginia)", "us-east-1", "old", "virginia"),
        section("Europe (Ireland)", REGION, "old", "ireland"),
    )
}

/// A document, as the metadata service has it.
pub(crate) fn document(change: impl FnOnce(&mut Value)) -> String {
    let mut document = json!({
        "accountId": ACCOUNT,
        "architecture": "x86_64",
        "availabilityZone": "eu-west-1a",
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": IMAGE,
        "instanceId": INSTANCE,
        "instanceType": "m5.large",
        "kernelId": null,
        "pendingTime": STARTED,
        "privateIp": "10.0.0.7",
        "ramdiskId": null,
        "region": REGION,
        "version": "2017-09-30",
    });
    change(&mut document);
    let text = serde_json::to_string_pretty(&document).unwrap();
    text.replace("\": ", "\" : ")
}

/// What the agent sends of a document that this key signed.
pub(crate) fn signed_by(key: &str, document: &str) -> Value {
    enveloped(&sign(&Message::aws(document.as_bytes()), key))
}

/// Signs with a region's key. One after the other: openssl works on files in one folder.
pub(crate) fn sign(message: &Message, key: &str) -> Vec<u8> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    message.sign(aws(), key, &certificate(key))
}

pub(crate) fn enveloped(blob: &[u8]) -> Value {
    json!({"rsa2048": in_lines(blob)})
}

/// In base64, as the metadata service breaks it.
pub(crate) fn in_lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines = text
        .as_bytes()
        .chunks(76)
        .map(|line| str::from_utf8(line).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// What an honest instance sends.
pub(crate) fn honest() -> Value {
    signed_by("ireland", &document(|_| {}))
}

/// The instance, as EC2 describes it.
pub(crate) fn described() -> Value {
    json!({
        "id": INSTANCE,
        "state": "running",
        "instanceType": "m5.large",
        "imageId": IMAGE,
        "launched": STARTED,
        "availabilityZone": "eu-west-1a",
        "vpcId": "vpc-12345678",
        "subnetId": "subnet-12345678",
        "securityGroups": [{"id": "sg-12345678", "name": "nodes"}, {"id": "sg-87654321", "name": "ssh"}],
        "interfaces": [{
            "id": "eni-12345678", "deviceIndex": 0, "networkCardIndex": 0,
            "attached": "2026-02-16T00:38:28Z", "vpcId": "vpc-12345678", "subnetId": "subnet-12345678",
        }],
        "tags": {"Environment": "production", "Team": "platform", "aws:autoscaling:groupName": "nodes"},
        "instanceProfile": PROFILE,
        "rootDeviceType": "ebs",
        "rootAttached": "2026-02-16T00:38:29Z",
        "volumes": ["vol-12345678", "vol-87654321"],
    })
}

/// A cloud that knows these answers, by lane and question. Whatever else is asked, it fails.
#[derive(Debug, Default)]
pub(crate) struct Cloud {
    answers: BTreeMap<String, Result<Value, CallErrorKind>>,
    asked: Mutex<Vec<String>>,
}

impl Cloud {
    /// With the honest instance, its roles, and the verifier's own account.
    pub(crate) fn honest() -> Self {
        Self::default()
            .with(
                "sts/own GetCallerIdentity",
                json!({"account": OWN, "arn": "arn:aws:sts::999988887777:assumed-role/DefaktoServerHost/i-0"}),
            )
            .with(&describe(), json!({"instance": described()}))
            .with(&profile(), json!({"roles": [ROLE]}))
    }

    #[must_use]
    pub(crate) fn with(mut self, question: &str, answer: Value) -> Self {
        self.answers.insert(question.to_owned(), Ok(answer));
        self
    }

    #[must_use]
    pub(crate) fn failing(mut self, question: &str, kind: CallErrorKind) -> Self {
        self.answers.insert(question.to_owned(), Err(kind));
        self
    }

    /// With the instance otherwise.
    #[must_use]
    pub(crate) fn described(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut instance = described();
        change(&mut instance);
        self.with(&describe(), json!({"instance": instance}))
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn describe() -> String {
    format!("ec2/{ACCOUNT}/{REGION} DescribeInstances {INSTANCE}")
}

pub(crate) fn profile() -> String {
    format!("iam/{ACCOUNT} GetInstanceProfile {PROFILE}")
}

pub(crate) fn member(role: &str) -> String {
    format!("organization-member/{ACCOUNT} account {ACCOUNT} in {role}")
}

pub(crate) fn node(account: &str, cluster: &str) -> String {
    format!("eks-node/{account}/{REGION} node {INSTANCE} of {cluster}")
}

#[async_trait::async_trait]
impl Fetch for Cloud {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        Err(Error::new(&request.url, ErrorKind::Offline))
    }
}

#[async_trait::async_trait]
impl Outside for Cloud {
    async fn jwk(&self, source: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
        Err(Error::new(source.location.url(), ErrorKind::Offline))
    }

    async fn take_join_token(&self, _: &[u8; 32], _: Timestamp) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Offline))
    }

    async fn answer(&self, question: std::sync::Arc<dyn Question>) -> Result<Known, CallError> {
        let key = question.key();
        let asked = format!("{} {}", key.lane, key.what);
        self.asked.lock().unwrap().push(asked.clone());
        let failed = |kind| CallError::new("https://aws.example", "Call", kind);
        match self.answers.get(&asked) {
            Some(Ok(answer)) => Ok(std::sync::Arc::new(Zeroizing::new(
                answer.to_string().into_bytes(),
            ))),
            Some(Err(kind)) => Err(failed(*kind)),
            None => Err(failed(CallErrorKind::Failed)),
        }
    }
}

pub(crate) fn attestor(config: Value) -> AwsIid {
    let config: Config = serde_json::from_value(config).unwrap();
    let pinned = Certificates::parse(&page()).unwrap();
    config.attestor_with(pinned).unwrap()
}

/// Judges a payload as a login does, at a time.
pub(crate) fn judge_at(
    config: Value,
    payload: &Value,
    cloud: &Cloud,
    now: Timestamp,
) -> Result<Claims, AttestError> {
    let attestor = attestor(config);
    let cx = LoginContext {
        now,
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    let errand = match attestor.judge(&cx, payload.to_string().as_bytes())? {
        Judged::Proven(claims) => return Ok(*claims),
        Judged::Errand(errand) => errand,
        Judged::Challenge(_) => panic!("no challenge"),
    };
    let answer = at_once(errand.run(cloud, &errand_context(now)))?;
    errand.judge(&cx, &answer)
}

/// What AWS is asked for a payload, as it is kept.
pub(crate) fn answered(attestor: &AwsIid, payload: &Value, cloud: &Cloud) -> Value {
    let cx = LoginContext {
        now: now(),
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    let Judged::Errand(errand) = attestor.judge(&cx, payload.to_string().as_bytes()).unwrap()
    else {
        panic!("AWS is asked");
    };
    let answer = at_once(errand.run(cloud, &errand_context(now()))).unwrap();
    serde_json::from_slice(&answer).unwrap()
}

fn errand_context(now: Timestamp) -> ErrandContext {
    ErrandContext {
        now,
        login_id: String::new(),
        cluster: "lab".to_owned(),
        trust_domain: "example.org".to_owned(),
        policy: "aws".to_owned(),
        proven: Vec::new(),
        proof_nonce: [0; 32],
    }
}

pub(crate) fn judge(config: Value, payload: &Value, cloud: &Cloud) -> Result<Claims, AttestError> {
    judge_at(config, payload, cloud, now())
}

/// Settings that let in the honest instance.
pub(crate) fn listed() -> Value {
    json!({"awsAccountsAllowed": [ACCOUNT]})
}

/// The name of the check that refuses.
pub(crate) fn refused(result: Result<Claims, AttestError>) -> &'static str {
    result.unwrap_err().check
}
