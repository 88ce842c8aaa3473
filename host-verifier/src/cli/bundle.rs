//! `assay bundle`: what others need to trust this verifier.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::access::{Access, Reached};
use super::format::Format;
use super::remote::Remote;
use super::service::{Failure, block_on, cluster_names, finish, open_store};
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
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
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

/// A cluster that is served, of which the name counts.
#[derive(Debug, Deserialize)]
struct ServedCluster {
    cluster: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Bundle {
    trust_domain: String,
    #[serde(default)]
    clusters: Vec<String>,
    challenge_key: ChallengeKeyShown,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct ChallengeKeyShown {
    /// Always `ecdsa-p256-sha256`.
    algorithm: String,
    /// Uncompressed SEC1 point, hex: what the provisioning record holds.
    sec1: String,
    /// SHA-256 of the SubjectPublicKeyInfo, hex.
    spki_sha256: String,
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Command::Show {
        access,
        format,
        output,
    } = command;
    let reached = access.reach();
    if let Some(format) = format {
        let document = reached.and_then(|reached| match reached {
            Reached::Store(config) => trust_bundle(&config, format),
            Reached::Api(remote) => block_on(served_bundle(&remote, format)),
        });
        return finish(output, document, |text| text.trim_end().to_owned());
    }
    let bundle = reached.and_then(|reached| match reached {
        Reached::Store(config) => challenge_key(*config),
        Reached::Api(remote) => block_on(served_key(&remote)),
    });
    finish(output, bundle, |bundle| {
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
            algorithm: "ecdsa-p256-sha256".to_owned(),
            sec1: hex::encode(point),
            spki_sha256: hex::encode(PublicKey::Ec(public).spki_sha256()),
        },
    })
}

async fn served_key(remote: &Remote) -> Result<Bundle, Failure> {
    let mut bundle: Bundle = remote.get("/v1/bundle").await?;
    let served: Vec<ServedCluster> = remote.get("/v1/policies").await?;
    bundle.clusters = served.into_iter().map(|served| served.cluster).collect();
    Ok(bundle)
}

async fn served_bundle(remote: &Remote, format: BundleFormat) -> Result<String, Failure> {
    let path = match format {
        BundleFormat::Jwks => "/keys",
        BundleFormat::Spiffe | BundleFormat::Pem => "/v1/bundle/spiffe",
    };
    let document = remote.text(path).await?;
    match format {
        BundleFormat::Spiffe | BundleFormat::Jwks => Ok(document),
        BundleFormat::Pem => svid::bundle::pem_of(&document).ok_or_else(|| {
            Failure::failed("the server's bundle cannot be read").hint("--format spiffe shows it")
        }),
    }
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
