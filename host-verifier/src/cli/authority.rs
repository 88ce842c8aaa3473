//! `assay authority`: the keys and certificates that the trust bundle is made of.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, block_on, finish, load, open_store, table};
use crate::config::Config;
use crate::store::AuthorityRecord;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every authority that is in the bundle, of all verifiers
    List {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Take an authority out of the bundle before it has ended
    ///
    /// For one whose verifier and key are gone for good. What it signed can be verified no more. A verifier that still has
    /// the key publishes it again within a minute.
    Remove {
        /// The authority, as `assay authority list` shows it
        id: String,
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
    id: String,
    /// `x509` or `jwt`.
    kind: &'static str,
    /// `prepared`, `active` or `old`.
    state: &'static str,
    /// Which verifier has the key.
    replica: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl From<AuthorityRecord> for Shown {
    fn from(record: AuthorityRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind.name(),
            state: record.state.name(),
            replica: record.replica,
            not_before: record.not_before,
            not_after: record.not_after,
        }
    }
}

#[derive(Debug, Serialize)]
struct Removed {
    removed: String,
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::List { config, format } => {
            let result = load(&config).and_then(|config| block_on(list(config)));
            finish(format, result, |shown| {
                let header = ["AUTHORITY", "KIND", "STATE", "REPLICA", "FROM", "UNTIL"];
                let rows = shown.iter().map(|one| {
                    [
                        one.id.clone(),
                        one.kind.to_owned(),
                        one.state.to_owned(),
                        one.replica.clone(),
                        one.not_before.to_string(),
                        one.not_after.to_string(),
                    ]
                });
                table(header, rows)
            })
        }
        Command::Remove { id, config, format } => {
            let result = load(&config).and_then(|config| block_on(remove(config, id)));
            finish(format, result, |removed| {
                format!("removed {}", removed.removed)
            })
        }
    }
}

async fn list(config: Config) -> Result<Vec<Shown>, Failure> {
    let store = open_store(&config).await?;
    let all = store.authorities(&config.trust_domain).await;
    store.close().await;
    Ok(all?.records.into_iter().map(Shown::from).collect())
}

async fn remove(config: Config, id: String) -> Result<Removed, Failure> {
    let store = open_store(&config).await?;
    // Whenever it ends, that is before the end of the calendar.
    let removed = store
        .remove_authority(&config.trust_domain, &id, Timestamp::MAX)
        .await;
    store.close().await;
    match removed? {
        true => Ok(Removed { removed: id }),
        false => Err(Failure::failed(format!("no authority {id}"))
            .hint("`assay authority list` shows their names")),
    }
}
