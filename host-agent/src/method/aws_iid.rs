//! `aws_iid`: the identity document of an EC2 instance, signed by AWS.
//!
//! What travels is the signature's structure with the document inside (`rsa2048`), and nothing beside it that could be
//! another's.

use assay_common::policy::AttestorKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::elsewhere::{self, Elsewhere};
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};
use crate::finding::Finding;
use crate::metadata::Asking;
use crate::metadata::aws::{ENDPOINT, Imds, Visit};

/// Where the document and its signatures are, below `/latest`.
const FOLDER: &str = "/dynamic/instance-identity";
/// The longest signature that a verifier takes, bytes of base64.
const MAX: usize = 22 * 1024;

const ELSEWHERE: &[Elsewhere] = &[
    (
        "use_imdsv2",
        "IMDSv2 is what it speaks; `imdsv1: true` is for instances that have nothing else",
    ),
    (
        "ec2_metadata_endpoint",
        "it is `metadataEndpoint` here: `http://` and a host, without a path",
    ),
    (
        "skip_verification",
        "an agent verifies nothing, and the verifier skips nothing: leave it out",
    ),
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields {
    metadata_endpoint: Option<String>,
    #[serde(default)]
    imdsv1: bool,
    #[serde(default)]
    legacy_signature: bool,
    timeout: Option<String>,
    max_retries: Option<u8>,
    retry_delay: Option<String>,
}

/// `config:` of an `aws_iid` entry.
#[derive(Debug)]
pub struct Config(Fields);

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        elsewhere::read(deserializer, ELSEWHERE).map(Self)
    }
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, _: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let Self(fields) = *self;
        let asking = Asking {
            endpoint: fields.metadata_endpoint.as_deref(),
            timeout: fields.timeout.as_deref(),
            max_retries: fields.max_retries,
            retry_delay: fields.retry_delay.as_deref(),
        };
        Ok(Box::new(AwsIid {
            imds: Imds::new(asking.client(ENDPOINT)?, fields.imdsv1),
            with_legacy: fields.legacy_signature,
        }))
    }
}

/// An instance that can have its document.
#[derive(Debug)]
struct AwsIid {
    imds: Imds,
    /// Also the document and its RSA-1024 signature, for a verifier whose policy takes that.
    with_legacy: bool,
}

/// What the document says, for people. The verifier reads the signed one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    account_id: String,
    instance_id: String,
    region: String,
}

impl AwsIid {
    /// What is at one of the paths, as it stands.
    fn read(&self, visit: &mut Visit<'_>, name: &str) -> Result<String, MethodError> {
        let by = self.imds.endpoint();
        let answer = visit.get(&format!("{FOLDER}/{name}"))?.ok_or_else(|| {
            let what = format!("{by}: there is no identity document ({name})");
            MethodError::new(
                what,
                "this is no EC2 instance, or something that imitates one without identity documents",
            )
        })?;
        core::str::from_utf8(&answer.body)
            .map(str::to_owned)
            .map_err(|_| foreign(&by, name))
    }

    /// A signature: base64, which the service breaks into lines.
    fn signature(&self, visit: &mut Visit<'_>, name: &str) -> Result<String, MethodError> {
        let text = self.read(visit, name)?;
        let text: String = text.split_ascii_whitespace().collect();
        if text.is_empty() || text.len() > MAX || STANDARD.decode(&text).is_err() {
            return Err(foreign(&self.imds.endpoint(), name));
        }
        Ok(text)
    }
}

fn foreign(by: &str, name: &str) -> MethodError {
    let what = format!("{by}: what it answers is no signature ({name})");
    MethodError::new(
        what,
        "something between answers in the service's place; look at what stands between",
    )
}

impl Method for AwsIid {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AWS_IID
    }

    fn prove(&mut self, _: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let mut visit = self.imds.open()?;
        let mut payload = json!({"rsa2048": self.signature(&mut visit, "rsa2048")?});
        if self.with_legacy {
            let document = self.read(&mut visit, "document")?;
            let signature = self.signature(&mut visit, "signature")?;
            if let Some(payload) = payload.as_object_mut() {
                payload.insert("document".to_owned(), document.into());
                payload.insert("signature".to_owned(), signature.into());
            }
        }
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let evidence = match self.with_legacy {
            false => "the signed identity document (rsa2048)",
            true => "the signed identity document (rsa2048, and the RSA-1024 signature)",
        };
        Ok(Offer::default()
            .with("evidence", evidence)
            .with("asks", self.imds.endpoint())
            .with("speaks", self.imds.versions()))
    }

    fn doctor(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let subject = |part: &str| format!("aws_iid {part}");
        let mut visit = match self.imds.open() {
            Ok(visit) => visit,
            Err(error) => {
                return vec![Finding::fail(subject("metadata"), error.what, error.hint)];
            }
        };
        let by = self.imds.endpoint();
        findings.push(match visit.has_token() {
            true => Finding::ok(
                subject("metadata"),
                format!("{by} answers a token by IMDSv2"),
            ),
            false => Finding::warn(
                subject("metadata"),
                format!("{by} has no token for IMDSv2, and is asked by IMDSv1"),
                "have the instance speak IMDSv2, and leave `imdsv1` out: any forged request gets what it says without a token",
            ),
        });
        let looked = self.read(&mut visit, "document").and_then(|text| {
            let document: Document =
                serde_json::from_str(&text).map_err(|_| foreign(&by, "document"))?;
            self.signature(&mut visit, "rsa2048")?;
            Ok(document)
        });
        findings.push(match looked {
            Ok(found) => {
                let seen = format!(
                    "{} in {}, account {}, is signed",
                    found.instance_id, found.region, found.account_id
                );
                Finding::ok(subject("document"), assay_host::document::visible(&seen))
            }
            Err(error) => Finding::fail(subject("document"), error.what, error.hint),
        });
        findings
    }
}
