//! `assay node`: the nodes that ever logged in.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, block_on, finish, load, open_store, table};
use crate::store::NodeRecord;

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
                    ]
                });
                table(["EK HASH", "SPIFFE ID", "CLUSTER", "LAST SEEN"], rows)
            })
        }
        Command::Evict {
            ek_hash,
            config,
            format,
        } => {
            let result = load(&config).and_then(|config| {
                block_on(async {
                    if open_store(&config).await?.evict_node(&ek_hash).await? {
                        return Ok(Evicted { evicted: ek_hash });
                    }
                    Err(Failure::failed(format!("there is no node {ek_hash}"))
                        .hint("`assay node list` shows all of them"))
                })
            });
            finish(format, result, |evicted| {
                format!("evicted {}", evicted.evicted)
            })
        }
    }
}
