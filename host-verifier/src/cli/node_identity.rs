//! Nodes by what a method calls them: `--identity METHOD=IDENTITY` of `assay node`.

use assay_common::policy::AttestorKind;
use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::access::Reached;
use super::node::{Evicted, Reason};
use super::remote::{NO_IDENTITY, encoded};
use super::service::{Failure, changed, open_store};
use crate::audit::Change;
use crate::store::{BoundInstance, first_use_hash, identity_hash};

/// Which node.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// The node: its hash, as `assay node list`, `assay node bans` or `assay ek check` shows it
    ek_hash: Option<String>,
    /// A key, token or name, as `identity` in `assay audit show` has it: `x509pop=` and 64 hex digits, for one
    #[arg(long, value_name = "METHOD=IDENTITY", value_parser = identity)]
    pub(super) identity: Option<Identity>,
}

/// What a method calls a node.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    method: AttestorKind,
    name: String,
}

fn identity(text: &str) -> Result<Identity, String> {
    let parts = text.split_once('=').filter(|(_, name)| !name.is_empty());
    let (method, name) = parts.ok_or("METHOD=IDENTITY is wanted, e.g. x509pop=1414e4")?;
    let method =
        AttestorKind::from_name(method).ok_or_else(|| format!("there is no method `{method}`"))?;
    Ok(Identity {
        method,
        name: name.to_owned(),
    })
}

impl Whom {
    /// What the ban is by.
    pub(super) fn hash(&self) -> String {
        match (&self.identity, &self.ek_hash) {
            (Some(Identity { method, name }), _) => identity_hash(*method, name),
            (None, hash) => hash.clone().unwrap_or_default(),
        }
    }

    /// The reason, with whom it is of where the hash would not say it.
    pub(super) fn reason(&self, reason: &str) -> String {
        match &self.identity {
            Some(Identity { method, name }) => format!("{method}={name}: {}", reason.trim()),
            None => reason.to_owned(),
        }
    }
}

/// What is known of an instance by what its method calls it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Instance {
    method: String,
    identity: String,
    /// `None`: no policy has bound it.
    bound: Option<Bound>,
    ban: Option<Reason>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Bound {
    node: String,
    key: String,
    bound_at: Timestamp,
}

impl From<BoundInstance> for Bound {
    fn from(bound: BoundInstance) -> Self {
        Self {
            node: bound.node,
            key: hex::encode(bound.key),
            bound_at: bound.bound_at,
        }
    }
}

impl core::fmt::Display for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}={}", self.method, self.name)
    }
}

impl Identity {
    fn path(&self) -> String {
        let (method, name) = (self.method.to_string(), encoded(&self.name));
        format!("/v1/identities?method={method}&identity={name}")
    }

    fn unknown(&self) -> Failure {
        Failure::failed(format!("no key is bound to {self}")).hint(NO_IDENTITY)
    }
}

/// What an instance is bound to, and the ban of it; it is an error where there is neither.
pub(super) async fn instance(site: Reached, identity: &Identity) -> Result<Instance, Failure> {
    let config = match site {
        Reached::Api(remote) => return remote.get(&identity.path()).await,
        Reached::Store(config) => config,
    };
    let store = open_store(&config).await?;
    let digest = first_use_hash(&identity.name);
    let bound = store.bound(identity.method, &digest).await?;
    let bound = bound.map(Bound::from);
    let hash = identity_hash(identity.method, &identity.name);
    let ban = store.ban_of(&hash).await?;
    if bound.is_none() && ban.is_none() {
        return Err(identity.unknown());
    }
    Ok(Instance {
        method: identity.method.to_string(),
        identity: identity.name.clone(),
        bound,
        ban: ban.map(Reason::from),
    })
}

pub(super) fn text(instance: &Instance) -> String {
    let Instance {
        method, identity, ..
    } = instance;
    let mut lines = vec![format!("identity:   {method}={identity}")];
    match &instance.bound {
        Some(bound) => lines.extend([
            format!("bound to:   key with SHA-256 {}", bound.key),
            format!("since:      {}", bound.bound_at),
            format!("node:       {}", bound.node),
        ]),
        None => lines.push("bound to:   no key".to_owned()),
    }
    if let Some(ban) = &instance.ban {
        lines.push(format!(
            "banned:     {} by {}: {}",
            ban.banned_at, ban.banned_by, ban.reason
        ));
    }
    lines.join("\n")
}

pub(super) async fn unbind(site: Reached, identity: &Identity) -> Result<Evicted, Failure> {
    let evicted = || Evicted {
        evicted: identity.to_string(),
    };
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            remote.delete(&identity.path()).await?;
            return Ok(evicted());
        }
    };
    changed(&config, async |store| {
        let digest = first_use_hash(&identity.name);
        let Some(bound) = store.unbind(identity.method, &digest).await? else {
            return Err(identity.unknown());
        };
        let change = Change::new("node.unbind", "node", &bound.node);
        Ok((evicted(), Some(change.detail(identity.to_string()))))
    })
    .await
}
