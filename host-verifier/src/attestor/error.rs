//! Why a proof fails, sorted by whose fault it is.

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The agent's bytes cannot be read.
    Malformed,
    /// A check failed.
    Refused,
    /// The verifier's configuration is wrong.
    Misconfigured,
    /// Something the verifier needs is down.
    Unavailable,
    /// A bug or a failing library here.
    Internal,
}

impl Fault {
    /// Stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// A failed proof. The operator's log has all of it, the agent learns the fault only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {detail}")]
pub struct AttestError {
    /// Whose fault.
    pub fault: Fault,
    /// The failed check's stable name, e.g. `ek-not-allowed`.
    pub check: &'static str,
    /// What was expected and what was found. Never a secret.
    pub detail: String,
}

impl AttestError {
    /// A failed check.
    #[must_use]
    pub fn new(fault: Fault, check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            fault,
            check,
            detail: detail.into(),
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConfigError {
    /// The field inside `config:`, e.g. `allowedHashes[1]`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
