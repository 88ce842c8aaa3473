//! The `assay` command: one file per noun.
//!
//! Every command answers on stdout, with `--output json` (`--json` for short) by one JSON document, also when it fails;
//! errors go to stderr too, with a `hint:` line where there is something to do about them. Exit status: 0 done or accepted, 1 refused or failed, 2 bad usage or unreadable
//! input.

pub mod access;
pub mod agent;
pub mod audit;
pub mod authority;
pub mod bundle;
pub mod completion;
pub mod config;
pub mod ek;
pub mod evidence;
pub mod image;
pub mod join_token;
pub mod man;
pub mod node;
pub mod policy;
pub mod provision;
pub mod report;
pub mod service;
pub mod session;
pub mod token;

mod audit_export;
mod audit_place;
mod audit_rotate;
mod ek_files;
mod mends;
mod node_identity;
mod pcr_file;
mod remote;
mod stored;
mod trail;

use std::ffi::OsString;
use std::process::ExitCode;

use assay_host::cli as format;
use clap::{Parser, Subcommand};

/// Operators' tool of the Assay verifier.
#[derive(Debug, Parser)]
#[command(name = "assay", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The agent of this machine: run, login, show, doctor
    Agent(agent::Options),
    /// Endorsement keys and their certificates
    #[command(subcommand)]
    Ek(ek::Command),
    /// Evidence that was kept or came from elsewhere
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Documents before they are used, and what is in force in a cluster
    #[command(subcommand)]
    Config(config::Command),
    /// Policy documents
    #[command(subcommand)]
    Policy(policy::Command),
    /// Sessions that were granted
    #[command(subcommand)]
    Session(session::Command),
    /// Nodes that ever logged in
    #[command(subcommand)]
    Node(node::Command),
    /// Who may use the API with a token
    #[command(subcommand)]
    Token(token::Command),
    /// Secrets that each let one node log in once
    #[command(subcommand)]
    JoinToken(join_token::Command),
    /// What nodes may boot: images by what a node measures of them
    #[command(subcommand)]
    Image(image::Command),
    /// What was decided, and whether the trail of it is whole
    #[command(subcommand)]
    Audit(audit::Command),
    /// What nodes are flashed with
    #[command(subcommand)]
    Provision(provision::Command),
    /// What others need to trust this verifier
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// The authorities that the bundle is made of
    #[command(subcommand)]
    Authority(authority::Command),
    /// What makes a shell complete this command line
    Completion(completion::Options),
    /// The manual, a page for each command
    Man(man::Options),
}

/// Reads the command line and runs it. A command line that cannot be read is exit status 2.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    match Cli::try_parse_from(args) {
        Ok(cli) => run(cli),
        Err(error) => format::misuse(&error, args, |message, object| {
            let judges = args
                .get(1)
                .is_some_and(|noun| noun == "ek" || noun == "evidence");
            if judges {
                object.insert("accepted".into(), false.into());
                object.insert("check".into(), "usage".into());
                object.insert("reason".into(), message.into());
            }
        }),
    }
}

/// Runs a command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Agent(options) => agent::run(&options),
        Command::Ek(command) => ek::run(command),
        Command::Evidence(command) => evidence::run(command),
        Command::Config(command) => config::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Session(command) => session::run(command),
        Command::Node(command) => node::run(command),
        Command::Token(command) => token::run(command),
        Command::JoinToken(command) => join_token::run(command),
        Command::Image(command) => image::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Provision(command) => provision::run(command),
        Command::Bundle(command) => bundle::run(command),
        Command::Authority(command) => authority::run(command),
        Command::Completion(options) => completion::run(&options),
        Command::Man(options) => man::run(&options),
    }
}
