//! `assay agent`: the agent of this machine, which is a program of its own.
//!
//! An agent runs on every node and carries nothing of the verifier; so this starts `assay-agent`, in the place of this
//! process and with the same arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use assay_host::cli::{Failure, Format, Output, finish};
use clap::Args;

/// The program.
const PROGRAM: &str = "assay-agent";

/// Its arguments.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// What `assay-agent` takes: `run`, `login`, `show`, `doctor`, each with --help
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    arguments: Vec<OsString>,
}

/// Becomes the agent; returns when that fails.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    use std::os::unix::process::CommandExt as _;
    let error = Command::new(program()).args(&options.arguments).exec();
    let json = options
        .arguments
        .iter()
        .any(|argument| argument == "--json" || argument == "--output=json");
    let format = Format::of(if json { Output::Json } else { Output::Text });
    let failure = Failure::failed(format!("{PROGRAM}: {error}")).hint(format!(
        "install the package `{PROGRAM}`; the program stands beside this one or in $PATH"
    ));
    finish(format, Err::<(), _>(failure), |()| String::new())
}

/// Beside this program, where packages and builds put both; else wherever `$PATH` has it.
fn program() -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let beside = beside.filter(|path| path.is_file());
    beside.unwrap_or_else(|| PathBuf::from(PROGRAM))
}
