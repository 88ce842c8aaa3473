//! `assay policy`: documents before they are used.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, finish};
use crate::document;
use crate::policy::PolicyDocument;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read an AgentAttestation document as assayd would, with every file that it names
    Check {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    policies: Vec<PolicyShown>,
}

#[derive(Debug, Serialize)]
struct PolicyShown {
    name: String,
    #[serde(rename = "requiredAttestors")]
    required: Vec<String>,
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Command::Check { file, format } = command;
    finish(format, check(&file), |checked| {
        let mut text = format!("{}: ok", checked.file);
        for policy in &checked.policies {
            text += &format!("\n  {}: {}", policy.name, policy.required.join(" and "));
        }
        text
    })
}

fn check(path: &Path) -> Result<Checked, Failure> {
    let text = document::read(path)?;
    let file = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    let set = PolicyDocument::parse(&file, &text)?.build(&file, base)?;
    let shown = set.policies().iter().map(|policy| PolicyShown {
        name: policy.name().to_owned(),
        required: policy
            .attestors()
            .iter()
            .map(|a| a.kind().to_string())
            .collect(),
    });
    Ok(Checked {
        policies: shown.collect(),
        file,
    })
}
