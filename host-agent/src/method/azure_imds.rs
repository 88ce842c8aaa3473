//! `azure_imds`: a document about an Azure virtual machine, signed by Azure with this login's nonce in it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use assay_common::policy::AttestorKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::elsewhere::{self, Elsewhere};
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings, bound};
use crate::finding::Finding;
use crate::key;
use crate::metadata::{Asking, Client, azure};

/// The version that both documents are asked in. From 2019-04-30 on the subscription is in the signed one.
const VERSION: &str = "2025-04-07";
const ATTESTED: &str = "/metadata/attested/document";
const INSTANCE: &str = "/metadata/instance";
/// The longest signature and the most intermediates that a verifier takes.
const MAX: usize = 22 * 1024;
const MAX_CERTIFICATES: usize = 4;
/// How often another login's document is answered with another question, for the service keeps answers for a while.
const ATTEMPTS: usize = 5;

const ELSEWHERE: &[Elsewhere] = &[(
    "tenant_domain",
    "it is `agentDomain` here, and a hint alone: the verifier's policy says which tenant the subscription is of",
)];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields {
    metadata_endpoint: Option<String>,
    agent_domain: Option<String>,
    intermediates: Option<PathBuf>,
    timeout: Option<String>,
    max_retries: Option<u8>,
    retry_delay: Option<String>,
}

/// `config:` of an `azure_imds` entry.
#[derive(Debug)]
pub struct Config(Fields);

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        elsewhere::read(deserializer, ELSEWHERE).map(Self)
    }
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let Self(fields) = *self;
        let asking = Asking {
            endpoint: fields.metadata_endpoint.as_deref(),
            timeout: fields.timeout.as_deref(),
            max_retries: fields.max_retries,
            retry_delay: fields.retry_delay.as_deref(),
        };
        let domain = fields.agent_domain;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if let Some(domain) = &domain
            && (domain.is_empty() || domain.len() > 253 || !domain.chars().all(legal))
        {
            let what = "agentDomain: no domain of a tenant";
            return Err(MethodError::new(what, "e.g. example.onmicrosoft.com"));
        }
        Ok(Box::new(AzureImds {
            client: asking.client(azure::ENDPOINT)?,
            domain,
            intermediates: fields.intermediates.map(|path| around.path(&path)),
        }))
    }
}

/// A virtual machine that can have its document.
#[derive(Debug)]
struct AzureImds {
    client: Client,
    domain: Option<String>,
    intermediates: Option<PathBuf>,
}

/// What the service answers.
#[derive(Debug, Deserialize)]
struct Attested {
    encoding: String,
    signature: String,
}

/// What is wanted of the description of the instance.
#[derive(Debug, Deserialize)]
struct Instance {
    compute: Compute,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compute {
    #[serde(default)]
    vm_scale_set_name: String,
    #[serde(default)]
    vm_id: String,
    #[serde(default)]
    subscription_id: String,
    #[serde(default)]
    location: String,
}

impl AzureImds {
    /// The document with this nonce in it. The service may answer with an earlier one, which is asked for again.
    fn document(&self, nonce: &str) -> Result<Attested, MethodError> {
        let begun = Instant::now();
        let patience = self.client.patience();
        let mut pause = patience.delay;
        for _ in 0..ATTEMPTS {
            let attested = self.attested(nonce)?;
            let decoded = STANDARD.decode(&attested.signature).unwrap_or_default();
            // The verifier parses it. That its nonce is in it is all that is looked for here.
            let needle = format!("\"{nonce}\"");
            if decoded
                .windows(needle.len())
                .any(|part| part == needle.as_bytes())
            {
                return Ok(attested);
            }
            if begun.elapsed().saturating_add(pause) >= patience.timeout {
                break;
            }
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(Duration::from_secs(10));
        }
        let by = self.client.endpoint();
        let what = format!("{by}{ATTESTED}: the document has another nonce than was asked for");
        let hint = "the service keeps answers for a while; the agent asks again by itself. If it stays so, something \
                    imitates the service";
        Err(MethodError::new(what, hint))
    }

