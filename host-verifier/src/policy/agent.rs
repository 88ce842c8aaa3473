//! Reads the part of an agent's settings that a policy depends on: its cluster, and what it offers, with the names of its
//! methods' settings. The rest is the agent's own affair, and so are the values: `assay agent doctor` reads them.
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
use assay_common::protocol::message::MAX_ITEMS;
use core::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::requirement::Kind;
use crate::attestor::documented::{AgentSetting, agent_settings};
use crate::document::{self, DocumentError, Place, nearest};

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
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    config: Option<Names>,
}

/// The names of a method's settings, at their places; the values are the agent's to read.
#[derive(Debug)]
struct Names(Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with the method's settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key()? {
                    let IgnoredAny = map.next_value()?;
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(Keys)
    }
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
        for Offer {
            r#type: offer,
            config,
        } in attestors.value
        {
            let (kind, at) = (offer.value.0, offer.referenced.into());
            if seen.contains(kind) {
                return Err(
                    error(format!("`{kind}` is offered twice"), at).hint("remove one of them")
                );
            }
            seen = seen.with(kind);
            if offers.len() == MAX_ITEMS {
                return Err(error(format!("more than {MAX_ITEMS} methods"), at)
                    .hint("offer those that a policy of the cluster asks for"));
            }
            check_settings(
                file,
                (kind, at),
                &config.map_or_else(Vec::new, |names| names.0),
            )?;
            offers.push((kind, at));
        }
        Ok(AgentSettings {
            cluster: cluster.value,
            offers,
        })
    }
}

/// Holds the names of a method's settings against those that the agent has. One without a document is not known here.
fn check_settings(
    file: &str,
    (kind, at): (AttestorKind, Place),
    names: &[Spanned<String>],
) -> Result<(), DocumentError> {
    let Some(known) = agent_settings(kind) else {
        return Ok(());
    };
    let all = || known.iter().map(|setting| setting.name);
    let is_known = |name: &Spanned<String>| all().any(|known| known == name.value);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let near = nearest(&unknown.value, all());
        let list = all().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let hint = match (near, list.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => {
                "this method has no settings: which TPM it is stands in `agent.tpm`".to_owned()
            }
            (None, list) => format!("known here: {}", list.join(", ")),
        };
        let message = format!(
            "unknown field `{}` in the settings of {kind}",
            unknown.value
        );
        return Err(DocumentError::new(file, message)
            .at(unknown.referenced.into())
            .hint(hint));
    }
    let is_given = |setting: &AgentSetting| names.iter().any(|name| name.value == setting.name);
    let mut required = known.iter().filter(|setting| setting.is_required);
    match required.find(|setting| !is_given(setting)) {
        None => Ok(()),
        Some(AgentSetting { name, .. }) => {
            let message = format!("{kind} needs `{name}` in its `config`");
            let hint =
                format!("docs/methods/{kind}.md, \"Agent configuration\", says what belongs there");
            Err(DocumentError::new(file, message).at(at).hint(hint))
        }
    }
}
