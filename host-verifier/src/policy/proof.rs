//! What the engine decides over: proofs of a login, or assumptions of a rehearsal.

use crate::attestor::Claims;
use crate::attestor::run::Attested;

/// Something that stands for a satisfied entry.
///
/// The engine's types carry which one it was ([`Outcomes`](super::Outcomes), [`Authorized`](super::Authorized)): a login
/// takes verdicts over [`Attested`] only, and nothing but an attestor makes one of those.
pub trait Proof {
    /// What it says of the node.
    fn claims(&self) -> &Claims;
}

impl Proof for Attested {
    fn claims(&self) -> &Claims {
        self.claims()
    }
}
