//! `assay bundle`: what others need to trust this verifier.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, block_on, cluster_names, finish, load, open_store};
use crate::config::Config;
use crate::crypto::{Curve, EcPublicKey, PublicKey};
use crate::login::ChallengeKey;
use crate::login::key::KeyError;
use crate::server::start::StartError;
use crate::svid;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The trust domain and the public key that signs challenges; with --format, the trust bundle
    ///
    /// Reads what assayd has made, and makes nothing itself.
    Show {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// The bundle that SVIDs are verified with, as the store has it
        #[arg(long, value_enum, value_name = "FORMAT", conflicts_with_all = ["output", "json"])]
        format: Option<BundleFormat>,
        /// How to answer
        #[command(flatten)]
        output: Format,
    },
}

/// A form of the trust bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BundleFormat {
    /// The SPIFFE bundle document: all authorities
    Spiffe,
    /// The X.509 authorities' certificates
    Pem,
    /// The JWT authorities' keys, for those who know nothing of SPIFFE
    Jwks,
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
    let Command::Show {
        config,
        format,
        output,
    } = command;
    let config = load(&config);
    if let Some(format) = format {
        let document = config.and_then(|config| trust_bundle(&config, format));
        return finish(output, document, |text| text.trim_end().to_owned());
    }
    finish(output, config.and_then(challenge_key), |bundle| {
        format!(
            "trust domain:  {}\nclusters:      {}\nchallenge key: {}\n  spki sha256: {}",
            bundle.trust_domain,
            bundle.clusters.join(" "),
            bundle.challenge_key.sec1,
            bundle.challenge_key.spki_sha256
        )
    })
}

fn challenge_key(config: Config) -> Result<Bundle, Failure> {
    let key = ChallengeKey::existing(&config.data_dir).map_err(|error| match error {
        KeyError::File { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::failed(format!("{path}: no challenge key yet"))
                .hint("assayd makes it when it starts with this configuration")
        }
        other => StartError::from(other).into(),
    })?;
    let point = key.public();
    let public = EcPublicKey::from_point(Curve::P256, point)
        .map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Bundle {
        clusters: block_on(cluster_names(&config))?,
        trust_domain: config.trust_domain,
        challenge_key: ChallengeKeyShown {
            algorithm: "ecdsa-p256-sha256",
            sec1: hex::encode(point),
            spki_sha256: hex::encode(PublicKey::Ec(public).spki_sha256()),
        },
    })
}

fn trust_bundle(config: &Config, format: BundleFormat) -> Result<String, Failure> {
    let authorities = block_on(async {
        let store = open_store(config).await?;
        let all = store.authorities(&config.trust_domain).await;
        store.close().await;
        Ok(all?)
    })?;
    if authorities.records.is_empty() {
        let message = format!("{}: no authorities yet", config.trust_domain);
        return Err(Failure::failed(message)
            .hint("assayd makes them when it starts with this configuration"));
    }
    let bundle = svid::Bundle::new(&config.trust_domain, &authorities);
    if let [damaged, ..] = bundle.unreadable() {
        // Half a bundle looks like a whole one to whoever loads it.
        return Err(Failure::failed(format!(
            "authority {damaged}: its record in the store is damaged"
        )));
    }
    Ok(match format {
        BundleFormat::Spiffe => bundle.spiffe(),
        BundleFormat::Pem => bundle.pem(),
        BundleFormat::Jwks => bundle.jwks(),
    }
    .to_owned())
}
