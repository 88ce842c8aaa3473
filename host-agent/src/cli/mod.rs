//! `assay agent`: one file per command. They answer as all commands of Assay do ([`assay_host::cli`]).

mod doctor;
mod login;
mod run;
mod show;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use assay_host::cli::{Failure, misuse};
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, DEFAULT_PATH, Overrides};
use crate::doctor::HOW_TO_BEGIN;

/// The agent of a Linux node: proves what the node is, and gets its identity for it.
#[derive(Debug, Parser)]
#[command(name = "assay-agent", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep a session for as long as the agent runs, and serve what it brings
    Run(run::Options),
    /// Log in once, and say what was proven and which identity was granted
    Login(login::Options),
    /// Show what would be offered in a login
    Show(show::Options),
    /// Find out what is wrong with this machine, and how to mend it
    Doctor(doctor::Options),
}

/// Where the configuration is, and what is said instead of it.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// The agent's configuration
    #[arg(long, value_name = "FILE", env = "ASSAY_AGENT_CONFIG", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// A verifier's URL, instead of the configuration's; may be given several times
    #[arg(
        long,
        value_name = "URL",
        env = "ASSAY_AGENT_SERVER",
        value_delimiter = ','
    )]
    server: Vec<String>,
    /// The certificate of the verifiers' authority (PEM), instead of the configuration's
    #[arg(long, value_name = "FILE", env = "ASSAY_AGENT_CA")]
    ca: Option<PathBuf>,
    /// A provisioning record, instead of the configuration's
    #[arg(long, value_name = "FILE", env = "ASSAY_AGENT_RECORD")]
    record: Option<PathBuf>,
}

impl Source {
    /// The configuration.
    fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.config, &self.overrides()).map_err(|error| match self.config.exists() {
            true => error.into(),
            false => Failure::from(error).hint(HOW_TO_BEGIN),
        })
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            servers: self.server.clone(),
            ca: self.ca.clone(),
            record: self.record.clone(),
        }
    }
}

/// Reads the command line and runs it. A command line that cannot be read is exit status 2.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    match Cli::try_parse_from(args) {
        Ok(cli) => run(cli),
        Err(error) => misuse(&error, args, |_, _| {}),
    }
}

/// Runs a command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(options) => run::run(&options),
        Command::Login(options) => login::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Doctor(options) => doctor::run(&options),
    }
}

/// Runs what needs a runtime: one thread, as all of the agent.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Failure::failed(error.to_string()))?
        .block_on(future)
}
