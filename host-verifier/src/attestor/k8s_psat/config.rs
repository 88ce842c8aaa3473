//! Settings of `k8s_psat`, and the attestor made from them.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::K8sPsat;
use super::verify::{Cluster, label_attribute};
use crate::attestor::issuer::config::{default_audience, error, not_empty};
use crate::attestor::k8s_token::config::is_object_name;
use crate::attestor::kubernetes::config::{ApiFields, accounts};
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::document::Files;
use crate::session::is_attribute_name;
use crate::x509::files::CertificateSource;

/// Most clusters of one entry.
const MOST_CLUSTERS: usize = 64;
/// Most keys of a list of labels: what is kept of an answer has a limit.
const MOST_LABELS: usize = 64;

/// `config:` of a `k8s_psat` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "k8s_psat")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The Kubernetes clusters whose agents may log in, by the name that the agents give.
    #[schemars(extend("minProperties" = 1))]
    pub clusters: BTreeMap<String, ClusterConfig>,
}

/// One Kubernetes cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterConfig {
    /// The agents' service accounts, `namespace:name` each.
    #[schemars(length(min = 1))]
    pub service_account_allow_list: Vec<String>,
    /// The audiences of which the API server must confirm one; an empty list stands for the API server's own.
    pub audience: Option<Vec<String>>,
    /// Labels of nodes that become attributes.
    #[serde(default)]
    pub allowed_node_label_keys: Vec<String>,
    /// Labels of pods that become attributes.
    #[serde(default)]
    pub allowed_pod_label_keys: Vec<String>,
    /// Whether a node is known by its pod's UID in place of its own.
    #[serde(default)]
    pub use_pod_uid_for_agent_id: bool,
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
    /// [`ConfigError`]: no cluster, an empty allow-list, an API server that cannot be asked, labels that cannot be
    /// attributes.
    pub fn attestor(&self, files: Files<'_>) -> Result<K8sPsat, ConfigError> {
        let count = self.clusters.len();
        if count == 0 || count > MOST_CLUSTERS {
            let why = format!("{count} clusters; 1 to {MOST_CLUSTERS} are wanted");
            return Err(error("clusters", &why));
        }
        let clusters = self.clusters.iter();
        let clusters = clusters.map(|(name, config)| config.cluster(name, files).map(Arc::new));
        Ok(K8sPsat {
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
        let audiences = match &self.audience {
            None => vec![default_audience(files)],
            Some(audiences) => audiences.clone(),
        };
        if audiences.len() > 32 || audiences.iter().any(String::is_empty) {
            return Err(error(
                &format!("{at}.audience"),
                "at most 32 audiences, none of them empty",
            ));
        }
        let labels = |field: &str, what: &str, keys: &[String]| {
            check_labels(&format!("{at}.{field}"), what, keys)
        };
        labels(
            "allowedPodLabelKeys",
            "agent_pod_label",
            &self.allowed_pod_label_keys,
        )?;
        labels(
            "allowedNodeLabelKeys",
            "agent_node_label",
            &self.allowed_node_label_keys,
        )?;
        Ok(Cluster {
            name: name.to_owned(),
            access: api.access(&at, files)?,
            allowed: accounts(&at, &self.service_account_allow_list)?,
            audiences,
            pod_labels: self.allowed_pod_label_keys.clone(),
            node_labels: self.allowed_node_label_keys.clone(),
            use_pod_uid: self.use_pod_uid_for_agent_id,
        })
    }
}

/// Keys are `[prefix/]name` (Kubernetes, "Labels and Selectors"), and no two of them may become one attribute.
fn check_labels(field: &str, what: &str, keys: &[String]) -> Result<(), ConfigError> {
    if keys.len() > MOST_LABELS {
        return Err(error(field, &format!("more than {MOST_LABELS} keys")));
    }
    for (i, key) in keys.iter().enumerate() {
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key.as_str()),
        };
        let legal =
            prefix.is_none_or(is_object_name) && is_attribute_name(name) && name.len() <= 63;
        if !legal {
            return Err(error(
                &format!("{field}[{i}]"),
                &format!("{key:?} is no key of a label"),
            ));
        }
        let attribute = label_attribute(what, key);
        let earlier = keys.iter().take(i);
        if earlier
            .map(|key| label_attribute(what, key))
            .any(|other| other == attribute)
        {
            return Err(error(
                &format!("{field}[{i}]"),
                &format!("{key:?} gives an attribute that an earlier key gives"),
            ));
        }
    }
    Ok(())
}
