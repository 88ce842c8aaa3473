//! Why a cloud gave no answer.

use core::time::Duration;

use crate::attestor::{AttestError, Fault};
use crate::outside;

/// A call that brought nothing. What the cloud sent is in it as a code only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{to}: {operation}: {kind}{code}")]
pub struct CallError {
    /// Who was asked: scheme, name and port of the endpoint, or what the question says about itself.
    pub to: String,
    /// The operation as the cloud calls it.
    pub operation: &'static str,
    /// The cloud's own name for what is wrong.
    pub code: Code,
    /// What went wrong.
    pub kind: CallErrorKind,
}

/// A cloud's name for an error, cleaned: at most 64 letters, digits, dots, dashes and underscores. Empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code(String);

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallErrorKind {
    /// The request brought no answer.
    #[error("{0}")]
    Outside(outside::ErrorKind),
    /// Too many calls. The cloud may say when to come again.
    #[error("throttled")]
    Throttled {
        /// When.
        retry_after: Option<Duration>,
    },
    /// These credentials may not ask this.
    #[error("not permitted")]
    Denied,
    /// The cloud finds the call wrong.
    #[error("refused")]
    Refused,
    /// The cloud has failed.
    #[error("the service failed")]
    Failed,
    /// The answer is not what the operation answers.
    #[error("the answer cannot be used: {0}")]
    Content(&'static str),
    /// There are no credentials to ask with, or they cannot be read.
    #[error("no credentials: {0}")]
    Credentials(&'static str),
    /// Too many wait already.
    #[error("too many calls are waiting")]
    Busy,
    /// Too much was asked for that may not be there: see [`Quota`](super::Quota).
    #[error("too many different questions of strangers")]
    Quota,
    /// No answer before the login's time for it was over, with all retries.
    #[error("no answer in time")]
    Deadline,
    /// The asking itself broke off.
    #[error("the call broke off")]
    Lost,
}

impl Code {
    /// Longest code.
    pub const MOST: usize = 64;

    /// What is left of `text`.
    #[must_use]
    pub fn clean(text: &str) -> Self {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        Self(text.chars().filter(plain).take(Self::MOST).collect())
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// In brackets, behind the kind.
impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            code => write!(f, " ({code})"),
        }
    }
}

impl CallError {
    /// An error of this kind.
    #[must_use]
    pub fn new(to: impl Into<String>, operation: &'static str, kind: CallErrorKind) -> Self {
        Self {
            to: to.into(),
            operation,
            code: Code::default(),
            kind,
        }
    }

    /// With the cloud's name for it.
    #[must_use]
    pub fn coded(self, code: &str) -> Self {
        let code = Code::clean(code);
        Self { code, ..self }
    }

    /// What the request came to.
    #[must_use]
    pub fn outside(operation: &'static str, error: outside::Error) -> Self {
        Self::new(error.to, operation, CallErrorKind::Outside(error.kind))
    }

    /// Whether the same call may well be answered in a moment.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        use outside::ErrorKind::{Busy, Connect, Deadline, Malformed};
        matches!(
            self.kind,
            CallErrorKind::Throttled { .. }
                | CallErrorKind::Failed
                | CallErrorKind::Outside(Busy | Connect | Deadline | Malformed)
        )
    }

    /// Whether the same call will not be answered otherwise for a while.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        matches!(
            self.kind,
            CallErrorKind::Refused | CallErrorKind::Content(_)
        )
    }

    /// As a method's failed check. What is out of order between the service and a cloud is nobody's bad proof.
    #[must_use]
    pub fn failed(&self, check: &'static str) -> AttestError {
        AttestError::new(self.fault(), check, self.to_string())
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match &self.kind {
            CallErrorKind::Outside(kind) => kind.fault(),
            CallErrorKind::Denied | CallErrorKind::Refused | CallErrorKind::Credentials(_) => {
                Fault::Misconfigured
            }
            CallErrorKind::Lost => Fault::Internal,
            _ => Fault::Unavailable,
        }
    }

    /// Its class in metrics: `throttled`, `denied` or `failed`.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self.kind {
            CallErrorKind::Throttled { .. } => "throttled",
            CallErrorKind::Denied | CallErrorKind::Credentials(_) => "denied",
            _ => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CallError, CallErrorKind, Code};

    #[test]
    fn a_clouds_code_is_shown_as_far_as_it_is_one() {
        let kind = CallErrorKind::Refused;
        let error = CallError::new("https://ec2.example", "DescribeInstances", kind);
        assert_eq!(
            error.to_string(),
            "https://ec2.example: DescribeInstances: refused"
        );
        assert_eq!(
            error.coded("InvalidInstanceID.NotFound").to_string(),
            "https://ec2.example: DescribeInstances: refused (InvalidInstanceID.NotFound)"
        );
        assert_eq!(
            Code::clean("<a href=\"x\">\u{1b}[31m").as_str(),
            "ahrefx31m"
        );
        assert_eq!(Code::clean(&"x".repeat(1000)).as_str().len(), Code::MOST);
    }
}
