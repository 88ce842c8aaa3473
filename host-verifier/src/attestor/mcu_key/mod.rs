#![doc = include_str!("../../../../docs/methods/mcu_key.md")]

pub mod config;
pub mod payload;
#[cfg(test)]
mod tests;
pub mod verify;

use assay_common::{
    login::proof_nonce,
    policy::{AttestorKind, AttestorSet},
};

pub use config::Config;

use self::verify::Rules;
use super::{AttestError, Attestor, Attribute, Claims, Facts, Judged, LoginContext, McuKey};

/// The one attribute.
const HASH: &str = "mcu_key.hash";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    attribute == HASH
}

/// A `mcu_key` entry of a policy.
#[derive(Debug)]
pub struct McuKeyAttestor(Rules);

impl Attestor for McuKeyAttestor {
    fn kind(&self) -> AttestorKind {
        AttestorKind::MCU_KEY
    }

    /// On the TPM that it is paired with. The quote, where there is one, is judged before it, since its number is lower.
    fn stands_on(&self) -> AttestorSet {
        AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_DEVID)
    }

    fn attributes(&self) -> Vec<String> {
        vec![HASH.to_owned()]
    }

    /// Nothing to say: the board knows which key it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = proof_nonce(AttestorKind::MCU_KEY, cx.transcript);
        let quoted = cx.facts.quoted.as_ref();
        let quote = quoted.map_or([0; 32], |quoted| quoted.attest_sha256);
        let untrusted = payload::parse(payload)?;
        let shown = verify::possession(&untrusted, &nonce, &quote)?;
        verify::decide(&self.0, &shown, cx.facts.subject.as_deref())?;
        let hash = hex::encode(shown.hash());
        Ok(Judged::Proven(Box::new(Claims {
            kind: AttestorKind::MCU_KEY,
            attributes: vec![Attribute {
                origin: AttestorKind::MCU_KEY,
                name: HASH.into(),
                value: hash.clone(),
            }],
            facts: Facts {
                mcu_key: Some(McuKey {
                    hash: shown.hash(),
                    pairs: matches!(self.0, Rules::FirstLogin),
                }),
                identity: Some(hash),
                ..Facts::default()
            },
        })))
    }
}
