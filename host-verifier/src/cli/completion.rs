//! `assay completion`: what makes a shell complete the command line.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, ValueEnum};
use serde::Serialize;

use super::Cli;
use super::format::Format;
use super::service::finish;

/// The shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Shell {
    /// `source <(assay completion bash)`, or a file in /usr/share/bash-completion/completions
    Bash,
    /// A file called _assay in a folder of $fpath
    Zsh,
    /// `assay completion fish | source`, or a file in ~/.config/fish/completions
    Fish,
}

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Script {
    shell: Shell,
    script: String,
}

/// Runs the command.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let shell = match options.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "assay", &mut script);
    let script = Script {
        shell: options.shell,
        script: String::from_utf8_lossy(&script).into_owned(),
    };
    finish(options.format, Ok(script), |made| {
        made.script.trim_end().to_owned()
    })
}
