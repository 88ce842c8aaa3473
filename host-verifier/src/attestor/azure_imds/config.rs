//! Settings of `azure_imds`, and the attestor made from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::AzureImds;
use super::verify::{Rules, Tenant};
use crate::attestor::azure::access::access;
use crate::attestor::azure::lists::{ListFields, Lists, listed_subscriptions};
use crate::attestor::issuer::config::{MOST, error};
use crate::attestor::source::SourceRule;
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::cloud::azure::{Environment, Guid};
use crate::crypto::Known;
use crate::document::Files;
use crate::session::is_attribute_name;

/// `config:` of an `azure_imds` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "azure_imds")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The tenants whose machines are let in.
    #[schemars(length(min = 1, max = 32))]
    pub tenants: Vec<TenantConfig>,
    /// Which of the Azures they are of.
    #[serde(default)]
    pub azure_environment: Environment,
    /// Tags of machines that become attributes.
    #[serde(rename = "attributeVMTagKeys", default)]
    #[schemars(length(max = 32))]
    pub attribute_vm_tag_keys: Vec<String>,
    /// The first session key that a machine proves is the only one it may prove.
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
#[schemars(rename = "azure_imds_tenant")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantConfig {
    /// The tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: Guid,
    /// Its subscriptions whose machines are let in.
    #[serde(rename = "subscriptionIDs")]
    #[schemars(length(min = 1, max = 1024))]
    pub subscription_ids: Option<Vec<Guid>>,
    /// Whether its resource manager is asked for the machine.
    #[serde(rename = "useComputeAPI", default)]
    pub use_compute_api: bool,
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings, and reads the certificates that the service trusts.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: tenants whose machines could not be told from anybody's, a list that nobody is asked for.
    pub fn attestor(&self, files: Files<'_>) -> Result<AzureImds, ConfigError> {
        let lists = self.lists()?;
        let tenants = self.tenants(&lists, files)?;
        let clouds = files.clouds();
        let trust = clouds.azure.trust(files).map_err(|unusable| ConfigError {
            hint: Some("mend the file, or the entry of assayd.yaml that names it".to_owned()),
            ..error(&unusable.field, &unusable.why.to_string())
        })?;
        Ok(AzureImds {
            rules: Arc::new(Rules {
                trust,
                settings: clouds.azure.clone(),
                known: Known::default(),
                domain: self.azure_environment.metadata_domain(),
                tenants,
                lists,
                tag_keys: self.tag_keys()?,
                addresses: self.source_address != SourceRule::Ignore,
            }),
            tofu: self.tofu,
            source: self.source_address,
        })
    }

    fn tenants(&self, lists: &Lists, files: Files<'_>) -> Result<Vec<Tenant>, ConfigError> {
        if self.tenants.is_empty() || self.tenants.len() > MOST {
            let why = format!("{} tenants; 1 to {MOST} are wanted", self.tenants.len());
            return Err(error("tenants", &why));
        }
        let mut seen: BTreeSet<&Guid> = BTreeSet::new();
        let mut subscriptions: BTreeSet<&Guid> = BTreeSet::new();
        let tenants = self.tenants.iter().enumerate().map(|(i, config)| {
            let field = |name: &str| format!("tenants[{i}].{name}");
            if !seen.insert(&config.tenant_id) {
                return Err(error(&field("tenantID"), "the tenant is there twice"));
            }
            let own = config.subscription_ids.as_ref();
            let name = field("subscriptionIDs");
            match listed_subscriptions(&name, own.map(Vec::as_slice))? {
                Some(_) => {}
                None if self.tenants.len() > 1 => {
                    return Err(ConfigError {
                        hint: Some("az account list --query '[].id'".to_owned()),
                        ..error(
                            &name,
                            "they are needed where there are several tenants: a document does not say of which it is",
                        )
                    });
                }
                // A document of any machine in Azure has a good signature.
                None if !config.use_compute_api && !lists.restrict_subscriptions() => {
                    return Err(ConfigError {
                        hint: Some("name them, or set `useComputeAPI: true`".to_owned()),
                        ..error(
                            &name,
                            "without them any machine of anybody in Azure would be let in",
                        )
                    });
                }
                None => {}
            }
            let mut own_ids = own.into_iter().flatten();
            if let Some(twice) = own_ids.find(|id| !subscriptions.insert(*id)) {
                let why = format!("subscription {twice} is there twice");
                return Err(error(&name, &why));
            }
            self.check_asks(config, lists, &field("useComputeAPI"))?;
            let access = || access(&config.tenant_id, self.azure_environment, files);
            Ok(Tenant {
                id: config.tenant_id.clone(),
                subscriptions: own.cloned(),
                access: config.use_compute_api.then(access).transpose()?,
            })
        });
        tenants.collect()
    }

    /// What only the resource manager can answer is not asked of nobody.
    fn check_asks(
        &self,
        config: &TenantConfig,
        lists: &Lists,
        field: &str,
    ) -> Result<(), ConfigError> {
        let named = self.resource_groups.is_some() || self.vm_name_patterns.is_some();
        let addresses = self.source_address != SourceRule::Ignore;
        let tags = !self.attribute_vm_tag_keys.is_empty();
        let needed = named || lists.need_machine() || tags || addresses;
        match needed && !config.use_compute_api {
            true => Err(ConfigError {
                hint: Some(
                    "set it to true, and give the service credentials for the tenant: `clouds.azure.tenants` in assayd.yaml"
                        .to_owned(),
                ),
                ..error(
                    field,
                    "a document says nothing of names, networks, addresses, sizes, locations and tags: Azure must be asked",
                )
            }),
            false => Ok(()),
        }
    }

    fn tag_keys(&self) -> Result<Vec<String>, ConfigError> {
        let keys = &self.attribute_vm_tag_keys;
        if keys.len() > MOST {
            let why = format!("more than {MOST} tags");
            return Err(error("attributeVMTagKeys", &why));
        }
        for (i, key) in keys.iter().enumerate() {
            let field = format!("attributeVMTagKeys[{i}]");
            if !is_attribute_name(key) {
                return Err(ConfigError {
                    hint: Some("letters, digits, `_`, `-` and `.`".to_owned()),
                    ..error(&field, &format!("{key:?} cannot be an attribute's name"))
                });
            }
            let earlier = keys.iter().take(i);
            if earlier
                .into_iter()
                .any(|known| known.eq_ignore_ascii_case(key))
            {
                return Err(error(&field, &format!("{key:?} is there twice")));
            }
        }
        Ok(keys.clone())
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
}
