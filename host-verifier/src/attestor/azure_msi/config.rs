//! Settings of `azure_msi`, and the attestor made from them.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::AzureMsi;
use super::verify::{Issuer, Judge, Tenant};
use crate::attestor::azure::access::access;
use crate::attestor::azure::lists::{ListFields, Lists, listed_subscriptions};
use crate::attestor::issuer::config::{MOST, Texts, error, https_base, span};
use crate::attestor::source::SourceRule;
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::cloud::azure::{Environment, Guid, Settings, Version};
use crate::document::Files;
use crate::jwt::Prepared;
use crate::outside::{KeyLocation, KeySource, Reach};

/// Longest `maxTokenAge`: Entra gives managed identities tokens of a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// `config:` of an `azure_msi` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "azure_msi")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The tenants, and whom of each is let in.
    #[schemars(length(min = 1, max = 32))]
    pub tenants: Vec<TenantConfig>,
    /// Which of the Azures they are of.
    #[serde(default)]
    pub azure_environment: Environment,
    /// Only tokens that say that a managed identity has them.
    #[serde(default)]
    pub require_managed_identity: bool,
    /// The longest time since `iat`.
    pub max_token_age: Option<String>,
    /// The first session key that an identity proves is the only one it may prove.
    #[serde(default)]
    pub tofu: bool,
    /// What becomes of a login that comes from none of the machine's addresses: `ignore` (the default), `warn`, `require`.
    #[serde(default)]
    pub source_address: SourceRule,
    /// The subscriptions of the machines that are let in.
    #[schemars(length(min = 1, max = 1024))]
    pub subscription_ids: Option<Vec<Guid>>,
    /// Their resource groups.
    #[schemars(length(min = 1, max = 1024))]
    pub resource_groups: Option<Vec<String>>,
    /// Their names, with `*` and `?`.
    #[schemars(length(min = 1, max = 1024))]
    pub vm_name_patterns: Option<Vec<String>>,
    /// Network security groups that each of them has, all of these.
    #[schemars(length(min = 1, max = 1024))]
    pub required_nsg_names: Option<Vec<String>>,
    /// The virtual networks that they may be in.
    #[schemars(length(min = 1, max = 1024))]
    pub vnet_names: Option<Vec<String>>,
    /// The subnets that they may be in.
    #[schemars(length(min = 1, max = 1024))]
    pub subnet_names: Option<Vec<String>>,
    /// Their sizes.
    #[schemars(length(min = 1, max = 1024))]
    pub vm_sizes: Option<Vec<String>>,
    /// Their regions, as `eastus` or `East US`.
    #[schemars(length(min = 1, max = 1024))]
    pub locations: Option<Vec<String>>,
}

