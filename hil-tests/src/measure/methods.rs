//! What judging a proof costs, method by method: the verifier's benchmark `methods`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::program;

/// By method, and by the kind of key that its proofs are made with; `none` where the verifier checks no signature.
pub type Methods = BTreeMap<String, BTreeMap<String, Judged>>;

/// What judging a proof comes to, on one core.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// By an attestor that has judged the node before.
    pub warm: Rate,
    /// As the attestor's first.
    pub cold: Rate,
}

/// How fast, beside the bare signatures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Signatures that are verified.
    pub signatures: u64,
    /// Proofs judged per second.
    pub per_second: f64,
    /// How often per second aws-lc verifies the same signatures, its keys prepared; none without signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare_per_second: Option<f64>,
    /// The first over the second: 1 is as fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

impl Rate {
    fn is_sane(&self) -> bool {
        let above = |figure: Option<f64>| figure.is_some_and(|figure| figure > 0.0);
        let measured = [self.bare_per_second, self.ratio];
        self.per_second > 0.0
            && match self.signatures {
                0 => measured.iter().all(Option::is_none),
                _ => measured.into_iter().all(above),
            }
    }
}

/// Reads what the benchmark printed.
///
/// # Errors
///
/// When there is nothing, or a figure is missing or not above zero.
pub fn parse(printed: &str) -> Result<Methods> {
    let methods: Methods = serde_json::from_str(printed).context("the methods' figures")?;
    let mut judged = methods.values().flat_map(BTreeMap::values).peekable();
    ensure!(
        judged.peek().is_some(),
        "the methods' figures: there are none"
    );
    ensure!(
        judged.all(|judged| judged.warm.is_sane() && judged.cold.is_sane()),
        "the methods' figures: one is missing or not above zero"
    );
    Ok(methods)
}

/// Builds the benchmark optimised, if it is not built yet, and runs it.
///
/// # Errors
///
/// When it does not build, fails, or prints something else.
pub fn run() -> Result<Methods> {
    parse(&program::printed("methods")?)
}
