//! How a login ends badly: the category for the node, the detail for the operator.

use assay_common::protocol::{self, DenyCode, MAX_VERIFIER_MESSAGE, VerifierMessage, encode};

use super::LoginId;
use crate::attestor::Fault;
use crate::policy::{Explanation, Refusal};

/// A login that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Which login; `None` when it was refused before it had a name.
    pub login_id: Option<LoginId>,
    /// The category.
    pub code: DenyCode,
    /// What the node is told.
    pub reason: &'static str,
    /// When the node may try again, seconds.
    pub retry_after_s: u32,
    /// What the operator is told. Never a secret, nor an expected value that would help a second try.
    pub detail: String,
    /// Which policy failed on what, when it came to that.
    pub explanation: Option<Explanation>,
}

/// A category and what the operator is told, where the login is still to be named.
pub(super) type Refused = (DenyCode, String);

pub(super) fn internal(detail: impl Into<String>) -> Refused {
    (DenyCode::INTERNAL, detail.into())
}

pub(super) fn misconfigured(detail: impl Into<String>) -> Refused {
    (DenyCode::MISCONFIGURED, detail.into())
}

impl Denied {
    /// A refusal with the category's own words and waiting time.
    #[must_use]
    pub fn new(login_id: Option<LoginId>, code: DenyCode, detail: impl Into<String>) -> Self {
        let (reason, retry_after_s) = public(code);
        Self {
            login_id,
            code,
            reason,
            retry_after_s,
            detail: detail.into(),
            explanation: None,
        }
    }

    /// The refusal of an answer to a challenge that was answered before.
    #[must_use]
    pub fn already_answered(login_id: LoginId) -> Self {
        let detail = "the challenge was answered before";
        Self::new(Some(login_id), DenyCode::REFUSED, detail)
    }

    /// With another waiting time, seconds.
    #[must_use]
    pub fn retry_after(self, retry_after_s: u32) -> Self {
        Self {
            retry_after_s,
            ..self
        }
    }

    pub(super) fn by_policy(login_id: LoginId, refusal: Refusal) -> Self {
        let code = match refusal.fault {
            None => DenyCode::NO_POLICY,
            Some(fault) => code_of(fault),
        };
        let detail = refusal.explanation.to_string();
        Self {
            explanation: Some(refusal.explanation),
            ..Self::new(Some(login_id), code, detail)
        }
    }

    /// The message for the node.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let message = VerifierMessage::Denied(protocol::Denied {
            code: self.code,
            reason: self.reason,
            retry_after_s: self.retry_after_s,
        });
        // The reasons below are far shorter than the buffer; an empty message would be refused as malformed.
        encode(&message, &mut [0; MAX_VERIFIER_MESSAGE])
            .map(<[u8]>::to_vec)
            .unwrap_or_default()
    }
}

/// The category of a fault.
#[must_use]
pub const fn code_of(fault: Fault) -> DenyCode {
    match fault {
        Fault::Malformed => DenyCode::MALFORMED,
        Fault::Refused => DenyCode::REFUSED,
        Fault::Misconfigured => DenyCode::MISCONFIGURED,
        Fault::Unavailable => DenyCode::UNAVAILABLE,
        Fault::Internal => DenyCode::INTERNAL,
    }
}

/// What a node is told, and how long it shall wait: longer where only a person can change something.
const fn public(code: DenyCode) -> (&'static str, u32) {
    match code {
        DenyCode::MALFORMED => ("the message breaks the protocol", 5),
        DenyCode::REFUSED => ("Attestor rejected proof, policy failed", 30),
        DenyCode::NO_POLICY => ("no cluster policy authorizes the provided attestors", 60),
        DenyCode::MISCONFIGURED => ("the verifier is not configured for this login", 60),
        DenyCode::UNAVAILABLE => ("the verifier cannot decide now", 15),
        DenyCode::OVERLOADED => ("too many logins at once", 5),
        DenyCode::UNSUPPORTED_VERSION => ("no protocol version in common", 300),
        DenyCode::EXPIRED => ("the login took too long", 1),
        DenyCode::LOGIN_REQUIRED => ("the session cannot go on: log in", 0),
        DenyCode::UNKNOWN_CLUSTER => ("the cluster is not known here", 60),
        _ => ("the verifier has a fault", 15),
    }
}

#[cfg(test)]
mod tests {
    use super::{Denied, DenyCode};
    use assay_common::protocol::{VerifierMessage, decode};

    #[test]
    fn every_category_has_words_of_its_own_and_none_tells_the_detail() {
        let mut seen = std::collections::BTreeSet::new();
        for code in DenyCode::ALL {
            let denied = Denied::new(None, *code, "the detail");
            assert!(seen.insert(denied.reason), "{code}");
            let message = denied.message();
            let Ok(VerifierMessage::Denied(read)) = decode(&message) else {
                unreachable!("{code} does not decode");
            };
            assert_eq!((read.code, read.reason), (*code, denied.reason));
            assert!(!message.windows(10).any(|w| w == b"the detail"));
        }
    }
}
