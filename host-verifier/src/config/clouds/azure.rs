//! `clouds.azure`: as whom tenants' resource managers are asked, and whose signatures are Azure's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::token_issuers;
use crate::attestor::issuer::config::roots;
use crate::cloud::Answer;
use crate::cloud::azure::{Credentials, Endpoints, Environment, Guid, Proof, Settings};
use crate::config::model::Report;
use crate::config::schema::SpanText;
use crate::config::values::Span;
use crate::document::{DocumentError, Files};
use crate::outside::{Scheme, Target};
use crate::x509::files::CertificateSource;

const CACHE_TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "azureCloud")]
pub(in crate::config) struct Source {
    /// The applications that may read each tenant's virtual machines.
    #[serde(default)]
    #[schemars(with = "Vec<TenantSource>")]
    tenants: Vec<Spanned<TenantSource>>,
    /// Issuers of tokens that policies may name, byte for byte, besides Entra's own two of each tenant: https URLs.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    token_issuers: Vec<Spanned<String>>,
    /// Hosts in place of Azure's own.
    #[serde(default)]
    endpoints: EndpointsSource,
    /// The authorities of these hosts, of Entra's and of the token issuers', in place of the system's: a PEM file, or PEM itself.
    #[schemars(with = "Option<CertificateSource>")]
    ca_certs: Option<Spanned<CertificateSource>>,
    /// Roots of attested documents' signers, besides those of Azure's that the system has: PEM files, or PEM itself.
    #[serde(default)]
    roots: Vec<CertificateSource>,
    /// Certificates that may stand between a signer and a root.
    #[serde(default)]
    intermediates: Vec<CertificateSource>,
    /// Fetch them from Microsoft where a signer says that they are. Default: true.
    fetch_intermediates: Option<bool>,
    /// How long what the resource manager says is kept: 1s to 1h, default 3m.
    #[schemars(with = "Option<SpanText>")]
    cache_ttl: Option<Spanned<Span>>,
}

/// An application of a tenant. One of `clientSecretFile`, `federatedTokenFile` and `managedIdentity`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "azureTenant")]
struct TenantSource {
    /// The tenant.
    #[serde(rename = "tenantID")]
    tenant_id: Guid,
    /// Which of the Azures it is of; a policy that has it in another is refused. Default: AzurePublicCloud.
    #[serde(default)]
    environment: Environment,
    /// The application (client) ID. With `managedIdentity` that of a user-assigned one, or none.
    #[serde(rename = "clientID")]
    client_id: Option<Guid>,
    /// The file with its secret; read whenever a token is asked for.
    #[schemars(length(min = 1))]
    client_secret_file: Option<String>,
    /// The file with a token of another issuer whom the application trusts; read whenever a token is asked for.
    #[schemars(length(min = 1))]
    federated_token_file: Option<String>,
    /// The identity of the machine in Azure that the service runs on.
    #[serde(default)]
    managed_identity: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "azureEndpoints")]
struct EndpointsSource {
    /// Who gives tokens: https://HOST[:PORT].
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    login: Option<Spanned<String>>,
    /// The resource manager.
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    resource_manager: Option<Spanned<String>>,
    /// Who publishes Microsoft's intermediate certificates.
    #[schemars(with = "Option<String>", regex(pattern = "^https://"))]
    certificates: Option<Spanned<String>>,
}

pub(super) fn check(
    report: &Report<'_>,
    source: &Source,
    base: &Path,
) -> Result<Settings, DocumentError> {
    let mut tenants = BTreeMap::new();
    for entry in &source.tenants {
        let id = entry.value.tenant_id.clone();
        let credentials = entry.value.check(report, entry, base)?;
        if tenants.insert(id.clone(), Arc::new(credentials)).is_some() {
            let message = format!("clouds.azure.tenants: {id} is there twice");
            return Err(report.at(entry, message));
        }
    }
    let ca_certs = source.ca_certs.as_ref().map(|certs| {
        roots(&certs.value, Files::beside(base)).map_err(|error| {
            let told = report.at(certs, format!("clouds.azure.{error}"));
            match error.hint {
                Some(hint) => told.hint(hint),
                None => told,
            }
        })
    });
    let sources = |sources: &[CertificateSource]| {
        let sources = sources.iter().map(|source| source.beside(base));
        sources.collect()
    };
    Ok(Settings {
        endpoints: Endpoints {
            login: origin(report, "login", source.endpoints.login.as_ref())?,
            resource_manager: origin(
                report,
                "resourceManager",
                source.endpoints.resource_manager.as_ref(),
            )?,
            certificates: origin(
                report,
                "certificates",
                source.endpoints.certificates.as_ref(),
            )?,
        },
        ca_certs: ca_certs.transpose()?,
        roots: sources(&source.roots),
        intermediates: sources(&source.intermediates),
        token_issuers: token_issuers(report, "azure", &source.token_issuers)?,
        fetch_intermediates: source.fetch_intermediates.unwrap_or(true),
        tenants,
        kept: report.span(source.cache_ttl.as_ref(), Answer::POSITIVE, CACHE_TTL)?,
    })
}

impl TenantSource {
    fn check(
        &self,
        report: &Report<'_>,
        entry: &Spanned<Self>,
        base: &Path,
    ) -> Result<Credentials, DocumentError> {
        let wrong = |message: &str, hint: &str| {
            let message = format!("clouds.azure.tenants: {} {message}", self.tenant_id);
            Err(report.at(entry, message).hint(hint))
        };
        const HOW: &str =
            "give one of `clientSecretFile`, `federatedTokenFile` and `managedIdentity: true`";
        let secret = self.client_secret_file.as_ref();
        let assertion = self.federated_token_file.as_ref();
        if secret.or(assertion).is_some_and(String::is_empty) {
            return wrong("names no file", HOW);
        }
        let proof = match (secret, assertion, self.managed_identity) {
            (Some(file), None, false) => Proof::Secret(base.join(file)),
            (None, Some(file), false) => Proof::Assertion(base.join(file)),
            (None, None, true) => Proof::ManagedIdentity,
            (None, None, false) => return wrong("has no credentials", HOW),
            _ => return wrong("has several credentials", HOW),
        };
        if self.client_id.is_none() && proof != Proof::ManagedIdentity {
            return wrong(
                "has no `clientID`",
                "az ad app list --display-name NAME --query '[].appId'",
            );
        }
        Ok(Credentials {
            environment: self.environment,
            client_id: self.client_id.clone(),
            proof,
        })
    }
}

/// A host over TLS, with nothing behind it.
fn origin(
    report: &Report<'_>,
    name: &str,
    text: Option<&Spanned<String>>,
) -> Result<Option<String>, DocumentError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match Target::parse(&text.value) {
        Ok(target) if target.scheme == Scheme::Https && target.path == "/" => {
            Ok(Some(target.origin()))
        }
        _ => {
            let shown = text.value.escape_debug();
            let message = format!("clouds.azure.endpoints.{name}: `{shown}` is no https origin");
            Err(report
                .at(text, message)
                .hint("e.g. https://management.example.org"))
        }
    }
}

#[cfg(test)]
#[path = "azure_tests.rs"]
mod tests;