/// An entry of `tenants`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "azure_msi_tenant")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantConfig {
    /// The tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: Guid,
    /// The object ID of the managed identity's principal. Without it, any of the tenant that the lists let in.
    #[serde(rename = "principalID")]
    pub principal_id: Option<Guid>,
    /// Its subscriptions whose machines are let in.
    #[serde(rename = "subscriptionIDs")]
    #[schemars(length(min = 1, max = 1024))]
    pub subscription_ids: Option<Vec<Guid>>,
    /// The audiences of which `aud` must be one.
    pub audience: Option<Texts>,
    /// The only issuer, byte for byte: one of Entra's two of the tenant, or one that the operator of the service lists.
    #[serde(rename = "issuerURL")]
    pub issuer_url: Option<String>,
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
    /// [`ConfigError`]: no tenant, one that is there twice, a list that is empty.
    pub fn attestor(&self, files: Files<'_>) -> Result<AzureMsi, ConfigError> {
        let lists = self.lists()?;
        if self.tenants.is_empty() || self.tenants.len() > MOST {
            let why = format!("{} tenants; 1 to {MOST} are wanted", self.tenants.len());
            return Err(error("tenants", &why));
        }
        let clouds = files.clouds();
        let mut tenants: Vec<Tenant> = Vec::with_capacity(self.tenants.len());
        for (position, config) in self.tenants.iter().enumerate() {
            let field = |name: &str| format!("tenants[{position}].{name}");
            let twice = |known: &Tenant| {
                known.id == config.tenant_id && known.principal == config.principal_id
            };
            if tenants.iter().any(twice) {
                let why = "the tenant is there twice with the same principal";
                return Err(error(&field("tenantID"), why));
            }
            let own = config.subscription_ids.as_deref();
            let own = listed_subscriptions(&field("subscriptionIDs"), own)?;
            if config.principal_id.is_none() && own.is_none() && !lists.restrict_subscriptions() {
                return Err(ConfigError {
                    hint: Some(
                        "az identity show --query principalId; or list the tenant's `subscriptionIDs`"
                            .to_owned(),
                    ),
                    ..error(
                        &field("principalID"),
                        "it is needed unless `subscriptionIDs` or `subscriptionIds` is given: any application of the tenant would be let in",
                    )
                });
            }
            tenants.push(Tenant {
                position,
                id: config.tenant_id.clone(),
                principal: config.principal_id.clone(),
                subscriptions: own,
                audiences: match &config.audience {
                    Some(audiences) => audiences.0.clone(),
                    None => vec![format!("api://{}/defakto-server", config.tenant_id)],
                },
                issuers: self.issuers(config, &field("issuerURL"), &clouds.azure)?,
                access: access(&config.tenant_id, self.azure_environment, files)?,
            });
        }
        let age = self.max_token_age.as_ref();
        let age = age.map(|text| span("maxTokenAge", text, LONGEST));
        let judge = Judge {
            tenants,
            lists,
            managed_only: self.require_managed_identity,
            source: self.source_address,
            max_token_age: age.transpose()?,
            prepared: Prepared::default(),
        };
        Ok(AzureMsi {
            judge: Arc::new(judge),
            tofu: self.tofu,
        })
    }

    fn lists(&self) -> Result<Lists, ConfigError> {
        ListFields {
            subscription_ids: self.subscription_ids.as_deref(),
            resource_groups: self.resource_groups.as_deref(),
            vm_name_patterns: self.vm_name_patterns.as_deref(),
            required_nsg_names: self.required_nsg_names.as_deref(),
            vnet_names: self.vnet_names.as_deref(),
            subnet_names: self.subnet_names.as_deref(),
            vm_sizes: self.vm_sizes.as_deref(),
            locations: self.locations.as_deref(),
        }
        .check()
    }

    /// The one that is named; otherwise Entra's two of the tenant. Who it is decides who is which node, so a policy names no
    /// other than those and the operator's.
    fn issuers(
        &self,
        config: &TenantConfig,
        field: &str,
        settings: &Settings,
    ) -> Result<Vec<Issuer>, ConfigError> {
        let source = |location, reach| KeySource {
            location,
            reach,
            roots: settings.ca_certs.clone(),
        };
        let environment = self.azure_environment;
        let tenant = &config.tenant_id;
        let version_of = |name: &str| {
            let mut versions = Version::ALL.into_iter();
            versions.find(|version| environment.issuer(tenant, *version) == name)
        };
        if let Some(name) = &config.issuer_url
            && version_of(name).is_none()
        {
            https_base(field, name)?;
            if !settings.token_issuers.allow(name) {
                return Err(ConfigError {
                    hint: Some(format!(
                        "leave it out; or let the operator of the service list it in `clouds.azure.tokenIssuers` of assayd.yaml: whoever signs there may say that it is any identity of tenant {tenant}"
                    )),
                    ..error(field, "it is not an issuer of Entra's for this tenant")
                });
            }
            let location = KeyLocation::Discovery {
                issuer: name.clone(),
            };
            return Ok(vec![Issuer {
                position: 0,
                name: name.clone(),
                version: None,
                source: source(location, Reach::OPERATORS),
            }]);
        }
        let only = config.issuer_url.as_deref().and_then(version_of);
        let versions = Version::ALL.into_iter();
        let wanted = versions.filter(|version| only.is_none_or(|only| only == *version));
        let issuers = wanted.enumerate().map(|(position, version)| {
            let name = environment.issuer(tenant, version);
            let location = KeyLocation::DiscoveryAt {
                document: environment.discovery(tenant, version),
                issuer: name.clone(),
            };
            Issuer {
                position,
                name,
                version: Some(version),
                source: source(location, Reach::PUBLIC),
            }
        });
        Ok(issuers.collect())
    }
}
