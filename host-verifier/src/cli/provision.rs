//! `assay provision`: what nodes are flashed with.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_common::identity::provisioning::MAX_RECORD;
use assay_common::identity::{Pins, Provisioning};
use assay_common::tpm::name::Name;
use clap::Subcommand;
use serde::Serialize;
use zeroize::Zeroizing;

use super::format::Format;
use super::service::{Failure, block_on, cluster_names, finish, load};
use crate::config::Config;
use crate::random::{SecureRandom, SystemRandom};
use crate::server::start;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the record that a node of a cluster is flashed with
    ///
    /// It holds the cluster, the trust domain and the verifier's public key, and no secret unless one is asked for. The key is
    /// made in the data directory when there is none yet.
    Record {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// The node's cluster
        #[arg(long)]
        cluster: String,
        /// The only TPM that the node talks to: the Name of its endorsement key, algorithm and digest in hexadecimal, as
        /// `tpm2_readpublic --name` writes it
        #[arg(long, value_name = "HEX")]
        ek_name: Option<String>,
        /// Put a new secret into the record, where the node's random numbers begin, and which its own key is made of: for a board
        /// without a source of noise, and for `mcu_key`.
        /// Then the record is of one device alone, its flash must not be readable from outside, and the file is to be
        /// deleted
        #[arg(long)]
        new_secret: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    ek_name: Option<String>,
    has_secret: bool,
}

/// What ties a record to one device.
struct Device {
    ek_name: Vec<u8>,
    secret: Zeroizing<Vec<u8>>,
}

impl Device {
    fn new(ek_name: Option<&str>, new_secret: bool) -> Result<Self, Failure> {
        let ek_name = match ek_name {
            None => Vec::new(),
            Some(name) => hex::decode(name)
                .ok()
                .filter(|name| Name::parse(name).is_ok())
                .ok_or_else(|| {
                    Failure::usage("`--ek-name` is not the Name of a key").hint(
                        "algorithm and digest in hexadecimal, e.g. 000b and 64 digits, from `assay audit evidence` (ek.name.hex) or `tpm2_readpublic --name`",
                    )
                })?,
        };
        let mut secret = Zeroizing::new(Vec::new());
        if new_secret {
            secret.resize(32, 0);
            SystemRandom
                .fill(&mut secret)
                .map_err(|error| Failure::failed(error.to_string()))?;
        }
        Ok(Self { ek_name, secret })
    }
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Command::Record {
        config,
        cluster,
        ek_name,
        new_secret,
        out,
        format,
    } = command;
    let result = Device::new(ek_name.as_deref(), new_secret)
        .and_then(|device| record(&load(&config)?, cluster, &device, &out));
    finish(format, result, |record| {
        let mut text = format!(
            "{}: {} bytes for cluster {} of {}\nverifier key: {}",
            record.file, record.bytes, record.cluster, record.trust_domain, record.verifier_key
        );
        if let Some(ek_name) = &record.ek_name {
            text += &format!("\nonly with the TPM whose EK is named: {ek_name}");
        }
        if record.has_secret {
            text += "\nholds a secret: flash one device with it and delete the file";
        }
        text
    })
}

fn record(
    config: &Config,
    cluster: String,
    device: &Device,
    out: &Path,
) -> Result<Record, Failure> {
    if !config.clusters.contains_key(&cluster) {
        let known = block_on(cluster_names(config))?;
        if !known.contains(&cluster) {
            return Err(
                Failure::usage(format!("cluster `{cluster}` is not configured"))
                    .hint(match known.as_slice() {
                        [] => "none is: `assay config set cluster --id NAME POLICY`, or `clusters` in assayd.yaml".to_owned(),
                        known => format!("configured: {}", known.join(", ")),
                    }),
            );
        }
    }
    let verifier = start::verifier(config)?;
    let provisioning = Provisioning {
        cluster: &cluster,
        trust_domain: &config.trust_domain,
        verifier_key: verifier.key.public(),
    };
    let pins = Pins {
        ek_name: &device.ek_name,
        secret: &device.secret,
    };
    let mut buffer = Zeroizing::new([0; MAX_RECORD]);
    let bytes = provisioning
        .write_pinned(&pins, buffer.as_mut_slice())
        .map_err(|error| Failure::failed(error.to_string()))?;
    let written = buffer.get(..bytes).unwrap_or_default();
    write(out, written, !device.secret.is_empty())
        .map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    Ok(Record {
        file: out.display().to_string(),
        bytes,
        trust_domain: config.trust_domain.clone(),
        verifier_key: hex::encode(verifier.key.public()),
        ek_name: (!device.ek_name.is_empty()).then(|| hex::encode(&device.ek_name)),
        has_secret: !device.secret.is_empty(),
        cluster,
    })
}

/// Writes the record; one with a secret into a file that only its owner can read, and that was not there before.
fn write(out: &Path, record: &[u8], is_secret: bool) -> std::io::Result<()> {
    if !is_secret {
        return std::fs::write(out, record);
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(out)?.write_all(record)
}
