#![doc = include_str!("../../../../docs/methods/raw_key.md")]

pub mod config;
pub mod payload;
#[cfg(test)]
mod tests;
pub mod verify;

use assay_common::{login::proof_nonce, policy::AttestorKind};

pub use config::Config;

use self::verify::Rules;
use super::{AttestError, Attestor, Attribute, Claims, Facts, Judged, LoginContext};

/// The one attribute.
const HASH: &str = "raw_key.hash";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    attribute == HASH
}

/// A `raw_key` entry of a policy.
#[derive(Debug)]
pub struct RawKey(Rules);

impl Attestor for RawKey {
    fn kind(&self) -> AttestorKind {
        AttestorKind::RAW_KEY
    }

    /// The key signs this login's nonce.
    fn is_fresh(&self) -> bool {
        true
    }

    fn attributes(&self) -> Vec<String> {
        vec![HASH.to_owned()]
    }

    /// Nothing to say: the agent knows which key it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    /// Parse, verify, decide: three functions, and each needs what the one before it returns.
    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = proof_nonce(AttestorKind::RAW_KEY, cx.transcript);
        let untrusted = payload::parse(payload)?;
        let shown = verify::possession(&untrusted, &nonce)?;
        let hash = hex::encode(verify::decide(&self.0, &shown)?);
        Ok(Judged::Proven(Box::new(Claims {
            kind: AttestorKind::RAW_KEY,
            attributes: vec![Attribute {
                origin: AttestorKind::RAW_KEY,
                name: HASH.into(),
                value: hash.clone(),
            }],
            facts: Facts {
                identity: Some(hash),
                ..Facts::default()
            },
        })))
    }
}
