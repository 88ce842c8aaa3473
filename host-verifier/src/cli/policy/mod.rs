//! `assay policy`: documents before they are used, and decisions after they were made.

mod check;
mod explain;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::format::Format;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read an AgentAttestation document as assayd would, with every file that it names
    ///
    /// Warns of policies that rest on evidence which can be replayed, that are never reached, and of modules without effect. What
    /// stands in the verifier's configuration alone (`clouds`, the trust domain) is known with --config.
    Check {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The configuration of the verifier that is to have it
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: Option<PathBuf>,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Decide the cases of a file, and say which come out as they should
    ///
    /// Nothing is proven in a case: it states what methods would have proven. Exit status: 0 all as expected, 1 some not,
    /// 2 unreadable input.
    Test {
        /// Files of cases
        #[arg(value_name = "CASES", required = true)]
        files: Vec<PathBuf>,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Which rule decided about a login, and why, check by check
    Explain {
        /// Which login
        #[command(flatten)]
        login: explain::Login,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Check {
            file,
            config,
            format,
        } => check::run(&file, config.as_deref(), format),
        Command::Test { files, format } => test::run(&files, format),
        Command::Explain { login, format } => explain::run(&login, format),
    }
}