    fn attested(&self, nonce: &str) -> Result<Attested, MethodError> {
        let path = format!("{ATTESTED}?api-version={VERSION}&nonce={nonce}");
        let answer = azure::get(&self.client, &path, |_| None)?;
        let attested = serde_json::from_slice::<Attested>(&answer.body).ok();
        let attested = attested.map(|found| Attested {
            signature: found.signature.split_ascii_whitespace().collect(),
            ..found
        });
        let whole = |found: &Attested| {
            found.encoding == "pkcs7"
                && found.signature.len() <= MAX
                && STANDARD
                    .decode(&found.signature)
                    .is_ok_and(|der| !der.is_empty())
        };
        attested.filter(whole).ok_or_else(|| {
            let what = format!(
                "{}{ATTESTED}: what it answers is no signed document",
                answer.by
            );
            MethodError::new(what, "something between answers in the service's place")
        })
    }

    fn instance(&self) -> Result<Compute, MethodError> {
        let path = format!("{INSTANCE}?api-version={VERSION}&format=json");
        let answer = azure::get(&self.client, &path, |_| None)?;
        let instance = serde_json::from_slice::<Instance>(&answer.body);
        instance.map(|instance| instance.compute).map_err(|_| {
            let what = format!(
                "{}{INSTANCE}: what it answers describes no instance",
                answer.by
            );
            MethodError::new(what, "something between answers in the service's place")
        })
    }

    /// The certificates between the signer's and a root, for a verifier that may not fetch them.
    fn certificates(&self) -> Result<Option<Vec<String>>, MethodError> {
        let Some(path) = &self.intermediates else {
            return Ok(None);
        };
        let found = key::certificates(path)?;
        if found.len() > MAX_CERTIFICATES {
            let what = format!(
                "{}: more than {MAX_CERTIFICATES} certificates",
                path.display()
            );
            let hint = "the ones between the signer's and a root, which are one or two";
            return Err(MethodError::new(what, hint));
        }
        Ok(Some(found.iter().map(|der| STANDARD.encode(der)).collect()))
    }
}

impl Method for AzureImds {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AZURE_IMDS
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        self.certificates().map(drop)
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let certificates = self.certificates()?;
        let nonce = bound::login_nonce(request.nonce);
        let Attested {
            encoding,
            signature,
        } = self.document(&nonce)?;
        let scale_set = self.instance()?.vm_scale_set_name;
        let mut metadata = serde_json::Map::new();
        if let Some(domain) = &self.domain {
            metadata.insert("agentDomain".to_owned(), domain.as_str().into());
        }
        if !scale_set.is_empty() {
            metadata.insert("vmssName".to_owned(), scale_set.into());
        }
        let mut payload = json!({
            "document": {"encoding": encoding, "signature": signature},
            "metadata": Value::Object(metadata),
        });
        if let (Some(certificates), Some(payload)) = (certificates, payload.as_object_mut()) {
            payload.insert("certificates".to_owned(), certificates.into());
        }
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let mut offer = Offer::default()
            .with("evidence", "the attested document, with the login's nonce")
            .with("asks", self.client.endpoint().to_string());
        if let Some(domain) = &self.domain {
            offer = offer.with("tenant", domain);
        }
        if let Some(path) = &self.intermediates {
            let count = self.certificates()?.map_or(0, |found| found.len());
            offer = offer.with("intermediates", format!("{count}, from {}", path.display()));
        }
        Ok(offer)
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = |part: &str| format!("azure_imds {part}");
        let by = self.client.endpoint();
        let mut findings = Vec::new();
        match self.instance() {
            Ok(found) => {
                let seen = format!(
                    "{by}: {} in {}, subscription {}",
                    found.vm_id, found.location, found.subscription_id
                );
                let seen = assay_host::document::visible(&seen);
                findings.push(Finding::ok(subject("metadata"), seen));
            }
            Err(error) => {
                return vec![Finding::fail(subject("metadata"), error.what, error.hint)];
            }
        }
        // A nonce that no login has.
        let looked =
            super::fresh_nonce().and_then(|nonce| self.document(&bound::login_nonce(&nonce)));
        findings.push(match looked {
            Ok(_) => Finding::ok(
                subject("document"),
                "is signed, with the nonce that was asked for",
            ),
            Err(error) => Finding::fail(subject("document"), error.what, error.hint),
        });
        if let Err(error) = self.certificates() {
            findings.push(Finding::fail(
                subject("intermediates"),
                error.what,
                error.hint,
            ));
        }
        findings
    }
}
