//! The verifier's own benchmark, run as a program of its own: figures of cryptography are worth something only from an
//! optimised build, which this one need not be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::board::{cargo, workspace_root};

/// A figure for each kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ByKey {
    /// RSA-2048.
    pub rsa2048: f64,
    /// ECC P-256.
    pub p256: f64,
}

/// What the benchmark prints: operations per second on one core, beside the bare operation of aws-lc in the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crypto {
    /// Judging a quote, relative to verifying its signature: 1 is as fast.
    pub verify_ratio: ByKey,
    /// Making a credential, relative to the encryption or the key agreement in it.
    pub make_credential_ratio: ByKey,
    /// Quotes judged per second.
    pub verify_per_second: ByKey,
    /// Signatures verified per second.
    pub bare_verify_per_second: ByKey,
    /// Credentials made per second.
    pub make_credential_per_second: ByKey,
    /// Bare encryptions or key agreements per second.
    pub bare_make_credential_per_second: ByKey,
    /// Whatever else it prints.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// Reads what the benchmark printed.
///
/// # Errors
///
/// When a figure is missing or no number above zero.
pub fn parse(printed: &str) -> Result<Crypto> {
    let crypto: Crypto = serde_json::from_str(printed).context("the benchmark's figures")?;
    let figures = [
        crypto.verify_ratio,
        crypto.make_credential_ratio,
        crypto.verify_per_second,
        crypto.bare_verify_per_second,
        crypto.make_credential_per_second,
        crypto.bare_make_credential_per_second,
    ];
    if figures
        .iter()
        .any(|by| !(by.rsa2048 > 0.0 && by.p256 > 0.0))
    {
        bail!("the benchmark's figures: one is not above zero");
    }
    Ok(crypto)
}

/// Builds the benchmark optimised, if it is not built yet, and runs it.
///
/// # Errors
///
/// When it does not build, fails, or prints something else.
pub fn run() -> Result<Crypto> {
    let program = build()?;
    let output = Command::new(&program)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| program.display().to_string())?;
    if !output.status.success() {
        bail!("{}: {}", program.display(), output.status);
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// cargo names the program it has built; its file name has a hash in it.
fn build() -> Result<PathBuf> {
    let output = cargo()
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "bench",
            "-p",
            "assay-host-verifier",
        ])
        .args([
            "--bench",
            "crypto",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(workspace_root())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("the verifier's benchmark does not build");
    }
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo names no benchmark program")
}

/// The program among cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
            let is_it = text("/reason") == Some("compiler-artifact")
                && text("/target/name") == Some("crypto");
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
        assert_eq!(executable(messages), Some(PathBuf::from("/t/crypto-1")));
    }

    #[test]
    fn a_build_without_the_benchmark_is_noticed() {
        assert_eq!(
            executable("{\"reason\":\"build-finished\",\"success\":true}"),
            None
        );
    }
}
