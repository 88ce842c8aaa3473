//! Settings of `k8s_token`, and the attestor made from them.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{K8sToken, verify::ClusterRules};
use crate::attestor::issuer::IssuedToken;
use crate::attestor::issuer::config::{KeyFields, Texts, audiences, error, not_empty, span};
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::document::Files;
use crate::x509::files::CertificateSource;

/// Longest `maxLifetime`.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What a token must be bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Nothing: a token that somebody asked for by hand will do.
    #[default]
    None,
    /// A pod: its claims name one.
    Pod,
    /// A node: its claims name one (Kubernetes 1.30 and later).
    Node,
}

impl Binding {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Pod => "pod",
            Self::Node => "node",
        }
    }
}

/// `config:` of a `k8s_token` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "k8s_token")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The expected `iss`, byte for byte; discovery begins at it unless `jwksURI` or `jwks` is given.
    #[serde(rename = "issuerURL")]
    pub issuer_url: String,
    /// The URL of the cluster's JWK set.
    #[serde(rename = "jwksURI")]
    pub jwks_uri: Option<String>,
    /// The cluster's JWK set of public keys, JSON in a text.
    pub jwks: Option<String>,
    /// The agents' service account.
    #[serde(default = "service_account")]
    pub service_account_name: String,
    /// Its namespace.
    #[serde(default = "namespace")]
    pub service_account_namespace: String,
    /// The audiences of which `aud` must have one.
    pub audience: Option<Texts>,
    /// What a token must be bound to.
    #[serde(default)]
    pub require_bound: Binding,
    /// The longest time from `iat` to `exp`.
    pub max_lifetime: Option<String>,
    /// The authorities of the issuer's web server, in place of the system's: PEM or a file.
    pub ca_certs: Option<CertificateSource>,
    /// Keys may be fetched from private addresses.
    #[serde(default)]
    pub allow_private_addresses: bool,
}

fn service_account() -> String {
    "spirl-agent".to_owned()
}

fn namespace() -> String {
    "spirl-system".to_owned()
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings and reads the files they name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: two sources of keys, a key that is not public or too weak, names that Kubernetes would not take.
    pub fn attestor(&self, files: Files<'_>) -> Result<K8sToken, ConfigError> {
        not_empty("issuerURL", &self.issuer_url)?;
        let discovery = self.jwks_uri.is_none() && self.jwks.is_none();
        let keys = KeyFields {
            discovery: discovery.then_some(("issuerURL", self.issuer_url.as_str())),
            jwks_uri: self.jwks_uri.as_deref(),
            jwks: self.jwks.as_deref(),
            public_keys: None,
            ca_certs: self.ca_certs.as_ref(),
            allow_private: self.allow_private_addresses,
        }
        .keys(files)?;
        let (namespace, account) = (&self.service_account_namespace, &self.service_account_name);
        for (field, name) in [
            ("serviceAccountNamespace", namespace),
            ("serviceAccountName", account),
        ] {
            if !is_object_name(name) {
                let why = format!("{name:?} is no name of a Kubernetes object");
                return Err(error(field, &why));
            }
        }
        let lifetime = self.max_lifetime.as_ref();
        let lifetime = lifetime.map(|text| span("maxLifetime", text, LONGEST));
        Ok(IssuedToken::new(ClusterRules {
            issuer: self.issuer_url.clone(),
            audiences: audiences(self.audience.as_ref(), files),
            subject: format!("system:serviceaccount:{namespace}:{account}"),
            namespace: namespace.clone(),
            service_account: account.clone(),
            keys,
            binding: self.require_bound,
            max_lifetime: lifetime.transpose()?,
        }))
    }
}

/// A DNS subdomain as Kubernetes names objects (RFC 1123): labels of lower-case letters, digits and hyphens, with dots.
pub(in crate::attestor) fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty()
            && label.bytes().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
