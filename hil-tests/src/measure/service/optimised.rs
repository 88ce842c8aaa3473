//! Optimised programs: the service, its load (`hil service`) and the agent of hosts. The program that asks for them need not be.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::ServiceReport;
use crate::board::{cargo, workspace_root};

/// Builds the service and its load, if they are not built yet, and measures.
///
/// # Errors
///
/// When they do not build, or the run fails.
pub fn run() -> Result<ServiceReport> {
    let program = build()?;
    let output = Command::new(&program)
        .arg("service")
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| program.display().to_string())?;
    ensure!(
        output.status.success(),
        "{} service: {}",
        program.display(),
        output.status
    );
    serde_json::from_slice(&output.stdout).context("the figures of the service")
}

/// Builds them, if they are not built yet, and returns the folder that they all lie in.
///
/// # Errors
///
/// When they do not build.
pub fn programs() -> Result<PathBuf> {
    let mut program = build()?;
    program.pop();
    Ok(program)
}

/// cargo names the program it has built; the others lie beside it.
fn build() -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--quiet", "--locked", "--release", "--bins"])
        .args(["-p", "assay-host-verifier", "-p", "assay-hil-tests"])
        .args(["-p", "assay-host-agent"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace_root())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(output.status.success(), "the service does not build");
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo names no program")
}

/// `hil` among cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message.pointer("/target/name").and_then(Value::as_str) == Some("hil"))
        .and_then(|message| message.get("executable")?.as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = "not json\n{\"target\":{\"name\":\"assayd\"},\"executable\":\"/t/assayd\"}\n\
            {\"target\":{\"name\":\"hil\"},\"executable\":\"/t/hil\"}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/hil")));
        assert_eq!(executable("{\"target\":{\"name\":\"assayd\"}}"), None);
    }
}
