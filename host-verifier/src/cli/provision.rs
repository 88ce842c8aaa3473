//! `assay provision`: what nodes are flashed with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;
use clap::Subcommand;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, block_on, cluster_names, finish, load};
use crate::config::Config;
use crate::server::start;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the record that a node of a cluster is flashed with
    ///
    /// It holds the cluster, the trust domain and the verifier's public key, and no secret. The key is made in the data
    /// directory when there is none yet.
    Record {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// The node's cluster
        #[arg(long)]
        cluster: String,
        /// Where to write the record
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Serialize)]
struct Record {
    file: String,
    bytes: usize,
    cluster: String,
    trust_domain: String,
    verifier_key: String,
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Command::Record {
        config,
        cluster,
        out,
        format,
    } = command;
    let result = load(&config).and_then(|config| record(&config, cluster, &out));
    finish(format, result, |record| {
        format!(
            "{}: {} bytes for cluster {} of {}\nverifier key: {}",
            record.file, record.bytes, record.cluster, record.trust_domain, record.verifier_key
        )
    })
}

fn record(config: &Config, cluster: String, out: &Path) -> Result<Record, Failure> {
    if !config.clusters.contains_key(&cluster) {
        let known = block_on(cluster_names(config))?;
        if !known.contains(&cluster) {
            return Err(
                Failure::usage(format!("cluster `{cluster}` is not configured"))
                    .hint(format!("configured: {}", known.join(", "))),
            );
        }
    }
    let verifier = start::verifier(config)?;
    let provisioning = Provisioning {
        cluster: &cluster,
        trust_domain: &config.trust_domain,
        verifier_key: verifier.key.public(),
    };
    let mut buffer = [0; MAX_RECORD];
    let bytes = provisioning
        .write(&mut buffer)
        .map_err(|error| Failure::failed(error.to_string()))?;
    let written = buffer.get(..bytes).unwrap_or_default();
    std::fs::write(out, written)
        .map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    Ok(Record {
        file: out.display().to_string(),
        bytes,
        trust_domain: config.trust_domain.clone(),
        verifier_key: hex::encode(verifier.key.public()),
        cluster,
    })
}
