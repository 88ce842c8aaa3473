//! Was the TPM reset behind the node's back?
//!
//! Whoever resets the TPM alone can extend again what a good node extends, and the quote is right. But the counters are not: at
//! boot a node notes where they stood, in the log; and a TPM is not reset more often than its node boots.

use assay_common::measurement::Boot;

use crate::attestor::{AttestError, BootState, Fault};
use crate::store::{BootConflict, NodeBoot};

/// Whether the TPM's resets must go with the node's boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WitnessRule {
    /// A log without counters is refused.
    Require,
    /// Counters that are there must agree, and be there again once they were.
    #[default]
    Accept,
    /// They are not looked at.
    Ignore,
}

/// What log and quote say of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witnessed {
    /// Which it was.
    Boot(NodeBoot),
    /// Nothing, which is for nodes that never said it: one that did must say it again, or leaving it out would be a way in.
    Untold(Untold),
}

/// Why nobody can tell which boot it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// The log does not say how the node booted.
    #[error("the event log does not say how the node booted")]
    Missing,
    /// The node has no boot counter.
    #[error("the node keeps no boot counter")]
    NoCounter,
    /// The key's counters are disguised.
    #[error(
        "the attestation key is no primary of the Endorsement hierarchy, so the TPM's resets cannot be compared with the node's boots"
    )]
    Disguised,
}

/// The TPM was reset where its node was not, or nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The policy wants to know which boot it was.
    #[error("{0}")]
    Untold(Untold),
    /// The TPM was reset or restarted since the node booted.
    #[error(
        "the TPM was reset since the node booted: resetCount and restartCount were {boot_reset} and {boot_restart}, and are {now_reset} and {now_restart}"
    )]
    Reset {
        /// resetCount at boot.
        boot_reset: u32,
        /// restartCount at boot.
        boot_restart: u32,
        /// resetCount in the quote.
        now_reset: u32,
        /// restartCount in the quote.
        now_restart: u32,
    },
    /// The node has told its boots before, and now does not.
    #[error("{0}; at an earlier login its boot was told")]
    Silent(Untold),
    /// This boot does not follow from that of the last login.
    #[error("{0}")]
    Conflict(#[from] BootConflict),
}

impl WitnessError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Untold(Untold::Missing | Untold::NoCounter) | Self::Silent(_) => {
                "reset-witness-missing"
            }
            Self::Untold(Untold::Disguised) => "counters-disguised",
            Self::Reset { .. }
            | Self::Conflict(BootConflict::TpmReset { .. } | BootConflict::Witness) => {
                "reset-witness"
            }
            Self::Conflict(BootConflict::Backwards { .. }) => "boot-counter-backwards",
        }
    }
}

impl From<WitnessError> for AttestError {
    fn from(error: WitnessError) -> Self {
        Self::new(Fault::Refused, error.check(), error.to_string())
    }
}

impl WitnessRule {
    /// Decides by the log and the quote alone; what comes of it is to be compared with the last login, `None` with nothing.
    /// `now` are the TPM's true counters.
    ///
    /// A restart counts as well: it sets PCRs back and leaves resetCount ([TPM2.0 1.83 Part 1] 12.2.3).
    ///
    /// # Errors
    /// [`WitnessError`].
    pub fn decide(
        self,
        boot: Option<&Boot>,
        now: Option<&BootState>,
    ) -> Result<Option<Witnessed>, WitnessError> {
        let unless_required = |untold| match self {
            Self::Require => Err(WitnessError::Untold(untold)),
            Self::Accept | Self::Ignore => Ok(Some(Witnessed::Untold(untold))),
        };
        if self == Self::Ignore {
            return Ok(None);
        }
        let Some(boot) = boot else {
            return unless_required(Untold::Missing);
        };
        let Some(now) = now else {
            return unless_required(Untold::Disguised);
        };
        if (now.reset_count, now.restart_count) != (boot.reset_count, boot.restart_count) {
            return Err(WitnessError::Reset {
                boot_reset: boot.reset_count,
                boot_restart: boot.restart_count,
                now_reset: now.reset_count,
                now_restart: now.restart_count,
            });
        }
        let Some(counter) = boot.counter else {
            return unless_required(Untold::NoCounter);
        };
        let [_, _, witness @ ..] = boot.witness.0;
        Ok(Some(Witnessed::Boot(NodeBoot {
            counter,
            reset_count: boot.reset_count,
            witness,
        })))
    }
}
