//! Why a webhook's proof fails, and the decision on what it answered. Pure.

use super::answer::{Allowed, Kept};
use super::webhook::{MAX_PROOF, Webhook};
use crate::attestor::{AttestError, Fault};
use crate::outside::{Error, ErrorKind};

/// The failed check. Every one of them denies; the operator reads which, the agent learns only whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The agent's bytes are too many.
    #[error("the proof is longer than {MAX_PROOF} bytes")]
    ProofTooLong,
    /// The secret cannot be read now.
    #[error("bearerTokenFile: {0}")]
    Token(&'static str),
    /// It could not be asked, or has no answer that is one.
    #[error("{0}")]
    Outside(Error),
    /// A success, but not 200.
    #[error("status {0} instead of 200")]
    Status(u16),
    /// Its answer is not the JSON that is documented.
    #[error("the webhook's answer cannot be read")]
    Answer,
    /// An attribute's key or value cannot be used.
    #[error("an attribute of the webhook's answer cannot be used")]
    Attribute,
    /// The node's name cannot be used.
    #[error("the identity in the webhook's answer cannot be used")]
    Identity,
    /// It says no, and a word why.
    #[error("the webhook denies: `{0}`")]
    Denied(String),
    /// What is kept of its answer cannot be read, or is another webhook's.
    #[error("the webhook's answer as it was kept cannot be read, or is another's")]
    Kept,
}

impl WebhookError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::ProofTooLong => "proof-too-long",
            Self::Token(_) => "webhook-token",
            Self::Outside(error) => match error.kind {
                ErrorKind::Address(_) => "webhook-address",
                ErrorKind::NameNotFound | ErrorKind::Resolver => "webhook-name",
                ErrorKind::Connect => "webhook-connect",
                ErrorKind::Tls(_) => "webhook-tls",
                ErrorKind::Deadline => "webhook-timeout",
                ErrorKind::TooLarge => "webhook-answer-too-large",
                ErrorKind::Status(_) => "webhook-status",
                ErrorKind::Redirect(_) => "webhook-redirect",
                ErrorKind::Malformed => "webhook-broken",
                ErrorKind::ContentType => "webhook-content-type",
                ErrorKind::Busy => "webhook-busy",
                ErrorKind::Open => "webhook-circuit-open",
                ErrorKind::Offline => "offline",
                _ => "webhook",
            },
            Self::Status(_) => "webhook-status",
            Self::Answer => "webhook-answer",
            Self::Attribute => "webhook-attribute",
            Self::Identity => "webhook-identity",
            Self::Denied(_) => "webhook-denied",
            Self::Kept => "webhook-answer-kept",
        }
    }

    /// Whose fault.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::ProofTooLong => Fault::Malformed,
            Self::Denied(_) => Fault::Refused,
            Self::Token(_) => Fault::Misconfigured,
            Self::Kept => Fault::Internal,
            Self::Outside(error) => error.kind.fault(),
            Self::Status(_) | Self::Answer | Self::Attribute | Self::Identity => Fault::Unavailable,
        }
    }
}

impl From<WebhookError> for AttestError {
    fn from(error: WebhookError) -> Self {
        Self::new(error.fault(), error.check(), error.to_string())
    }
}

/// Judges what was kept of a webhook's answer.
///
/// # Errors
/// [`WebhookError`].
pub fn decide(webhook: &Webhook, kept: Kept) -> Result<Allowed, WebhookError> {
    if kept.webhook_url != webhook.url {
        return Err(WebhookError::Kept);
    }
    kept.answer.check()
}
