//! Sealing of what lets in whoever reads it.
//!
//! A token or an extension's secret is as good for whoever finds it in the trail as for its node. So what an agent sent is
//! sealed in its record where a bearer proof is in it ([`is_bearer`]), under a key out of the verifier's challenge key: the
//! trail, its exports and the API let nobody in, and whoever has the verifier's data directory can still judge the login
//! again. A sealed piece opens at its own place of its own record only. There is no hash of it beside it, and what was said
//! after it is sealed as well, for it is over it: a secret that somebody thought of could be guessed by either.

use assay_common::protocol::{AgentMessage, decode};
use zeroize::Zeroizing;

use crate::attestor::is_bearer;
use crate::crypto::seal::{SealError, SealingKey};
use crate::login::key::EVIDENCE_LABEL;
use crate::random::SecureRandom;

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The login whose record it is in.
    pub login_id: &'a str,
    /// Its position among the record's pieces.
    pub position: usize,
    /// Who said it.
    pub from: &'a str,
    /// What it is.
    pub kind: &'a str,
}

impl Place<'_> {
    /// Each text with its length before it, so that no two places are the same bytes.
    fn about(&self) -> Vec<u8> {
        let mut about = EVIDENCE_LABEL.to_vec();
        about.extend((self.position as u64).to_be_bytes());
        for text in [self.login_id, self.from, self.kind] {
            about.extend((text.len() as u64).to_be_bytes());
            about.extend(text.as_bytes());
        }
        about
    }

    /// Seals a piece.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn seal(
        &self,
        key: &SealingKey,
        piece: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        key.seal(&self.about(), piece.to_vec(), random)
    }

    /// Opens what was sealed at this place; `None` for anything else.
    #[must_use]
    pub fn open(&self, key: &SealingKey, untrusted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        key.open(&self.about(), untrusted)
    }
}

/// Whether what an agent sent lets in whoever reads it: it has a proof of a bearer method, or of one that is not known, or
/// it cannot be read.
#[must_use]
pub fn lets_in(message: &[u8]) -> bool {
    match decode(message) {
        Ok(AgentMessage::Proofs(proofs)) => proofs.items.iter().any(|item| is_bearer(item.kind)),
        Ok(AgentMessage::Hello(_) | AgentMessage::Renew(_)) => false,
        _ => true,
    }
}
