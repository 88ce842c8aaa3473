//! `assay bundle`: what others need to trust this verifier.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, block_on, cluster_names, finish, load};
use crate::crypto::{Curve, EcPublicKey, PublicKey};
use crate::server::start;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The trust domain and the public key that signs challenges
    ///
    /// The key is made in the data directory when there is none yet.
    Show {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Serialize)]
struct Bundle {
    trust_domain: String,
    clusters: Vec<String>,
    challenge_key: ChallengeKeyShown,
}

#[derive(Debug, Serialize)]
struct ChallengeKeyShown {
    /// Always `ecdsa-p256-sha256`.
    algorithm: &'static str,
    /// Uncompressed SEC1 point, hex: what the provisioning record holds.
    sec1: String,
    /// SHA-256 of the SubjectPublicKeyInfo, hex.
    spki_sha256: String,
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Command::Show { config, format } = command;
    let result = load(&config).and_then(|config| {
        let verifier = start::verifier(&config)?;
        let point = verifier.key.public();
        let key = EcPublicKey::from_point(Curve::P256, point)
            .map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Bundle {
            clusters: block_on(cluster_names(&config))?,
            trust_domain: config.trust_domain,
            challenge_key: ChallengeKeyShown {
                algorithm: "ecdsa-p256-sha256",
                sec1: hex::encode(point),
                spki_sha256: hex::encode(PublicKey::Ec(key).spki_sha256()),
            },
        })
    });
    finish(format, result, |bundle| {
        format!(
            "trust domain:  {}\nclusters:      {}\nchallenge key: {}\n  spki sha256: {}",
            bundle.trust_domain,
            bundle.clusters.join(" "),
            bundle.challenge_key.sec1,
            bundle.challenge_key.spki_sha256
        )
    })
}
