//! `azure_msi`: a token of a managed identity of Azure, for the verifier as its audience.

use assay_common::policy::AttestorKind;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use zeroize::Zeroizing;

use super::elsewhere::{self, Elsewhere};
use super::token::Said;
use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings, bound};
use crate::finding::Finding;
use crate::metadata::client::{Question, Secret};
use crate::metadata::{Answer, AskError, Asking, Client, Endpoint, azure, encoded};

const PATH: &str = "/metadata/identity/oauth2/token";
const VERSION: &str = "2018-02-01";
/// App Service, Functions and Container Apps have an endpoint of their own, which these name.
const ENDPOINT_VARIABLE: &str = "IDENTITY_ENDPOINT";
const HEADER_VARIABLE: &str = "IDENTITY_HEADER";
const SERVICE_HEADER: &str = "x-identity-header";
const SERVICE_VERSION: &str = "2019-08-01";
/// One attempt there.
const WITHIN: core::time::Duration = core::time::Duration::from_secs(10);

const ELSEWHERE: &[Elsewhere] = &[
    (
        "resource_id",
        "the token's audience is `audience` here; an identity's resource is `identityResourceId`",
    ),
    (
        "use_system_assigned_identity",
        "the system-assigned identity is taken where none of `clientId`, `objectId` and `identityResourceId` is there",
    ),
    ("user_assigned_identity_client_id", "it is `clientId` here"),
    ("principal_id", "it is `objectId` here"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields {
    metadata_endpoint: Option<String>,
    audience: Option<String>,
    tenant_id: Option<String>,
    client_id: Option<String>,
    object_id: Option<String>,
    identity_resource_id: Option<String>,
    timeout: Option<String>,
    max_retries: Option<u8>,
    retry_delay: Option<String>,
}

/// `config:` of an `azure_msi` entry.
#[derive(Debug)]
pub struct Config(Fields);

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        elsewhere::read(deserializer, ELSEWHERE).map(Self)
    }
}

/// Which of a machine's identities.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    System,
    Client(String),
    Object(String),
    Resource(String),
}

impl Identity {
    /// As the instance metadata service and the endpoint of App Service have it in a query.
    fn query(&self, service: bool) -> String {
        let (name, value) = match (self, service) {
            (Self::System, _) => return String::new(),
            (Self::Client(id), _) => ("client_id", id),
            (Self::Object(id), false) => ("object_id", id),
            (Self::Object(id), true) => ("principal_id", id),
            (Self::Resource(id), false) => ("msi_res_id", id),
            (Self::Resource(id), true) => ("mi_res_id", id),
        };
        format!("&{name}={}", encoded(value))
    }
}

impl core::fmt::Display for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::System => f.write_str("the system-assigned one"),
            Self::Client(id) => write!(f, "client {id}"),
            Self::Object(id) => write!(f, "object {id}"),
            Self::Resource(id) => f.write_str(id),
        }
    }
}

/// 8-4-4-4-12 hex digits.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn identity(fields: &Fields) -> Result<Identity, MethodError> {
    let uuid = |name: &str, id: &String| match is_uuid(id) {
        true => Ok(id.clone()),
        false => Err(MethodError::new(
            format!("{name}: no UUID"),
            "as `az identity show` has it",
        )),
    };
    match (
        &fields.client_id,
        &fields.object_id,
        &fields.identity_resource_id,
    ) {
        (None, None, None) => Ok(Identity::System),
        (Some(id), None, None) => uuid("clientId", id).map(Identity::Client),
        (None, Some(id), None) => uuid("objectId", id).map(Identity::Object),
        (None, None, Some(id)) if id.starts_with("/subscriptions/") && id.len() <= 1024 => {
            Ok(Identity::Resource(id.clone()))
        }
        (None, None, Some(_)) => Err(MethodError::new(
            "identityResourceId: no identity's resource",
            "/subscriptions/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME",
        )),
        _ => Err(MethodError::new(
            "more than one of `clientId`, `objectId` and `identityResourceId`",
            "one of them names the identity; remove the others",
        )),
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
        let identity = identity(&fields)?;
        let audience = match (fields.audience, fields.tenant_id) {
            (Some(audience), _) => audience,
            (None, Some(tenant)) if is_uuid(&tenant) => {
                format!("api://{}/defakto-server", tenant.to_ascii_lowercase())
            }
            (None, Some(_)) => {
                return Err(MethodError::new(
                    "tenantId: no UUID",
                    "as `az account show` has it",
                ));
            }
            (None, None) => {
                let what = "neither `audience` nor `tenantId`";
                let hint = "`audience` is the one of the verifier's policy; with `tenantId` alone it is \
                            api://TENANT/defakto-server";
                return Err(MethodError::new(what, hint));
            }
        };
        bound::checked_audience(&audience)?;
        let configured = fields.metadata_endpoint.is_some();
        Ok(Box::new(AzureMsi {
            client: asking.client(azure::ENDPOINT)?,
            service: (!configured).then(Service::of_environment).flatten(),
            audience,
            identity,
        }))
    }
}

/// The endpoint of App Service and its like, which the environment names.
#[derive(Debug, Clone)]
struct Service {
    endpoint: String,
    header: Secret,
}

impl Service {
    fn of_environment() -> Option<Self> {
        let endpoint = std::env::var(ENDPOINT_VARIABLE).ok()?;
        let header = Zeroizing::new(std::env::var(HEADER_VARIABLE).ok()?);
        Some(Self {
            endpoint,
            header: Secret(header),
        })
    }
}

