//! Versions of the clusters' configuration: every document that was ever set, and which is in force.
//!
//! A version is a number of one cluster. It rises with every change, and sections that were set together share one.
//! What is in force at a version is, per section, the last document that was set up to it. Nothing is ever written over:
//! a rollback is a new version with an old text, and a removal is a version without a text.
//!
//! The store does not read the documents. Who puts them there has checked them, and who takes them out reads them anew,
//! since another release may have written them.

mod memory;
#[cfg(feature = "service")]
mod postgres;
#[cfg(feature = "service")]
mod rows;
#[cfg(feature = "service")]
mod sqlite;

use jiff::Timestamp;

pub(super) use memory::Versions;

use super::StoreError;

/// One version of one section, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The cluster.
    pub cluster: String,
    /// The section's name. It may be one that this release does not know.
    pub section: String,
    /// Of the cluster, from 1.
    pub version: u64,
    /// SHA-256 of the document's bytes; `None` when the section was removed.
    pub sha256: Option<[u8; 32]>,
    /// Who changed it.
    pub author: String,
    /// What they said about it.
    pub comment: String,
    /// When, in whole seconds.
    pub changed_at: Timestamp,
    /// The version whose state was taken up again, for a rollback.
    pub rollback_of: Option<u64>,
}

/// One version of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigVersion {
    /// What is known of it.
    pub entry: ConfigEntry,
    /// The text as it was given, to the byte; `None` when the section was removed.
    pub document: Option<String>,
}

/// A change of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The cluster.
    pub cluster: String,
    /// Sections with their new texts; `None` removes the section. Each section once.
    pub sections: Vec<(String, Option<String>)>,
    /// The version that the cluster must have, if it matters; 0 for a cluster that was never changed.
    pub expected: Option<u64>,
    /// See [`ConfigEntry`].
    pub author: String,
    /// See [`ConfigEntry`].
    pub comment: String,
    /// Whole seconds.
    pub changed_at: Timestamp,
    /// See [`ConfigEntry`].
    pub rollback_of: Option<u64>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOutcome {
    /// It is stored as this version.
    Changed(u64),
    /// All of it was in force already; this is the cluster's version.
    Unchanged(u64),
    /// The cluster is not at the expected version but at this one. Nothing is stored.
    Conflict(u64),
}

/// The versions. Implemented by every store.
#[async_trait::async_trait]
pub trait ClusterConfigStore {
    /// A number that rises with every change of any cluster: as long as it stands, nothing has changed. Cheap to ask.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn config_generation(&self) -> Result<u64, StoreError>;

    /// Stores a change, all or nothing, if the cluster is at the expected version. Of several changes at once that
    /// expect the same version one is stored. Sections whose text is the one in force get no new version.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is stored then, except after [`StoreError::TimedOut`], when it may be.
    async fn change_config(&self, change: &ConfigChange) -> Result<ConfigOutcome, StoreError>;

    /// What is in force of every cluster that changed after `generation`, removed sections included, by cluster and
    /// section; 0 for all. All of one moment: a change is in it whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn config_in_force(&self, generation: u64) -> Result<Vec<ConfigVersion>, StoreError>;

    /// What was in force of a cluster at `version`, or is now, removed sections included, by section. Empty when
    /// nothing was ever set.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn config_at(
        &self,
        cluster: &str,
        version: Option<u64>,
    ) -> Result<Vec<ConfigVersion>, StoreError>;

    /// At most `limit` entries of a cluster, of one section if it is given, the newest first; with `before` only
    /// those of earlier versions.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn config_history(
        &self,
        cluster: &str,
        section: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError>;

    /// What is in force of at most `limit` clusters, by name, beginning behind `after`; removed sections included.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn config_clusters(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError>;
}

/// SHA-256 of a document's bytes, as [`ConfigEntry`] has it.
#[must_use]
pub fn digest(document: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, document.as_bytes());
    for (slot, byte) in out.iter_mut().zip(digest.as_ref()) {
        *slot = *byte;
    }
    out
}

/// A section of a change: its name, its text and that one's digest.
type New<'a> = (&'a str, Option<&'a str>, Option<[u8; 32]>);

/// The sections of a change that are not in force already. `known` are the sections in force with their digests.
fn news<'a>(change: &'a ConfigChange, known: &[(String, Option<[u8; 32]>)]) -> Vec<New<'a>> {
    let sections = change.sections.iter().map(|(section, document)| {
        let document = document.as_deref();
        (section.as_str(), document, document.map(digest))
    });
    sections
        .filter(|(section, _, sha256)| {
            let before = known.iter().find(|(name, _)| name == section);
            before.and_then(|(_, sha256)| *sha256) != *sha256
        })
        .collect()
}
