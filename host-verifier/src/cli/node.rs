//! `assay node`: the nodes that ever logged in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, author, block_on, changed, finish, load, open_store, table};
use crate::audit::Change;
use crate::store::{Ban, NodeRecord};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Nodes, the last seen first
    List {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Forget a node and its sessions, so that another TPM can take its identity
    ///
    /// Also for a TPM that was cleared on purpose: its counters begin again, which is refused otherwise.
    Evict {
        /// The node: SHA-256 of its EK, as `assay node list` shows it
        ek_hash: String,
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Refuse a TPM from now on, and end its sessions now
    ///
    /// It need not have logged in before.
    Ban {
        /// SHA-256 of its EK, as `assay node list` shows it
        ek_hash: String,
        /// Why, for those who come after you
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Bans, the latest first, also of TPMs that never logged in
    Bans {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Lift a ban; sessions that it ended stay ended
    Unban {
        /// SHA-256 of its EK
        ek_hash: String,
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Serialize)]
struct Banned {
    ek_hash: String,
    #[serde(flatten)]
    ban: Reason,
}

#[derive(Debug, Serialize)]
struct Unbanned {
    unbanned: String,
}

#[derive(Debug, Serialize)]
struct Shown {
    ek_hash: String,
    spiffe_id: String,
    cluster: String,
    ak_name: String,
    boot: Option<Boot>,
    first_seen: Timestamp,
    last_seen: Timestamp,
    ban: Option<Reason>,
}

/// A ban without whom it is of.
#[derive(Debug, Serialize)]
struct Reason {
    banned_at: Timestamp,
    banned_by: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Boot {
    clock: u64,
    reset_count: u32,
    restart_count: u32,
    safe: bool,
    firmware_version: String,
}

#[derive(Debug, Serialize)]
struct Evicted {
    evicted: String,
}

impl From<NodeRecord> for Shown {
    fn from(node: NodeRecord) -> Self {
        Self {
            ek_hash: node.ek_hash,
            spiffe_id: node.spiffe_id,
            cluster: node.cluster,
            ak_name: hex::encode(node.ak_name),
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
            config,
            limit,
            format,
        } => {
            let result = load(&config).and_then(|config| {
                block_on(async {
                    let nodes = open_store(&config).await?.nodes(limit).await?;
                    Ok(nodes.into_iter().map(Shown::from).collect::<Vec<_>>())
                })
            });
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
                let header = ["EK HASH", "SPIFFE ID", "CLUSTER", "LAST SEEN", "STATE"];
                table(header, rows)
            })
        }
        Command::Evict {
            ek_hash,
            config,
            format,
        } => {
            let result = load(&config).and_then(|config| {
                block_on(changed(&config, async |store| {
                    if store.evict_node(&ek_hash).await? {
                        let change = Change::new("node.evict", "node", &ek_hash);
                        return Ok((Evicted { evicted: ek_hash }, Some(change)));
                    }
                    Err(Failure::failed(format!("there is no node {ek_hash}"))
                        .hint("`assay node list` shows all of them"))
                }))
            });
            finish(format, result, |evicted| {
                format!("evicted {}", evicted.evicted)
            })
        }
        Command::Ban {
            ek_hash,
            reason,
            config,
            format,
        } => finish(format, ban(&config, &ek_hash, &reason), |banned| {
            format!("banned {}", banned.ek_hash)
        }),
        Command::Bans {
            config,
            limit,
            format,
        } => {
            let result = load(&config).and_then(|config| {
                block_on(async {
                    let bans = open_store(&config).await?.bans(limit).await?;
                    Ok(bans.into_iter().map(Banned::from).collect::<Vec<_>>())
                })
            });
            finish(format, result, |bans| {
                let rows = bans.iter().map(|b| {
                    [
                        b.ek_hash.clone(),
                        b.ban.banned_at.to_string(),
                        b.ban.banned_by.clone(),
                        b.ban.reason.clone(),
                    ]
                });
                table(["EK HASH", "SINCE", "BY", "REASON"], rows)
            })
        }
        Command::Unban {
            ek_hash,
            config,
            format,
        } => {
            let result = load(&config).and_then(|config| {
                block_on(changed(&config, async |store| {
                    if store.unban(&ek_hash).await? {
                        let change = Change::new("node.unban", "node", &ek_hash);
                        return Ok((Unbanned { unbanned: ek_hash }, Some(change)));
                    }
                    Err(Failure::failed(format!("EK {ek_hash} is not banned"))
                        .hint("`assay node bans` shows all bans"))
                }))
            });
            finish(format, result, |lifted| {
                format!("unbanned {}", lifted.unbanned)
            })
        }
    }
}

fn ban(config: &Path, ek_hash: &str, reason: &str) -> Result<Banned, Failure> {
    let ban = Ban::new(ek_hash, Timestamp::now(), &author(), reason)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let config = load(config)?;
    block_on(changed(&config, async |store| {
        if store.ban(&ban).await? {
            let change = Change::new("node.ban", "node", ek_hash).detail(&ban.reason);
            return Ok((ban.clone().into(), Some(change)));
        }
        Err(Failure::failed(format!("EK {ek_hash} is banned already"))
            .hint("`assay node bans` shows since when and why"))
    }))
}
