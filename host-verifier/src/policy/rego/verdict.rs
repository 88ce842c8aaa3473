//! What a module said.

use core::fmt;

use serde::Serialize;

/// Most texts of `deny` and `reasons` that are kept.
pub const MAX_REASONS: usize = 16;
/// Longest text that is kept, characters.
pub const MAX_REASON: usize = 256;

/// How an evaluation ended. Only the first lets a policy go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleOutcome {
    /// The entry point is true and nothing denies.
    Allow,
    /// The entry point is false, or `deny` is not empty.
    Deny,
    /// The entry point has no value.
    Undefined,
    /// It has one that is no boolean, or the evaluation failed.
    Error,
    /// It was not decided in time.
    Timeout,
    /// It needed more memory than it may take.
    Memory,
    /// Every thread that evaluates was busy for too long.
    Busy,
}

/// What a module said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleVerdict {
    /// How it ended.
    pub outcome: ModuleOutcome,
    /// The module's file, or the policy that it stands in.
    pub module: String,
    /// SHA-256 of its text, lower-case hex.
    pub digest: String,
    /// The rule that decided.
    pub entrypoint: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The texts of `deny` and `reasons`, bounded, and what was left out of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl ModuleVerdict {
    /// Whether the policy goes on.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.outcome == ModuleOutcome::Allow
    }
}

/// `node.rego (sha256 0123456789ab): data.site.allow is false: the reasons`.
impl fmt::Display for ModuleVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.digest.get(..12).unwrap_or(&self.digest);
        write!(f, "{} (sha256 {short}): {} ", self.module, self.entrypoint)?;
        f.write_str(match self.outcome {
            ModuleOutcome::Allow => "is true",
            ModuleOutcome::Deny => "denies",
            ModuleOutcome::Undefined => "is undefined",
            ModuleOutcome::Error => "failed",
            ModuleOutcome::Timeout => "was not decided in time",
            ModuleOutcome::Memory => "needs more memory than it may take",
            ModuleOutcome::Busy => "was not evaluated, too many modules run",
        })?;
        for text in self.detail.iter().chain(&self.reasons) {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}
