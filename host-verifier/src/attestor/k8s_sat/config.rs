//! Settings of `k8s_sat`, and the attestor made from them.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::K8sSat;
use super::verify::{Cluster, Means};
use crate::attestor::issuer::config::{error, not_empty, pem_keys};
use crate::attestor::kubernetes::config::{ApiFields, accounts};
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::document::Files;
use crate::x509::files::CertificateSource;

/// Most clusters of one entry.
const MOST_CLUSTERS: usize = 64;

/// `config:` of a `k8s_sat` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "k8s_sat")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The Kubernetes clusters whose agents may log in, by the name that the agents give.
    #[schemars(extend("minProperties" = 1))]
    pub clusters: BTreeMap<String, ClusterConfig>,
}

/// One Kubernetes cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "k8s_sat_cluster")]
pub struct ClusterConfig {
    /// The agents' service accounts, `namespace:name` each.
    #[schemars(length(min = 1))]
    pub service_account_allow_list: Vec<String>,
    /// The public keys that the API server signs with: PEM or files, one or a list.
    pub service_account_key_file: Option<crate::attestor::issuer::config::Texts>,
    /// A kubeconfig file; its current context counts.
    pub kube_config_file: Option<String>,
    /// The API server's URL.
    pub api_server: Option<String>,
    /// The authorities of the API server, in place of the system's: PEM or a file.
    pub ca_certs: Option<CertificateSource>,
    /// A file with the bearer token that the verifier shows, read anew for each login. Only in a document that lies beside
    /// `assayd.yaml`, as `kubeConfigFile`.
    pub token_file: Option<String>,
    /// The token in place of a file: an entry of `outbound.credentials` in `assayd.yaml` that names the API server's origin.
    pub credential: Option<String>,
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
    /// [`ConfigError`]: no cluster, an empty allow-list, neither keys nor an API server, or both.
    pub fn attestor(&self, files: Files<'_>) -> Result<K8sSat, ConfigError> {
        let count = self.clusters.len();
        if count == 0 || count > MOST_CLUSTERS {
            let why = format!("{count} clusters; 1 to {MOST_CLUSTERS} are wanted");
            return Err(error("clusters", &why));
        }
        let clusters = self.clusters.iter();
        let clusters = clusters.map(|(name, config)| config.cluster(name, files).map(Arc::new));
        Ok(K8sSat {
            clusters: clusters.collect::<Result<_, _>>()?,
        })
    }
}

impl ClusterConfig {
    fn cluster(&self, name: &str, files: Files<'_>) -> Result<Cluster, ConfigError> {
        let at = format!("clusters.{name}");
        not_empty("clusters", name)?;
        let api = ApiFields {
            kube_config_file: self.kube_config_file.clone(),
            api_server: self.api_server.clone(),
            ca_certs: self.ca_certs.clone(),
            token_file: self.token_file.clone(),
            credential: self.credential.clone(),
        };
        let means = match &self.service_account_key_file {
            Some(_) if api.is_given() => {
                return Err(ConfigError {
                    hint: Some("keep the keys, or the API server".to_owned()),
                    ..error(
                        &format!("{at}.serviceAccountKeyFile"),
                        "nothing is asked of an API server, since the keys are given",
                    )
                });
            }
            Some(keys) => Means::Keys(pem_keys(
                &format!("{at}.serviceAccountKeyFile"),
                &keys.0,
                files,
            )?),
            None => Means::Review(api.access(&at, files)?),
        };
        Ok(Cluster {
            name: name.to_owned(),
            allowed: accounts(&at, &self.service_account_allow_list)?,
            means,
        })
    }
}
