//! Why a change or a question has no answer.

use crate::document::DocumentError;
use crate::store::StoreError;

/// Why nothing was changed, or there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No cluster can have this name.
    #[error("{0}")]
    Name(String),
    /// A document cannot be used; with its place.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Two documents of one section.
    #[error("{file}: a second document of section {section}; the first is {first}")]
    Twice {
        /// The second one.
        file: String,
        /// The section.
        section: &'static str,
        /// The first one.
        first: String,
    },
    /// Nothing was given to change.
    #[error("no document")]
    Nothing,
    /// The remark, or the name of who makes the change.
    #[error("{0}")]
    Remark(String),
    /// Somebody else has changed the cluster.
    #[error("cluster `{cluster}` is at version {current}, not {expected}")]
    Conflict {
        /// The cluster.
        cluster: String,
        /// As was expected.
        expected: u64,
        /// As it is.
        current: u64,
    },
    /// Others change the cluster again and again.
    #[error("cluster `{0}` is changed by others at this moment")]
    Contended(String),
    /// There is no such cluster in the store or in the service's own configuration.
    #[error("cluster `{0}` is not configured")]
    UnknownCluster(String),
    /// The cluster has no such version.
    #[error("cluster `{cluster}` has no version {version}; its last is {last}")]
    NoVersion {
        /// The cluster.
        cluster: String,
        /// As asked for.
        version: u64,
        /// The last one.
        last: u64,
    },
    /// The cluster has no such section at that version.
    #[error("cluster `{cluster}` has no section {section} at version {version}")]
    NoSection {
        /// The cluster.
        cluster: String,
        /// The section.
        section: String,
        /// The version.
        version: u64,
    },
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ChangeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Document(error) => return error.hint.clone(),
            Self::Store(error) => return error.hint().map(str::to_owned),
            Self::Name(_) => "a cluster's name has letters, digits, `-`, `_` and `.`",
            Self::Twice { .. } => "a section has one document: put all policies into it",
            Self::Nothing => "name at least one section or document",
            Self::Remark(_) => "shorten it, and leave line breaks out",
            Self::Conflict { .. } => {
                "look at what changed (`assay config diff cluster`, GET /v1/clusters/{id}/config), then say so with the present version"
            }
            Self::Contended(_) => "try again",
            Self::UnknownCluster(_) => {
                "`assay config list clusters` and GET /v1/clusters show those that are"
            }
            Self::NoVersion { .. } | Self::NoSection { .. } => {
                "`assay config history cluster` and GET /v1/clusters/{id}/config/history show what was set"
            }
        };
        Some(hint.to_owned())
    }
}
