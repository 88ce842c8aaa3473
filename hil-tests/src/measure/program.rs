//! The verifier's own benchmarks, built optimised and run as programs of their own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::board::{cargo, workspace_root};

/// Builds a benchmark, if it is not built yet, runs it, and returns what it prints.
///
/// # Errors
///
/// When it does not build, or fails.
pub(super) fn printed(bench: &str) -> Result<String> {
    let program = build(bench)?;
    let output = Command::new(&program)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| program.display().to_string())?;
    ensure!(
        output.status.success(),
        "{}: {}",
        program.display(),
        output.status
    );
    String::from_utf8(output.stdout).context("the benchmark's figures")
}

/// cargo names the program it has built; its file name has a hash in it.
fn build(bench: &str) -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--quiet", "--locked", "--profile", "bench"])
        .args(["-p", "assay-host-verifier", "--bench", bench])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace_root())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "the verifier's benchmark does not build"
    );
    executable(&String::from_utf8_lossy(&output.stdout), bench)
        .context("cargo names no benchmark program")
}

/// The program among cargo's messages.
fn executable(messages: &str, bench: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
            let is_it =
                text("/reason") == Some("compiler-artifact") && text("/target/name") == Some(bench);
            text("/executable").filter(|_| is_it).map(PathBuf::from)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"serde\"},\"executable\":null}\n\
            not json\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"crypto\"},\"executable\":\"/t/crypto-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(
            executable(messages, "crypto"),
            Some(PathBuf::from("/t/crypto-1"))
        );
        assert_eq!(executable(messages, "methods"), None);
    }

    #[test]
    fn a_build_without_the_benchmark_is_noticed() {
        assert_eq!(
            executable("{\"reason\":\"build-finished\",\"success\":true}", "crypto"),
            None
        );
    }
}
