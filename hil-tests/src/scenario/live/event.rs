//! What `assayd` reports while it runs.

use serde::Deserialize;
use serde_json::{Map, Value};

/// One line of `assayd --events`.
#[derive(Debug, Clone, Deserialize)]
pub struct VerifierEvent {
    /// Which step.
    pub step: String,
    /// `ok` or `failed`.
    pub outcome: String,
    /// The method, where there is one.
    pub method: Option<String>,
    /// For whoever reads along.
    #[serde(default)]
    pub detail: String,
    /// The category of a denial.
    pub code: Option<String>,
    /// The policy that won.
    pub policy: Option<String>,
    /// What the policy's attestors vouch for.
    pub attributes: Option<Map<String, Value>>,
    /// The identity.
    pub spiffe_id: Option<String>,
    /// The session.
    pub session: Option<Value>,
}

impl VerifierEvent {
    /// Whether it ends a login or a renewal.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.is_granted() || self.is_renewed() || (self.step == "denied" && self.code.is_some())
    }

    /// Whether a session goes on.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        self.step == "renewed"
    }

    /// Whether it is a grant.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.step == "granted"
    }
}
