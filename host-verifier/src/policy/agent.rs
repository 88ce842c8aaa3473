//! Reads the part of an agent's settings that a policy depends on: its cluster, and what it offers. The rest is the agent's
//! own affair, and so are the settings of its methods: `assay agent doctor` reads them.
//!
//! ```yaml
//! agent:
//!   auth:
//!     clusterId: lab
//!     attestors:
//!       - type: tpm_ek
//! ```

use assay_common::identity::ClusterName;
use assay_common::policy::{AttestorKind, AttestorSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::requirement::Kind;
use crate::document::{self, DocumentError, Place};

/// An agent's settings, shape checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Agent", description = "An agent's settings.")]
pub struct AgentDocument {
    /// The agent.
    agent: Agent,
}

/// The agent.
#[derive(Debug, Deserialize, JsonSchema)]
struct Agent {
    /// How it logs in.
    #[schemars(with = "Auth")]
    auth: Spanned<Auth>,
}

/// How an agent logs in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{"required": ["clusterId"]}, {"required": ["clusterName"]}]))]
struct Auth {
    /// Its cluster.
    #[schemars(with = "Option<String>", regex(pattern = "^[A-Za-z0-9._-]+$"))]
    cluster_id: Option<Spanned<String>>,
    /// The same by its other name.
    #[schemars(with = "Option<String>", regex(pattern = "^[A-Za-z0-9._-]+$"))]
    cluster_name: Option<Spanned<String>>,
    /// What it offers, each method once.
    #[schemars(with = "Vec<Offer>", length(min = 1))]
    attestors: Spanned<Vec<Offer>>,
}

/// A method that an agent offers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Offer {
    /// The method.
    #[schemars(with = "super::schema::Method")]
    r#type: Spanned<Kind>,
    /// The method's settings.
    #[serde(rename = "config")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    _config: Option<IgnoredAny>,
}

/// Settings that are right.
#[derive(Debug)]
pub struct AgentSettings {
    /// The cluster that it logs in to.
    pub cluster: String,
    /// The methods that it offers, in order, with their places.
    pub offers: Vec<(AttestorKind, Place)>,
}

impl AgentDocument {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        document::parse(file, text)
    }

    /// Checks the meaning.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn check(self, file: &str) -> Result<AgentSettings, DocumentError> {
        let auth = self.agent.auth;
        let error = |message: String, at: Place| DocumentError::new(file, message).at(at);
        let cluster = match (auth.value.cluster_id, auth.value.cluster_name) {
            (Some(cluster), None) | (None, Some(cluster)) => cluster,
            (Some(_), Some(name)) => {
                return Err(error(
                    "both `clusterId` and `clusterName` are given".to_owned(),
                    name.referenced.into(),
                )
                .hint("remove one of them"));
            }
            (None, None) => {
                return Err(
                    error("no cluster is named".to_owned(), auth.referenced.into())
                        .hint("add `clusterId: NAME` below `auth`"),
                );
            }
        };
        ClusterName::parse(&cluster.value).map_err(|why| {
            error(
                format!("{:?}: {why}", cluster.value),
                cluster.referenced.into(),
            )
            .hint("use the name that `clusters` of assayd.yaml has")
        })?;
        let attestors = auth.value.attestors;
        if attestors.value.is_empty() {
            return Err(error(
                "`attestors` is empty".to_owned(),
                attestors.referenced.into(),
            )
            .hint("list at least one method that the agent offers"));
        }
        let mut seen = AttestorSet::EMPTY;
        let mut offers = Vec::new();
        for Offer { r#type: offer, .. } in attestors.value {
            let (kind, at) = (offer.value.0, offer.referenced.into());
            if seen.contains(kind) {
                return Err(
                    error(format!("`{kind}` is offered twice"), at).hint("remove one of them")
                );
            }
            seen = seen.with(kind);
            offers.push((kind, at));
        }
        Ok(AgentSettings {
            cluster: cluster.value,
            offers,
        })
    }
}
