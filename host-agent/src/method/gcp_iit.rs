//! `gcp_iit`: the identity token of a Compute Engine instance, for the verifier as its audience.

use assay_common::policy::AttestorKind;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use zeroize::Zeroizing;

use super::elsewhere::{self, Elsewhere};
use super::token::Said;
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings, bound};
use crate::finding::Finding;
use crate::metadata::{Asking, Client, encoded, google};

const DEFAULT_ACCOUNT: &str = "default";

const ELSEWHERE: &[Elsewhere] = &[
    (
        "service_account_email",
        "it is `serviceAccount` here: an e-mail address, or `default`",
    ),
    (
        "token_type",
        "identity tokens are the only ones that prove an instance; an access token would hand its rights to the verifier",
    ),
    (
        "identity_token_host",
        "it is `metadataEndpoint` here: `http://` and a host, without a path",
    ),
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields {
    metadata_endpoint: Option<String>,
    audience: Option<String>,
    service_account: Option<String>,
    #[serde(default)]
    licenses: bool,
    timeout: Option<String>,
    max_retries: Option<u8>,
    retry_delay: Option<String>,
}

/// `config:` of a `gcp_iit` entry.
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
        let audience = fields.audience;
        let audience = audience.unwrap_or_else(|| bound::default_audience(around.trust_domain));
        bound::checked_audience(&audience)?;
        let account = fields
            .service_account
            .unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '@' | '_');
        if account.is_empty() || account.len() > 256 || !account.chars().all(legal) {
            let what = "serviceAccount: no e-mail address of a service account";
            return Err(MethodError::new(
                what,
                "e.g. agent@project.iam.gserviceaccount.com, or `default`",
            ));
        }
        Ok(Box::new(GcpIit {
            client: asking.client(google::ENDPOINT)?,
            audience,
            account,
            licenses: fields.licenses,
        }))
    }
}

/// An instance that can have its token.
#[derive(Debug)]
struct GcpIit {
    client: Client,
    audience: String,
    account: String,
    licenses: bool,
}

impl GcpIit {
    fn token(&self, audience: &str) -> Result<Zeroizing<String>, MethodError> {
        let licenses = if self.licenses { "&licenses=TRUE" } else { "" };
        let path = format!(
            "/instance/service-accounts/{}/identity?audience={}&format=full{licenses}",
            self.account,
            encoded(audience)
        );
        let Some(answer) = google::get(&self.client, &path)? else {
            let what = format!(
                "{}: the instance has no service account `{}`",
                self.client.endpoint(),
                self.account
            );
            let hint = "attach one to the instance, which needs no rights; or name the one that is attached as `serviceAccount`";
            return Err(MethodError::new(what, hint));
        };
        bound::checked_token(&answer.by, answer.text().unwrap_or_default())
    }
}

impl Method for GcpIit {
    fn kind(&self) -> AttestorKind {
        AttestorKind::GCP_IIT
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let audience = match bound::wanted_nonce(request)? {
            Some(nonce) => format!("{}:{nonce}", self.audience),
            None => self.audience.clone(),
        };
        let token = self.token(&audience)?;
        let payload = json!({"token": token.as_str()});
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        Ok(Offer::default()
            .with("evidence", "the instance's identity token")
            .with("asks", self.client.endpoint().to_string())
            .with("audience", &self.audience)
            .with("service account", &self.account))
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::GCP_IIT.to_string();
        let by = self.client.endpoint();
        vec![match self.token(&self.audience) {
            Ok(token) => {
                let said = Said::read(&token);
                let email = said.and_then(|said| said.text("email"));
                let whose = email.unwrap_or_else(|| self.account.clone());
                let seen = format!("{by}: a token of {whose} for {}", self.audience);
                Finding::ok(subject, seen)
            }
            Err(error) => Finding::fail(subject, error.what, error.hint),
        }]
    }
}
