//! `assay config`: documents before they are used, and the clusters' configuration in the store.
//!
//! The commands on clusters are thin: what they do is in [`crate::server::clusters`], which the API uses too.

mod change;
mod check;
mod import;
mod schema;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::access::{Access, Reached};
use super::format::Format;
use super::remote::Remote;
use super::service::{Failure, block_on, changed, open_store};
use crate::document::nearest;
use crate::policy::Section;
use crate::server::Clusters;
use crate::server::clusters::{Base, ChangeError, Changed};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check documents: cluster sections, an agent's settings, assayd.yaml
    Check {
        /// The documents
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Do not look at the server's certificate and key: for a check on another machine
        #[arg(long)]
        no_files: bool,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Bring SPIRE's configuration over: policies, assayd.yaml and the agent's settings, and what has no meaning here
    ///
    /// FILE is HCL, or a manifest with ConfigMaps. The documents go to stdout, or into files of their own; what was not carried
    /// over goes to stderr, each setting with the reason. Exit status: 0 done, 2 no configuration of SPIRE's.
    #[command(name = "import-spire")]
    ImportSpire(import::Import),
    /// Print the JSON Schema of a kind of document
    Schema {
        /// assayd, AgentAttestation, SVIDIssuancePolicy or agent
        #[arg(default_value = "assayd", value_parser = schema::kind)]
        kind: Section,
        /// It is JSON either way
        #[command(flatten)]
        format: Format,
    },
    /// Put documents in force, on every assayd within a second
    #[command(subcommand)]
    Set(change::Set),
    /// Take sections out of force
    #[command(subcommand)]
    Remove(change::Remove),
    /// Put in force again what was
    #[command(subcommand)]
    Rollback(change::Rollback),
    /// Show what is in force, or was
    #[command(subcommand)]
    Get(view::Get),
    /// Show how a section changed
    #[command(subcommand)]
    Diff(view::Diff),
    /// List who set what and when
    #[command(subcommand)]
    History(view::History),
    /// List what is configured
    #[command(subcommand)]
    List(view::List),
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Check {
            files,
            no_files,
            format,
        } => check::run(&files, no_files, format),
        Command::ImportSpire(options) => import::run(&options),
        Command::Schema { kind, format: _ } => schema::run(kind),
        Command::Set(command) => change::set(command),
        Command::Remove(command) => change::remove(command),
        Command::Rollback(command) => change::rollback(command),
        Command::Get(command) => view::get(command),
        Command::Diff(command) => view::diff(command),
        Command::History(command) => view::history(command),
        Command::List(command) => view::list(command),
    }
}

/// Which cluster, and where.
#[derive(Debug, Args)]
pub struct Target {
    /// The cluster
    #[arg(long, value_name = "ID")]
    id: String,
    /// Where the verifier is, and how to answer
    #[command(flatten)]
    site: Site,
}

/// Where the verifier is, and how to answer.
#[derive(Debug, Args)]
pub struct Site {
    /// Where
    #[command(flatten)]
    access: Access,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

impl Site {
    /// Asks the clusters of the store, or a verifier.
    fn ask<T>(
        &self,
        store: impl AsyncFnOnce(Clusters) -> Result<T, ChangeError>,
        api: impl AsyncFnOnce(&Remote) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reached = self.access.reach()?;
        block_on(async {
            let config = match reached {
                Reached::Store(config) => config,
                Reached::Api(remote) => return api(&remote).await,
            };
            let opened = open_store(&config).await?;
            let result = store(Clusters::new(Base::from(config.as_ref()), opened.clone())).await;
            opened.close().await;
            Ok(result?)
        })
    }

    /// Changes something of a cluster; `action` is what the audit trail calls it.
    fn change(
        &self,
        action: &'static str,
        store: impl AsyncFnOnce(Clusters) -> Result<Changed, ChangeError>,
        api: impl AsyncFnOnce(&Remote) -> Result<Changed, Failure>,
    ) -> Result<Changed, Failure> {
        let reached = self.access.reach()?;
        block_on(async {
            let config = match reached {
                Reached::Store(config) => config,
                Reached::Api(remote) => return api(&remote).await,
            };
            changed(&config, async |opened| {
                let clusters = Clusters::new(Base::from(config.as_ref()), opened.clone());
                let done = store(clusters).await?;
                let change = done.record(action);
                Ok((done, change))
            })
            .await
        })
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let failure = match &error {
            ChangeError::Name(_)
            | ChangeError::Document(_)
            | ChangeError::Twice { .. }
            | ChangeError::Nothing
            | ChangeError::Remark(_) => Self::usage(error.to_string()),
            _ => Self::failed(error.to_string()),
        };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A section's name on the command line.
fn section(name: &str) -> Result<Section, String> {
    Section::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Section::of_clusters().map(Section::name).collect();
        match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        }
    })
}
