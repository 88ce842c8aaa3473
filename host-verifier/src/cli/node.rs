//! `assay node`: the nodes that ever logged in.

use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Access, Reached};
use super::format::Format;
use super::node_identity::{self, Instance, Whom};
use super::remote::{Page, encoded};
use super::service::{Failure, author, block_on, changed, finish, open_store, table};
use crate::audit::Change;
use crate::store::{Ban, NodeRecord};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Nodes, the last seen first
    List {
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// One node: its identity, keys and counters, and why it may not log in, if it may not
    ///
    /// With --identity, the key and the node that an instance is bound to (tofu), and the ban of it.
    Show {
        /// Which
        #[command(flatten)]
        whom: Whom,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Forget a node and its sessions, so that another TPM can take its identity
    ///
    /// Also for a TPM that was cleared on purpose: its counters begin again, which is refused otherwise. With --identity, an instance
    /// alone is unbound from the key of its first login (tofu), and its sessions with that key end; others with its SPIFFE ID stay as
    /// they are.
    Evict {
        /// Which
        #[command(flatten)]
        whom: Whom,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Take a node's next boot as it is, whatever its counters were
    ///
    /// For a TPM that was reset without its node (`reset-witness`), once somebody has looked at the board. All else that is known of
    /// the node stays: its identity, its sessions, and which microcontroller and keys it is bound to.
    ForgetBoots {
        /// The node: its hash, as `assay node list` shows it
        ek_hash: String,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Refuse a node from now on, and end its sessions now; or refuse a key, a token or a name
    ///
    /// It need not have logged in before. With --identity, whatever SPIFFE ID it would get: for nodes without a TPM. Sessions that it
    /// has are not renewed any more and end within `session.ttl`; ban their nodes as well to end them now.
    Ban {
        /// Whom
        #[command(flatten)]
        whom: Whom,
        /// Why, for those who come after you
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Bans, the latest first, also of TPMs that never logged in
    Bans {
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Lift a ban; sessions that it ended stay ended
    Unban {
        /// Whom
        #[command(flatten)]
        whom: Whom,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Banned {
    ek_hash: String,
    #[serde(flatten)]
    ban: Reason,
}

#[derive(Debug, Serialize)]
struct Unbanned {
    unbanned: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Shown {
    ek_hash: String,
    spiffe_id: String,
    cluster: String,
    ak_name: Option<String>,
    boot: Option<Boot>,
    first_seen: Timestamp,
    last_seen: Timestamp,
    ban: Option<Reason>,
}

/// A ban without whom it is of.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(super) struct Reason {
    pub(super) banned_at: Timestamp,
    pub(super) banned_by: String,
    pub(super) reason: String,
}

impl From<Ban> for Reason {
    fn from(ban: Ban) -> Self {
        Banned::from(ban).ban
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Boot {
    clock: u64,
    reset_count: u32,
    restart_count: u32,
    safe: bool,
    firmware_version: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Evicted {
    pub(super) evicted: String,
}

#[derive(Debug, Serialize)]
struct Forgotten {
    forgotten: String,
}

/// What `assay node show` found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Node(Box<Shown>),
    Instance(Instance),
}

impl From<NodeRecord> for Shown {
    fn from(node: NodeRecord) -> Self {
        Self {
            ak_name: node.attestation_key().map(hex::encode),
            ek_hash: node.ek_hash,
            spiffe_id: node.spiffe_id,
            cluster: node.cluster,
            boot: node.boot.map(|boot| Boot {
                clock: boot.clock,
                reset_count: boot.reset_count,
                restart_count: boot.restart_count,
                safe: boot.safe,
                firmware_version: format!("{:016x}", boot.firmware_version),
            }),
            first_seen: node.first_seen,
            last_seen: node.last_seen,
            ban: node.ban.map(|ban| Banned::from(ban).ban),
        }
    }
}

impl From<Ban> for Banned {
    fn from(ban: Ban) -> Self {
        Self {
            ek_hash: ban.ek_hash,
            ban: Reason {
                banned_at: ban.banned_at,
                banned_by: ban.banned_by,
                reason: ban.reason,
            },
        }
    }
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            access,
            limit,
            format,
        } => {
            let result = access.reach().and_then(|site| block_on(list(site, limit)));
            finish(format, result, |nodes| {
                let rows = nodes.iter().map(|n| {
                    [
                        n.ek_hash.clone(),
                        n.spiffe_id.clone(),
                        n.cluster.clone(),
                        n.last_seen.to_string(),
                        match n.ban {
                            Some(_) => "banned",
                            None => "active",
                        }
                        .to_owned(),
                    ]
                });
                let header = ["NODE", "SPIFFE ID", "CLUSTER", "LAST SEEN", "STATE"];
                table(header, rows)
            })
        }
        Command::Show {
            whom,
            access,
            format,
        } => {
            let result = access.reach().and_then(|site| match &whom.identity {
                Some(identity) => {
                    block_on(node_identity::instance(site, identity)).map(Found::Instance)
                }
                None => {
                    let shown = block_on(show(site, &whom.hash()))?;
                    Ok(Found::Node(Box::new(shown)))
                }
            });
            finish(format, result, |found| match found {
                Found::Node(node) => text(node),
                Found::Instance(instance) => node_identity::text(instance),
            })
        }
        Command::Evict {
            whom,
            access,
            format,
        } => {
            let result = access.reach().and_then(|site| match &whom.identity {
                Some(identity) => block_on(node_identity::unbind(site, identity)),
                None => block_on(evict(site, whom.hash())),
            });
            finish(format, result, |evicted| {
                format!("evicted {}", evicted.evicted)
            })
        }
        Command::ForgetBoots {
            ek_hash,
            access,
            format,
        } => {
            let result = access
                .reach()
                .and_then(|site| block_on(forget_boots(site, ek_hash)));
            finish(format, result, |it| {
                format!("forgot the boots of {}", it.forgotten)
            })
        }
        Command::Ban {
            whom,
            reason,
            access,
            format,
        } => {
            // What cannot be a ban is bad usage, whoever would be asked for it.
            let reason = match reason.trim() {
                "" => String::new(),
                reason => whom.reason(reason),
            };
            let ban = Ban::new(&whom.hash(), Timestamp::now(), &author(), &reason)
                .map_err(|error| Failure::usage(error.to_string()));
            let result = ban.and_then(|ban| block_on(put_ban(access.reach()?, ban)));
            finish(format, result, |banned| {
                format!("banned {}", banned.ek_hash)
            })
        }
        Command::Bans {
            access,
            limit,
            format,
        } => {
            let result = access.reach().and_then(|site| block_on(bans(site, limit)));
            finish(format, result, |bans| {
                let rows = bans.iter().map(|b| {
                    [
                        b.ek_hash.clone(),
                        b.ban.banned_at.to_string(),
                        b.ban.banned_by.clone(),
                        b.ban.reason.clone(),
                    ]
                });
                table(["NODE", "SINCE", "BY", "REASON"], rows)
            })
        }
        Command::Unban {
            whom,
            access,
            format,
        } => {
            let result = access
                .reach()
                .and_then(|site| block_on(unban(site, whom.hash())));
            finish(format, result, |lifted| {
                format!("unbanned {}", lifted.unbanned)
            })
        }
    }
}

async fn list(site: Reached, limit: u32) -> Result<Vec<Shown>, Failure> {
    match site {
        Reached::Api(remote) => {
            let path = format!("/v1/nodes?order=newest&limit={limit}");
            Ok(remote.get::<Page<Shown>>(&path).await?.items)
        }
        Reached::Store(config) => {
            let nodes = open_store(&config).await?.nodes(limit).await?;
            Ok(nodes.into_iter().map(Shown::from).collect())
        }
    }
}

async fn show(site: Reached, ek_hash: &str) -> Result<Shown, Failure> {
    let config = match site {
        Reached::Api(remote) => {
            let path = format!("/v1/nodes/{}", encoded(ek_hash));
            return remote.get(&path).await;
        }
        Reached::Store(config) => config,
    };
    let node = open_store(&config).await?.node(ek_hash).await?;
    node.map(Shown::from).ok_or_else(|| {
        Failure::failed(format!("there is no node {ek_hash}"))
            .hint("`assay node list` shows all of them")
    })
}

fn text(node: &Shown) -> String {
    let mut lines = vec![
        format!("node:       {}", node.ek_hash),
        format!("spiffe id:  {}", node.spiffe_id),
        format!("cluster:    {}", node.cluster),
        format!(
            "ak name:    {}",
            node.ak_name
                .as_deref()
                .unwrap_or("none: a node without a TPM")
        ),
        format!("first seen: {}", node.first_seen),
        format!("last seen:  {}", node.last_seen),
    ];
    if let Some(boot) = &node.boot {
        lines.push(format!(
            "tpm:        firmware {}, {} resets, {} restarts since, on for {} ms",
            boot.firmware_version, boot.reset_count, boot.restart_count, boot.clock
        ));
    }
    if let Some(ban) = &node.ban {
        lines.push(format!(
            "banned:     {} by {}: {}",
            ban.banned_at, ban.banned_by, ban.reason
        ));
    }
    lines.join("\n")
}

async fn evict(site: Reached, ek_hash: String) -> Result<Evicted, Failure> {
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            remote
                .delete(&format!("/v1/nodes/{}", encoded(&ek_hash)))
                .await?;
            return Ok(Evicted { evicted: ek_hash });
        }
    };
    changed(&config, async |store| {
        if store.evict_node(&ek_hash).await? {
            let change = Change::new("node.evict", "node", &ek_hash);
            return Ok((Evicted { evicted: ek_hash }, Some(change)));
        }
        Err(Failure::failed(format!("there is no node {ek_hash}"))
            .hint("`assay node list` shows all of them"))
    })
    .await
}

async fn forget_boots(site: Reached, ek_hash: String) -> Result<Forgotten, Failure> {
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let path = format!("/v1/nodes/{}/boots", encoded(&ek_hash));
            remote.delete(&path).await?;
            return Ok(Forgotten { forgotten: ek_hash });
        }
    };
    changed(&config, async |store| {
        if store.forget_boot(&ek_hash).await? {
            let change = Change::new("node.forget-boots", "node", &ek_hash);
            return Ok((Forgotten { forgotten: ek_hash }, Some(change)));
        }
        Err(
            Failure::failed(format!("no boot of node {ek_hash} is noted"))
                .hint("only nodes that log in with an event log and count their boots have one"),
        )
    })
    .await
}

async fn put_ban(site: Reached, ban: Ban) -> Result<Banned, Failure> {
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let path = format!("/v1/nodes/{}/ban", encoded(&ban.ek_hash));
            let reason = json!({"reason": ban.reason});
            let told = remote.send(Method::POST, &path, Some(&reason), &[]).await?;
            return Ok(Banned {
                ek_hash: ban.ek_hash,
                ban: told,
            });
        }
    };
    changed(&config, async |store| {
        if store.ban(&ban).await? {
            let change = Change::new("node.ban", "node", &ban.ek_hash).detail(&ban.reason);
            return Ok((ban.into(), Some(change)));
        }
        Err(
            Failure::failed(format!("node {} is banned already", ban.ek_hash))
                .hint("`assay node bans` shows since when and why"),
        )
    })
    .await
}

async fn bans(site: Reached, limit: u32) -> Result<Vec<Banned>, Failure> {
    match site {
        Reached::Api(remote) => {
            let path = format!("/v1/bans?limit={limit}");
            Ok(remote.get::<Page<Banned>>(&path).await?.items)
        }
        Reached::Store(config) => {
            let bans = open_store(&config).await?.bans(limit).await?;
            Ok(bans.into_iter().map(Banned::from).collect())
        }
    }
}

async fn unban(site: Reached, ek_hash: String) -> Result<Unbanned, Failure> {
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let path = format!("/v1/nodes/{}/ban", encoded(&ek_hash));
            remote.delete(&path).await?;
            return Ok(Unbanned { unbanned: ek_hash });
        }
    };
    changed(&config, async |store| {
        if store.unban(&ek_hash).await? {
            let change = Change::new("node.unban", "node", &ek_hash);
            return Ok((Unbanned { unbanned: ek_hash }, Some(change)));
        }
        Err(Failure::failed(format!("node {ek_hash} is not banned"))
            .hint("`assay node bans` shows all bans"))
    })
    .await
}
