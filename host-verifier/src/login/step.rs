//! What happens in a login, one step at a time, for the event stream and the log.

use serde::Serialize;

use crate::attestor::Fault;

/// A step's stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// The agent opened a login.
    Hello,
    /// A challenge was made.
    Challenge,
    /// Proofs arrived.
    Proofs,
    /// A method's payload was judged.
    Evidence,
    /// The response to a method's challenge was judged.
    Response,
    /// What somebody outside answered about a method's payload was judged.
    Answer,
    /// The key that an SVID is wanted for was judged.
    SvidKey,
    /// The agent's session key was judged.
    SessionKey,
    /// The policies were decided.
    Policy,
    /// Where the login came from was held against where a cloud says that the node is.
    SourceAddress,
    /// The session was stored.
    Session,
    /// An SVID was issued.
    Svid,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As it should.
    Ok,
    /// Refused.
    Failed,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which.
    pub step: StepName,
    /// How it ended.
    pub outcome: StepOutcome,
    /// The challenge's round, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<u8>,
    /// The method, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The policy whose entry was judged, or that won.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// For whoever reads along. Never a secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Whether a method has proven all that an entry asks, for whoever counts.
    #[serde(skip)]
    pub proven: bool,
    /// Whose fault a failed proof is, for whoever counts.
    #[serde(skip)]
    pub fault: Option<Fault>,
}

impl Step {
    /// A step that went well.
    #[must_use]
    pub fn ok(step: StepName) -> Self {
        Self {
            step,
            outcome: StepOutcome::Ok,
            round: None,
            method: None,
            policy: None,
            detail: String::new(),
            proven: false,
            fault: None,
        }
    }

    /// A step that did not.
    #[must_use]
    pub fn failed(step: StepName, detail: impl Into<String>) -> Self {
        Self {
            outcome: StepOutcome::Failed,
            detail: detail.into(),
            ..Self::ok(step)
        }
    }

    /// Whether it went wrong.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.outcome == StepOutcome::Failed
    }

    /// As a proof that is complete, or not yet.
    #[must_use]
    pub fn proven(self, proven: bool) -> Self {
        Self { proven, ..self }
    }

    /// With whose fault it is.
    #[must_use]
    pub fn fault(self, fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..self
        }
    }

    /// With its round.
    #[must_use]
    pub fn round(self, round: u8) -> Self {
        Self {
            round: Some(round),
            ..self
        }
    }

    /// With its method.
    #[must_use]
    pub fn method(self, method: impl core::fmt::Display) -> Self {
        Self {
            method: Some(method.to_string()),
            ..self
        }
    }

    /// With its policy.
    #[must_use]
    pub fn policy(self, policy: impl Into<String>) -> Self {
        Self {
            policy: Some(policy.into()),
            ..self
        }
    }

    /// With a remark.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..self
        }
    }
}
