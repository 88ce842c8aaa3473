#![doc = include_str!("../../../../docs/methods/extension.md")]

pub mod answer;
pub mod config;
pub mod verify;
pub mod webhook;

use std::sync::Arc;

use assay_common::policy::AttestorKind;

pub use config::Config;
pub use verify::WebhookError;
pub use webhook::Webhook;

use self::answer::Kept;
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Judged, LoginContext,
    Running, When,
};
use crate::outside::Outside;

/// What all attributes begin with.
const PREFIX: &str = "custom.";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let key = attribute.strip_prefix(PREFIX);
    key.is_some_and(answer::is_key)
}

/// An `extension` entry of a policy.
#[derive(Clone, Debug)]
pub struct Extension {
    webhook: Arc<Webhook>,
}

impl Extension {
    /// An attestor that this webhook decides for.
    #[must_use]
    pub fn new(webhook: Webhook) -> Self {
        Self {
            webhook: Arc::new(webhook),
        }
    }
}

impl Attestor for Extension {
    fn kind(&self) -> AttestorKind {
        AttestorKind::EXTENSION
    }

    fn attributes(&self) -> Vec<String> {
        vec![format!("{PREFIX}*")]
    }

    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, _: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        if payload.len() > webhook::MAX_PROOF {
            return Err(WebhookError::ProofTooLong.into());
        }
        Ok(Judged::Errand(Box::new(Call {
            webhook: self.webhook.clone(),
            proof: payload.to_vec(),
        })))
    }
}

/// A proof that the webhook is to be asked about.
#[derive(Debug)]
struct Call {
    webhook: Arc<Webhook>,
    proof: Vec<u8>,
}

impl Errand for Call {
    /// The webhook is told what the others have proven, and nobody reaches it who fails before.
    fn when(&self) -> When {
        When::AfterOthers
    }

    fn run<'a>(&'a self, outside: &'a dyn Outside, cx: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let kept = self.webhook.ask(outside, &self.proof, cx).await?;
            serde_json::to_vec(&kept).map_err(|_| WebhookError::Kept.into())
        })
    }

    fn judge(self: Box<Self>, _: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let kept: Kept = serde_json::from_slice(answer).map_err(|_| WebhookError::Kept)?;
        Ok(claims(verify::decide(&self.webhook, kept)?))
    }
}

fn claims(allowed: answer::Allowed) -> Claims {
    let kind = AttestorKind::EXTENSION;
    let attributes = allowed.attributes.into_iter();
    Claims {
        kind,
        attributes: attributes
            .map(|(key, value)| Attribute {
                origin: kind,
                name: format!("{PREFIX}{key}").into(),
                value,
            })
            .collect(),
        facts: Facts {
            identity: allowed.identity,
            ..Facts::default()
        },
    }
}
