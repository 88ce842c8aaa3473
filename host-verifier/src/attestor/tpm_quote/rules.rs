//! Is what was quoted good? The decision, after verification.

use std::collections::BTreeMap;

use assay_common::tpm::{
    alg::AlgId,
    pcr::{PcrIndex, PcrMask, PcrSelection},
};

use super::verify::VerifiedQuote;
use crate::attestor::BootState;

/// A rule on a counter, against the node's last login. A node that was never seen satisfies each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CounterRule {
    /// It may be anything.
    Any,
    /// It never goes back.
    #[default]
    Monotonic,
    /// It is the same as at the last login.
    Unchanged,
}

/// A rule on the TPM's firmware version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirmwareRule {
    /// If given, the version is one of these.
    pub allow: Option<Vec<u64>>,
    /// If given, the version is at least this.
    pub min: Option<u64>,
}

/// What a quote is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The bank.
    pub bank: AlgId,
    /// Values that are good, by PCR; one of them must match. Never an empty list.
    pub pcrs: BTreeMap<PcrIndex, Vec<Vec<u8>>>,
    /// PCRs that are quoted and reported, whatever their value.
    pub any_value: PcrMask,
    /// The TPM's firmware.
    pub firmware_version: Option<FirmwareRule>,
    /// `resetCount`, and with it the clock.
    pub reset_count: CounterRule,
    /// `restartCount` while `resetCount` stays.
    pub restart_count: CounterRule,
    /// Whether `clockInfo.safe` must be set.
    pub require_clock_safe: bool,
}

/// The failed rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `safe` is clear: the clock may have gone back since the last orderly shutdown.
    #[error("the TPM's clock is not safe: it lost power without an orderly shutdown")]
    ClockNotSafe,
    /// Rules on counters or firmware, and a key for which the TPM disguises them.
    #[error(
        "the attestation key is no primary of the Endorsement hierarchy, so counters and firmware version are disguised and {0} cannot be checked"
    )]
    Disguised(&'static str),
    /// `resetCount` is lower than at the last login, or changed where it must not.
    #[error("resetCount is {got}, it was {last} at the last login ({rule:?})")]
    ResetCount {
        /// Now.
        got: u32,
        /// Then.
        last: u32,
        /// The rule.
        rule: CounterRule,
    },
    /// `restartCount` is lower than at the last login without a reset, or changed where it must not.
    #[error("restartCount is {got}, it was {last} at the last login ({rule:?})")]
    RestartCount {
        /// Now.
        got: u32,
        /// Then.
        last: u32,
        /// The rule.
        rule: CounterRule,
    },
    /// The clock went back without a reset.
    #[error(
        "the TPM's clock is at {got} ms, it was at {last} ms at the last login without a reset"
    )]
    ClockBackwards {
        /// Now.
        got: u64,
        /// Then.
        last: u64,
    },
    /// The firmware version is not on the list.
    #[error("firmware version {got:#018x} is not allowed")]
    FirmwareNotAllowed {
        /// What it is.
        got: u64,
    },
    /// The firmware version is too low.
    #[error("firmware version {got:#018x} is below {min:#018x}")]
    FirmwareTooOld {
        /// What it is.
        got: u64,
        /// The lowest allowed.
        min: u64,
    },
    /// A PCR has none of the values that are good.
    #[error("{bank}:{index} is {got}, which is not one of the {allowed} allowed values")]
    PcrValue {
        /// Bank.
        bank: AlgId,
        /// Index.
        index: PcrIndex,
        /// Its value in hex.
        got: String,
        /// How many values are good.
        allowed: usize,
    },
    /// A PCR that the rules speak of was not quoted.
    #[error("{bank}:{index} was not quoted")]
    NotQuoted {
        /// Bank.
        bank: AlgId,
        /// Index.
        index: PcrIndex,
    },
}