/// A machine with an identity.
#[derive(Debug)]
struct AzureMsi {
    client: Client,
    service: Option<Service>,
    audience: String,
    identity: Identity,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

/// What the service's refusals mean.
fn refused(answer: &Answer) -> Option<&'static str> {
    let words = azure::words(answer);
    match answer.status {
        400 if words.contains("Identity not found") => Some(
            "the machine has no such managed identity: `az vm identity assign`, or correct `clientId`, `objectId` or \
             `identityResourceId`",
        ),
        400 if words.contains("invalid_resource") || words.contains("AADSTS500011") => Some(
            "no application of the tenant has this audience: `az ad app create --identifier-uris AUDIENCE`, or correct `audience`",
        ),
        400 if words.contains("multiple") || words.contains("Multiple") => {
            Some("the machine has several identities: name one by `clientId`")
        }
        _ => None,
    }
}

impl AzureMsi {
    fn token(&self) -> Result<Zeroizing<String>, MethodError> {
        let answer = match &self.service {
            Some(service) => self.of_service(service)?,
            None => {
                let path = format!(
                    "{PATH}?api-version={VERSION}&resource={}{}",
                    encoded(&self.audience),
                    self.identity.query(false)
                );
                azure::get(&self.client, &path, refused)?
            }
        };
        let granted = serde_json::from_slice::<Granted>(&answer.body);
        let token = granted.map(|granted| Zeroizing::new(granted.access_token));
        let token = token.unwrap_or_default();
        bound::checked_token(&answer.by, &token)
    }

    fn of_service(&self, service: &Service) -> Result<Answer, MethodError> {
        let (endpoint, path) = Endpoint::with_path(&service.endpoint).map_err(|_| {
            let what = format!("{ENDPOINT_VARIABLE} names no endpoint that this agent can ask");
            let hint = "App Service, Functions and Container Apps set it with plain HTTP; Service Fabric and Azure Arc are \
                        other services, and not supported";
            MethodError::new(what, hint)
        })?;
        let path = path.split('?').next().unwrap_or("/");
        let query = self.identity.query(true);
        let path = format!(
            "{path}?api-version={SERVICE_VERSION}&resource={}{query}",
            encoded(&self.audience)
        );
        let client = Client::new(endpoint, self.client.patience());
        let question = Question::get(path, WITHIN).with(SERVICE_HEADER, service.header.clone());
        let answer = client.ask(&question).map_err(|error: AskError| {
            let hint = format!(
                "{ENDPOINT_VARIABLE} and {HEADER_VARIABLE} are the platform's; restart the app"
            );
            MethodError::new(error.to_string(), hint)
        })?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let hint = refused(&answer).unwrap_or(match answer.status {
            401 | 403 => "the platform does not take its own IDENTITY_HEADER: pass both variables on to the agent as they are",
            _ => "assign the app an identity: `az webapp identity assign`",
        });
        let what = format!(
            "{}: HTTP {}: {}",
            answer.by,
            answer.status,
            azure::words(&answer)
        );
        Err(MethodError::new(what, hint))
    }
}

impl Method for AzureMsi {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AZURE_MSI
    }

    fn prove(&mut self, _: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let token = self.token()?;
        let payload = json!({"token": token.as_str()});
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let asks = match &self.service {
            Some(_) => format!("the endpoint of {ENDPOINT_VARIABLE}"),
            None => self.client.endpoint().to_string(),
        };
        Ok(Offer::default()
            .with("evidence", "a token of a managed identity")
            .with("asks", asks)
            .with("audience", &self.audience)
            .with("identity", self.identity.to_string()))
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::AZURE_MSI.to_string();
        vec![match self.token() {
            Ok(token) => {
                let said = Said::read(&token);
                let text = |name: &str| said.as_ref().and_then(|said| said.text(name));
                let tenant = text("tid").unwrap_or_else(|| "?".to_owned());
                let principal = text("oid").unwrap_or_else(|| "?".to_owned());
                let seen = format!(
                    "a token of principal {principal}, tenant {tenant}, for {}",
                    self.audience
                );
                Finding::ok(subject, seen)
            }
            Err(error) => Finding::fail(subject, error.what, error.hint),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, is_uuid};

    #[test]
    fn an_identity_is_named_as_each_endpoint_has_it() {
        let id = "0f0f0f0f-1111-2222-3333-444444444444".to_owned();
        assert!(is_uuid(&id));
        for wrong in [
            "",
            "0f0f0f0f",
            "0f0f0f0f-1111-2222-3333-44444444444g",
            "0f0f0f0f-1111-2222-3333-444444444444-",
        ] {
            assert!(!is_uuid(wrong), "{wrong}");
        }
        let query = |identity: &Identity| (identity.query(false), identity.query(true));
        let same = format!("&client_id={id}");
        assert_eq!(query(&Identity::Client(id.clone())), (same.clone(), same));
        assert_eq!(
            query(&Identity::Object(id.clone())),
            (format!("&object_id={id}"), format!("&principal_id={id}"))
        );
        assert_eq!(
            query(&Identity::Resource("/subscriptions/a".to_owned())),
            (
                "&msi_res_id=%2Fsubscriptions%2Fa".to_owned(),
                "&mi_res_id=%2Fsubscriptions%2Fa".to_owned()
            )
        );
        assert_eq!(query(&Identity::System), (String::new(), String::new()));
    }
}
