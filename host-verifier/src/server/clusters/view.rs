//! What is in force, and what was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::last;
use super::{ChangeError, Clusters, check_name};
use crate::policy::Section;
use crate::store::{ConfigEntry, ConfigVersion};

/// A cluster at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterState {
    /// The cluster.
    pub cluster: String,
    /// The version; 0 when nothing was set in the store by then.
    pub version: u64,
    /// The sections that are in force there, by name.
    pub sections: Vec<SectionState>,
}

/// A section that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SectionState {
    /// Its name.
    pub section: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Its text; absent for one that stands within `assayd.yaml`, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// Where a section comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "origin", rename_all = "camelCase")]
pub enum Origin {
    /// The store.
    Store(VersionState),
    /// The service's own configuration: version 0.
    #[serde(rename_all = "camelCase")]
    Service {
        /// The file, with line and column if it stands within `assayd.yaml`.
        place: String,
    },
}

/// A version of a section, in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The section's name.
    pub section: String,
    /// What is known of the version.
    #[serde(flatten)]
    pub state: VersionState,
}

/// A version of a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionState {
    /// Of the cluster.
    pub version: u64,
    /// SHA-256 of the document in hex; `None` when the section was removed.
    pub sha256: Option<String>,
    /// Who changed it.
    pub author: String,
    /// What they said about it.
    pub comment: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// The version whose state was taken up again, for a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<u64>,
}

impl From<ConfigEntry> for HistoryEntry {
    fn from(entry: ConfigEntry) -> Self {
        Self {
            section: entry.section.clone(),
            state: entry.into(),
        }
    }
}

impl From<ConfigEntry> for VersionState {
    fn from(entry: ConfigEntry) -> Self {
        Self {
            version: entry.version,
            sha256: entry.sha256.map(hex::encode),
            author: entry.author,
            comment: entry.comment,
            changed_at: entry.changed_at,
            rollback_of: entry.rollback_of,
        }
    }
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffLine {
    /// `-` removed, `+` added, a blank for both.
    pub sign: char,
    /// Without its line break.
    pub text: String,
}

impl Clusters {
    /// The sections of a cluster that are in force, or were at `version`, with their texts.
    ///
    /// # Errors
    ///
    /// [`ChangeError`].
    pub async fn state(
        &self,
        cluster: &str,
        section: Option<Section>,
        version: Option<u64>,
    ) -> Result<ClusterState, ChangeError> {
        check_name(cluster)?;
        let now = self.store.config_at(cluster, None).await?;
        let head = last(&now);
        let known = match version {
            None => now,
            Some(version) if version > head => {
                return Err(match head {
                    0 if !self.base.clusters.contains_key(cluster) => {
                        ChangeError::UnknownCluster(cluster.to_owned())
                    }
                    last => ChangeError::NoVersion {
                        cluster: cluster.to_owned(),
                        version,
                        last,
                    },
                });
            }
            Some(version) => self.store.config_at(cluster, Some(version)).await?,
        };
        let version = version.unwrap_or(head);
        let mut state = self.composed(cluster, version, known);
        if state.sections.is_empty() && head == 0 {
            return Err(ChangeError::UnknownCluster(cluster.to_owned()));
        }
        if let Some(section) = section {
            state.sections.retain(|s| s.section == section.name());
            if state.sections.is_empty() {
                return Err(ChangeError::NoSection {
                    cluster: cluster.to_owned(),
                    section: section.name().to_owned(),
                    version,
                });
            }
        }
        Ok(state)
    }

    /// The store's sections over the service's own.
    fn composed(&self, cluster: &str, version: u64, known: Vec<ConfigVersion>) -> ClusterState {
        let set = known.into_iter().filter(|s| s.entry.sha256.is_some());
        let mut sections: Vec<_> = set
            .map(|ConfigVersion { entry, document }| SectionState {
                section: entry.section.clone(),
                origin: Origin::Store(entry.into()),
                document,
            })
            .collect();
        let attestation = Section::AgentAttestation.name();
        if let Some(base) = self.base.clusters.get(cluster)
            && !sections.iter().any(|s| s.section == attestation)
        {
            let own = SectionState {
                section: attestation.to_owned(),
                origin: Origin::Service {
                    place: base.origin.clone(),
                },
                document: base.document.clone(),
            };
            sections.insert(0, own);
        }
        ClusterState {
            cluster: cluster.to_owned(),
            version,
            sections,
        }
    }

    /// At most `limit` versions of a cluster's sections, the newest first; with `before`, earlier ones only.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; [`ChangeError::UnknownCluster`] when the cluster is in neither place.
    pub async fn history(
        &self,
        cluster: &str,
        section: Option<Section>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, ChangeError> {
        check_name(cluster)?;
        let name = section.map(Section::name);
        let entries = self
            .store
            .config_history(cluster, name, before, limit)
            .await?;
        if entries.is_empty() && !self.exists(cluster).await? {
            let any = self.store.config_history(cluster, None, None, 1).await?;
            if any.is_empty() {
                return Err(ChangeError::UnknownCluster(cluster.to_owned()));
            }
        }
        Ok(entries.into_iter().map(HistoryEntry::from).collect())
    }

    /// At most `limit` clusters by name, beginning behind `after`, without texts: those of the store and those of the
    /// service's own configuration. Clusters whose sections were all removed have none.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Store`].
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ClusterState>, ChangeError> {
        let entries = self.store.config_clusters(after, limit).await?;
        let mut known: std::collections::BTreeMap<String, Vec<ConfigVersion>> =
            std::collections::BTreeMap::new();
        for entry in entries {
            let sections = known.entry(entry.cluster.clone()).or_default();
            sections.push(ConfigVersion {
                entry,
                document: None,
            });
        }
        for name in self.base.clusters.keys() {
            if after.is_none_or(|after| name.as_str() > after) {
                known.entry(name.clone()).or_default();
            }
        }
        let page = known.into_iter().take(limit as usize);
        let states = page.map(|(cluster, sections)| {
            let version = last(&sections);
            let mut state = self.composed(&cluster, version, sections);
            for section in &mut state.sections {
                section.document = None;
            }
            state
        });
        Ok(states.collect())
    }

    /// How a section differs between two versions of a cluster, line by line. A section that is not there, or that
    /// stands within `assayd.yaml`, counts as empty.
    ///
    /// # Errors
    ///
    /// [`ChangeError`].
    pub async fn diff(
        &self,
        cluster: &str,
        section: Section,
        from: u64,
        to: Option<u64>,
    ) -> Result<Vec<DiffLine>, ChangeError> {
        let old = self.state(cluster, None, Some(from)).await?;
        let new = self.state(cluster, None, to).await?;
        Ok(new.since(&old, section))
    }
}

impl ClusterState {
    /// How a section differs from an earlier state; see [`Clusters::diff`].
    #[must_use]
    pub fn since(&self, earlier: &Self, section: Section) -> Vec<DiffLine> {
        fn text(state: &ClusterState, section: Section) -> &str {
            let mut sections = state.sections.iter();
            let found = sections.find(|s| s.section == section.name());
            found
                .and_then(|s| s.document.as_deref())
                .unwrap_or_default()
        }
        super::diff::lines(text(earlier, section), text(self, section))
    }
}
