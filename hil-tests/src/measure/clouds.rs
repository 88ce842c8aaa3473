//! Logins of cloud instances where the cloud must be asked: the verifier's benchmark `clouds`.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::program;

/// What a fleet's logins come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clouds {
    /// Instances that log in.
    pub instances: u64,
    /// Accounts that they are in.
    pub accounts: u64,
    /// Logins in all, of each measurement.
    pub logins: u64,
    /// With an API that takes its time.
    pub slow: Fleet,
    /// With one that takes none.
    pub fast: Fleet,
    /// The rate of the one by the rate of the other, once all answers are known: 1 is as fast.
    pub ratio: f64,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// What a call takes, milliseconds.
    pub call_ms: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Calls that the rules of the cache come to.
    pub calls_predicted: u64,
    /// How long the first login of each instance took, all of them together.
    pub cold_seconds: f64,
    /// Logins per second by the clock on all cores, once all answers are known.
    pub per_second: f64,
}

/// Reads what the benchmark printed.
///
/// # Errors
///
/// When a figure is missing or not above zero.
pub fn parse(printed: &str) -> Result<Clouds> {
    let clouds: Clouds = serde_json::from_str(printed).context("the clouds' figures")?;
    let rates = [clouds.ratio, clouds.slow.per_second, clouds.fast.per_second];
    ensure!(
        rates.iter().all(|rate| *rate > 0.0) && clouds.slow.calls > 0,
        "the clouds' figures: one is not above zero"
    );
    Ok(clouds)
}

/// Builds the benchmark optimised, if it is not built yet, and runs it.
///
/// # Errors
///
/// When it does not build, fails, or prints something else.
pub fn run() -> Result<Clouds> {
    parse(&program::printed("clouds")?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::parse;

    #[test]
    fn figures_that_are_missing_or_nothing_are_an_error() {
        let fleet = |calls: u64| {
            format!(
                r#"{{"call_ms":150,"calls":{calls},"calls_predicted":1100,"cold_seconds":5.1,"per_second":2401.0}}"#
            )
        };
        let report = |slow: &str, ratio: &str| {
            format!(
                r#"{{"instances":1000,"accounts":50,"logins":20000,"slow":{slow},"fast":{},"ratio":{ratio}}}"#,
                fleet(1100)
            )
        };
        assert_eq!(
            parse(&report(&fleet(1100), "0.99")).unwrap().slow.calls,
            1100
        );
        assert!(parse(&report(&fleet(0), "0.99")).is_err());
        assert!(parse(&report(&fleet(1100), "0.0")).is_err());
        assert!(parse(&report("{}", "0.99")).is_err());
        assert!(parse("").is_err());
    }
}