impl RuleError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::ClockNotSafe => "clock-safe",
            Self::Disguised(_) => "counters-disguised",
            Self::ResetCount { .. } => "reset-count",
            Self::RestartCount { .. } => "restart-count",
            Self::ClockBackwards { .. } => "clock-backwards",
            Self::FirmwareNotAllowed { .. } | Self::FirmwareTooOld { .. } => "firmware-version",
            Self::PcrValue { .. } | Self::NotQuoted { .. } => "pcr-value",
        }
    }
}

impl Rules {
    /// What has to be quoted for these rules.
    #[must_use]
    pub fn selection(&self) -> PcrSelection {
        let named: PcrMask = self.pcrs.keys().copied().collect();
        PcrSelection::new(self.bank, PcrMask(named.0 | self.any_value.0))
    }

    /// Decides on a verified quote; `last` is what is known of the same node's last login.
    ///
    /// # Errors
    /// The first failed rule: clock, counters, firmware, PCR values.
    pub fn decide(&self, quote: &VerifiedQuote, last: Option<&BootState>) -> Result<(), RuleError> {
        // `safe` is never disguised.
        if self.require_clock_safe && !quote.boot_as_signed().safe {
            return Err(RuleError::ClockNotSafe);
        }
        self.decide_counters(quote.boot(), last)?;
        self.decide_firmware(quote.boot())?;
        for (index, allowed) in &self.pcrs {
            let (bank, index) = (self.bank, *index);
            let value = quote
                .value(bank, index)
                .ok_or(RuleError::NotQuoted { bank, index })?;
            if !allowed.iter().any(|good| good == value) {
                return Err(RuleError::PcrValue {
                    bank,
                    index,
                    got: hex::encode(value),
                    allowed: allowed.len(),
                });
            }
        }
        let reported_all = self
            .any_value
            .iter()
            .find(|index| quote.value(self.bank, *index).is_none());
        match reported_all {
            Some(index) => Err(RuleError::NotQuoted {
                bank: self.bank,
                index,
            }),
            None => Ok(()),
        }
    }

    fn decide_counters(
        &self,
        now: Option<&BootState>,
        last: Option<&BootState>,
    ) -> Result<(), RuleError> {
        if self.reset_count == CounterRule::Any && self.restart_count == CounterRule::Any {
            return Ok(());
        }
        let Some(now) = now else {
            return Err(RuleError::Disguised("resetCount"));
        };
        let Some(last) = last else { return Ok(()) };

        let reset = now.reset_count.cmp(&last.reset_count);
        if breaks(self.reset_count, reset) {
            return Err(RuleError::ResetCount {
                got: now.reset_count,
                last: last.reset_count,
                rule: self.reset_count,
            });
        }
        // A reset sets restartCount to zero and may set the clock back: only without one do they mean
        // anything against the last login.
        let restart = now.restart_count.cmp(&last.restart_count);
        let without_reset = reset.is_eq();
        if breaks(self.restart_count, restart)
            && (without_reset || self.restart_count == CounterRule::Unchanged)
        {
            return Err(RuleError::RestartCount {
                got: now.restart_count,
                last: last.restart_count,
                rule: self.restart_count,
            });
        }
        if self.reset_count != CounterRule::Any && without_reset && now.clock < last.clock {
            return Err(RuleError::ClockBackwards {
                got: now.clock,
                last: last.clock,
            });
        }
        Ok(())
    }

    fn decide_firmware(&self, now: Option<&BootState>) -> Result<(), RuleError> {
        let Some(rule) = &self.firmware_version else {
            return Ok(());
        };
        let Some(now) = now else {
            return Err(RuleError::Disguised("firmwareVersion"));
        };
        let got = now.firmware_version;
        if let Some(allow) = &rule.allow
            && !allow.contains(&got)
        {
            return Err(RuleError::FirmwareNotAllowed { got });
        }
        match rule.min {
            Some(min) if got < min => Err(RuleError::FirmwareTooOld { got, min }),
            _ => Ok(()),
        }
    }
}

fn breaks(rule: CounterRule, now_to_last: core::cmp::Ordering) -> bool {
    match rule {
        CounterRule::Any => false,
        CounterRule::Monotonic => now_to_last.is_lt(),
        CounterRule::Unchanged => now_to_last.is_ne(),
    }
}
