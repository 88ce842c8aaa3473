//! The clusters' configuration: what is set in the store, over what `assayd.yaml` says.
//!
//! A cluster has sections, one document each: [`Section::AgentAttestation`] says who may join, and without one the cluster
//! is not served; [`Section::SvidIssuancePolicy`] says which SPIFFE ID a node gets. `assayd.yaml` may have an
//! `AgentAttestation` for a cluster, its version 0. What was set in the store goes before it; when that is removed, version
//! 0 holds again.
//!
//! * [`change`] puts documents into the store: checked whole, compared and swapped, or not at all.
//! * [`view`] answers what is in force and what was.
//! * [`live`] follows the store and serves what it says, on every replica.
//!
//! The command line and the API both come through here, so neither can store what the other would refuse.
//!
//! # Who is recorded
//!
//! Each version has who set it, when, the digest and a remark, and is never written over: that is the record of changes.
//! The audit trail says of each version that was made who made it; it has one writer, the service whose data directory it lies
//! in, and gets what commands change from them.

pub mod change;
pub mod live;
pub mod view;

mod diff;
mod error;
mod fit;
mod sections;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use assay_common::identity::ClusterName;

pub use change::{By, Changed, SectionChange, Submitted};
pub use error::ChangeError;
pub use live::{ConfigProblem, ConfigStatus, Live};
pub use view::{ClusterState, DiffLine, HistoryEntry, Origin, SectionState, VersionState};

use crate::config::{BaseCluster, Config};
use crate::document::{Files, Place, Provided, Watched};
use crate::login::Cluster;
use crate::policy::{PolicySet, Section};
use crate::session::PathTemplate;
use crate::store::Store;

/// What the service's own configuration says of clusters.
#[derive(Debug, Clone, Default)]
pub struct Base {
    clusters: BTreeMap<String, BaseCluster>,
    config_files: Option<PathBuf>,
    template: Option<DefaultTemplate>,
    trust_domain: Option<String>,
    provided: Provided,
}

/// The template that holds where a cluster has no SVIDIssuancePolicy.
#[derive(Debug, Clone)]
pub(super) struct DefaultTemplate {
    path: PathTemplate,
    /// The file that says so, and where.
    file: String,
    at: Place,
}

impl From<&Config> for Base {
    fn from(config: &Config) -> Self {
        Self {
            clusters: config.clusters.clone(),
            config_files: config.config_files.clone(),
            template: Some(DefaultTemplate {
                path: config.path_template.clone(),
                file: config.file.clone(),
                at: config.path_template_at,
            }),
            trust_domain: Some(config.trust_domain.clone()),
            provided: config.provided(),
        }
    }
}

impl Base {
    /// These clusters, and the directory whose files documents in the store may name. What the service's own template is, is not
    /// said, so nothing is held against it.
    #[must_use]
    pub fn new(clusters: BTreeMap<String, BaseCluster>, config_files: Option<PathBuf>) -> Self {
        Self {
            clusters,
            config_files,
            ..Self::default()
        }
    }

    /// Its clusters as they are served while the store says nothing.
    #[must_use]
    pub fn served(&self) -> BTreeMap<String, Arc<Cluster>> {
        let clusters = self.clusters.iter().map(|(name, cluster)| {
            let cluster = Cluster {
                policies: cluster.policies.clone(),
                issuance: None,
                version: 0,
            };
            (name.clone(), Arc::new(cluster))
        });
        clusters.collect()
    }

    /// The files that its clusters were built from.
    fn named(&self) -> BTreeMap<String, Arc<Watched>> {
        let built = self.clusters.iter().filter_map(|(name, cluster)| {
            let watched = Watched::default();
            watched.adopt(cluster.source.as_ref()?.watched());
            Some((name.clone(), Arc::new(watched)))
        });
        built.collect()
    }

    /// With what the service has for documents in the store.
    #[must_use]
    pub fn providing(self, provided: Provided) -> Self {
        Self { provided, ..self }
    }

    fn files(&self) -> Files<'_> {
        let files = Files::below(self.config_files.as_deref()).provided_by(&self.provided);
        match &self.trust_domain {
            Some(name) => files.in_trust_domain(name),
            None => files,
        }
    }
}

/// The clusters' configuration in a store.
#[derive(Debug, Clone)]
pub struct Clusters {
    base: Arc<Base>,
    store: Arc<dyn Store>,
}

impl Clusters {
    /// Over what the service's own configuration says.
    #[must_use]
    pub fn new(base: Base, store: Arc<dyn Store>) -> Self {
        Self {
            base: Arc::new(base),
            store,
        }
    }

    /// Whether there is such a cluster: in the service's own configuration, or with a section in force in the store.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Store`].
    pub async fn exists(&self, cluster: &str) -> Result<bool, ChangeError> {
        if self.base.clusters.contains_key(cluster) {
            return Ok(true);
        }
        let sections = self.store.config_at(cluster, None).await?;
        let attestation = Section::AgentAttestation.name();
        Ok(sections
            .iter()
            .any(|s| s.entry.section == attestation && s.document.is_some()))
    }
}

impl Clusters {
    /// The policies that are in force for a cluster, built here; `None` when it has none.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Store`], and [`ChangeError::Document`] for what cannot be used here.
    pub async fn policies(&self, cluster: &str) -> Result<Option<Arc<PolicySet>>, ChangeError> {
        let sections = self.store.config_at(cluster, None).await?;
        let attestation = Section::AgentAttestation;
        let stored = sections
            .iter()
            .filter(|section| section.entry.section == attestation.name())
            .find_map(|section| Some((section.entry.version, section.document.as_ref()?)));
        let Some((version, text)) = stored else {
            let base = self.base.clusters.get(cluster);
            return Ok(base.map(|base| base.policies.clone()));
        };
        let name = change::stored_name(cluster, attestation.name(), version);
        match sections::build(attestation, &name, text, self.base.files())? {
            sections::Built::Attestation(policies) => Ok(Some(policies)),
            sections::Built::Issuance(_) => Ok(None),
        }
    }
}

/// Checks a cluster's name.
fn check_name(cluster: &str) -> Result<(), ChangeError> {
    match ClusterName::parse(cluster) {
        Ok(_) => Ok(()),
        Err(error) => Err(ChangeError::Name(crate::document::visible(&format!(
            "cluster `{cluster}`: {error}"
        )))),
    }
}
