//! Settings of `gcp_iit`, and the attestor made from them.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::verify::{Compute, Rules};
use super::{GcpIit, Judge};
use crate::attestor::issuer::config::{Texts, audiences, error, not_empty, span};
use crate::attestor::restriction::{AllowList, Required};
use crate::attestor::source::SourceRule;
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::cloud::gcp::MAX_VALUE;
use crate::document::Files;
use crate::jwt::{MAX_LEEWAY, Prepared};
use crate::outside::{KeyLocation, KeySource, Reach};
use crate::session::is_attribute_name;

/// Google lets no token live longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// Most keys of labels, and of metadata, that become attributes: what is kept of an answer has a limit.
const MOST_KEYS: usize = 32;
/// Longest audience, bytes: with the nonce behind it, the metadata server takes it.
const MAX_AUDIENCE: usize = 256;

/// `config:` of a `gcp_iit` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "gcp_iit")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The projects whose instances may log in, by their IDs.
    #[serde(rename = "allowedProjectIDs")]
    pub allowed_project_ids: AllowList,
    /// The audience that the token must be made for, or several of which it must be for one.
    pub audience: Option<Texts>,
    /// The service accounts that are let in, by their addresses.
    #[serde(default)]
    pub service_account_whitelist: AllowList,
    /// The zones that are let in.
    #[serde(default)]
    pub zone_whitelist: AllowList,
    /// Whether Compute Engine is asked for the instance.
    #[serde(default)]
    pub use_instance_metadata: bool,
    /// Labels that the instance must have, each with the value or values of which it must have one.
    #[serde(default)]
    pub instance_label_whitelist: Required,
    /// The machine types that are let in.
    #[serde(default)]
    pub machine_type_whitelist: AllowList,
    /// The networks that are let in: every interface must be in one of them.
    #[serde(default)]
    pub network_whitelist: AllowList,
    /// The subnetworks that are let in: every interface must be in one of them.
    #[serde(default)]
    pub subnetwork_whitelist: AllowList,
    /// The network tags that the instance must have, all of them.
    #[serde(default)]
    pub required_network_tags: AllowList,
    /// Labels that become attributes.
    #[serde(default)]
    #[schemars(length(max = MOST_KEYS))]
    pub attribute_label_keys: Vec<String>,
    /// Metadata that become attributes.
    #[serde(default)]
    #[schemars(length(max = MOST_KEYS))]
    pub attribute_metadata_keys: Vec<String>,
    /// The longest metadata value that becomes an attribute, bytes.
    #[schemars(range(min = 1, max = MAX_VALUE))]
    pub max_metadata_value_size: Option<usize>,
    /// Whether tokens that name no instance count.
    #[serde(default)]
    pub allow_non_compute_tokens: bool,
    /// The longest time since the token was issued.
    pub max_token_age: Option<String>,
    /// The longest time from `iat` to `exp`.
    pub token_lifetime: Option<String>,
    /// For clocks that differ, at most 60 s.
    pub clock_skew: Option<String>,
    /// Whether the agent must have its token made for this login, by a nonce behind the audience.
    #[serde(default)]
    pub nonce_in_audience: bool,
    /// Whether the first login binds the instance to its key.
    #[serde(default)]
    pub tofu: bool,
    /// What becomes of a login that comes from none of the instance's addresses: `ignore` (the default), `warn`, `require`.
    #[serde(default)]
    pub source_address: SourceRule,
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: a restriction that nothing is known for, a name that Google would not give.
    pub fn attestor(&self, files: Files<'_>) -> Result<GcpIit, ConfigError> {
        self.attestor_for(files, None)
    }

    /// As [`Self::attestor`], for tokens of a login that is known by the nonce that their audience had.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn attestor_for(
        &self,
        files: Files<'_>,
        nonce: Option<String>,
    ) -> Result<GcpIit, ConfigError> {
        self.check_names()?;
        self.check_non_compute()?;
        let audiences = audiences(self.audience.as_ref(), files);
        if let Some(long) = audiences.iter().find(|one| one.len() > MAX_AUDIENCE) {
            let why = format!("{} bytes, more than {MAX_AUDIENCE}", long.len());
            return Err(error("audience", &why));
        }
        let skew = self.clock_skew.as_ref();
        let skew = skew.map(|text| span("clockSkew", text, MAX_LEEWAY));
        let most = |field, text: Option<&String>| {
            let text = text.map(|text| span(field, text, LONGEST));
            text.transpose()
        };
        let settings = Arc::new(files.clouds().gcp.clone());
        Ok(GcpIit(Arc::new(Judge {
            keys: KeySource {
                location: KeyLocation::Jwks(settings.keys_url.clone()),
                reach: Reach::PUBLIC,
                roots: settings.roots.clone(),
            },
            prepared: Prepared::default(),
            rules: Rules {
                audiences,
                nonce_in_audience: self.nonce_in_audience,
                nonce,
                tofu: self.tofu,
                source: self.source_address,
                max_age: most("maxTokenAge", self.max_token_age.as_ref())?,
                max_lifetime: most("tokenLifetime", self.token_lifetime.as_ref())?,
                leeway: skew.transpose()?.unwrap_or(MAX_LEEWAY),
                allow_non_compute: self.allow_non_compute_tokens,
                projects: self.allowed_project_ids.clone(),
                accounts: self.service_account_whitelist.clone(),
                zones: self.zone_whitelist.clone(),
                compute: self.compute(settings)?,
            },
        })))
    }

    /// What needs an answer of Compute Engine, by name.
    fn of_instance(&self) -> [(&'static str, bool); 9] {
        [
            (
                "instanceLabelWhitelist",
                !self.instance_label_whitelist.is_empty(),
            ),
            ("machineTypeWhitelist", self.machine_type_whitelist.is_set()),
            ("networkWhitelist", self.network_whitelist.is_set()),
            ("subnetworkWhitelist", self.subnetwork_whitelist.is_set()),
            ("requiredNetworkTags", self.required_network_tags.is_set()),
            ("attributeLabelKeys", !self.attribute_label_keys.is_empty()),
            (
                "attributeMetadataKeys",
                !self.attribute_metadata_keys.is_empty(),
            ),
            ("sourceAddress", self.source_address != SourceRule::Ignore),
            (
                "maxMetadataValueSize",
                self.max_metadata_value_size.is_some(),
            ),
        ]
    }

    fn compute(
        &self,
        settings: Arc<crate::cloud::gcp::Settings>,
    ) -> Result<Option<Compute>, ConfigError> {
        if !self.use_instance_metadata {
            let set = self.of_instance().into_iter().find(|(_, set)| *set);
            return match set {
                None => Ok(None),
                Some((field, _)) => Err(ConfigError {
                    hint: Some("add `useInstanceMetadata: true`".to_owned()),
                    ..error(
                        field,
                        "the token does not say it, and Compute Engine is not asked",
                    )
                }),
            };
        }
        let max_value = self.max_metadata_value_size.unwrap_or(128);
        if !(1..=MAX_VALUE).contains(&max_value) {
            let why = format!("{max_value} is not between 1 and {MAX_VALUE}");
            return Err(error("maxMetadataValueSize", &why));
        }
        let labels = keys("attributeLabelKeys", &self.attribute_label_keys)?;
        let mut metadata = keys("attributeMetadataKeys", &self.attribute_metadata_keys)?;
        metadata.sort();
        Ok(Some(Compute {
            settings,
            labels: self.instance_label_whitelist.clone(),
            machine_types: self.machine_type_whitelist.clone(),
            networks: self.network_whitelist.clone(),
            subnetworks: self.subnetwork_whitelist.clone(),
            tags: self.required_network_tags.clone(),
            attribute_labels: labels,
            attribute_metadata: metadata,
            max_value,
        }))
    }

    /// Values that could never fit.
    fn check_names(&self) -> Result<(), ConfigError> {
        type Form = (&'static str, fn(&str) -> bool, &'static str);
        let of = |name: &str, kind: &str| {
            let parts: Vec<_> = name.split('/').collect();
            match parts.as_slice() {
                ["projects", project, "global", collection, name] => {
                    *collection == kind && !project.is_empty() && !name.is_empty()
                }
                ["projects", project, "regions", region, collection, name] => {
                    let named = [project, region, name].iter().all(|part| !part.is_empty());
                    *collection == kind && named
                }
                _ => false,
            }
        };
        let lists: [(&AllowList, Form); 5] = [
            (
                &self.allowed_project_ids,
                (
                    "allowedProjectIDs",
                    |id| !id.is_empty() && !id.bytes().all(|b| b.is_ascii_digit()),
                    "a project's ID, not its number, such as `my-project-prod`",
                ),
            ),
            (
                &self.service_account_whitelist,
                (
                    "serviceAccountWhitelist",
                    |address| address.contains('@'),
                    "an address, such as `agent@my-project-prod.iam.gserviceaccount.com`",
                ),
            ),
            (
                &self.zone_whitelist,
                (
                    "zoneWhitelist",
                    |zone| {
                        zone.rsplit_once('-')
                            .is_some_and(|(_, last)| last.len() == 1)
                    },
                    "a zone, not a region, such as `us-central1-a`",
                ),
            ),
            (
                &self.machine_type_whitelist,
                (
                    "machineTypeWhitelist",
                    |name| !name.is_empty() && !name.contains('/'),
                    "a machine type's name, such as `e2-standard-2`",
                ),
            ),
            (
                &self.required_network_tags,
                (
                    "requiredNetworkTags",
                    |tag| !tag.is_empty(),
                    "a network tag",
                ),
            ),
        ];
        for (list, (field, is_one, hint)) in lists {
            if let Some((i, wrong)) = list.not(is_one) {
                return Err(ConfigError {
                    hint: Some(hint.to_owned()),
                    ..error(&format!("{field}[{i}]"), &format!("{wrong:?} fits nothing"))
                });
            }
        }
        let resources = [
            (
                &self.network_whitelist,
                "networkWhitelist",
                "networks",
                "projects/P/global/networks/N",
            ),
            (
                &self.subnetwork_whitelist,
                "subnetworkWhitelist",
                "subnetworks",
                "projects/P/regions/R/subnetworks/S",
            ),
        ];
        for (list, field, kind, form) in resources {
            if let Some((i, wrong)) = list.not(|name| of(name, kind)) {
                return Err(ConfigError {
                    hint: Some(format!("write it as `{form}`")),
                    ..error(
                        &format!("{field}[{i}]"),
                        &format!("{wrong:?} is no resource's name"),
                    )
                });
            }
        }
        Ok(())
    }

    /// What a token that names no instance cannot satisfy.
    fn check_non_compute(&self) -> Result<(), ConfigError> {
        if !self.allow_non_compute_tokens {
            return Ok(());
        }
        let needs = [
            ("zoneWhitelist", self.zone_whitelist.is_set()),
            ("useInstanceMetadata", self.use_instance_metadata),
            ("tofu", self.tofu),
        ];
        match needs.into_iter().find(|(_, set)| *set) {
            None => Ok(()),
            Some((field, _)) => Err(ConfigError {
                hint: Some("write a policy of its own for tokens that name no instance".to_owned()),
                ..error(
                    field,
                    "it needs an instance, and `allowNonComputeTokens` lets in what is none",
                )
            }),
        }
    }
}

/// Keys that become attributes.
fn keys(field: &str, keys: &[String]) -> Result<Vec<String>, ConfigError> {
    if keys.len() > MOST_KEYS {
        return Err(error(field, &format!("more than {MOST_KEYS} keys")));
    }
    for (i, key) in keys.iter().enumerate() {
        let field = format!("{field}[{i}]");
        not_empty(&field, key)?;
        if !is_attribute_name(key) || key.len() > 128 {
            return Err(ConfigError {
                hint: Some("letters, digits, `_`, `-` and `.`".to_owned()),
                ..error(&field, &format!("{key:?} cannot be an attribute's name"))
            });
        }
        if keys.iter().take(i).any(|earlier| earlier == key) {
            return Err(error(&field, "it is there twice"));
        }
    }
    Ok(keys.to_vec())
}
