//! The verifier's own benchmark, run as a program of its own: figures of cryptography are worth something only from an
//! optimised build, which this one need not be.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program;

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
    parse(&program::printed("crypto")?)
}
