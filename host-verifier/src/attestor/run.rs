//! The only place where a proof value is made.
//!
//! An [`Attested`] says that one entry of one policy's `requiredAttestors` was satisfied in this login. Its
//! fields are private and both functions that make one call the attestor first, so a check that was
//! skipped or failed leaves nothing to decide with.

use assay_common::policy::AttestorKind;

use super::{AttestError, Attestor, Claims, Fault, Judged, LoginContext, Pending};
use crate::random::SecureRandom;

/// One entry of one policy's `requiredAttestors`, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequirementId {
    /// The policy's position in its document.
    pub policy: usize,
    /// The entry's position in the policy.
    pub entry: usize,
}

/// Proof that an attestor accepted everything it checks.
#[derive(Debug, PartialEq, Eq)]
pub struct Attested {
    by: RequirementId,
    claims: Claims,
}

impl Attested {
    /// Which entry is satisfied.
    #[must_use]
    pub const fn by(&self) -> RequirementId {
        self.by
    }

    /// What was proven.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// A payload that was judged.
#[derive(Debug)]
pub enum Progress {
    /// All checks passed.
    Proven(Attested),
    /// The response to a challenge decides.
    Pending(AwaitResponse),
}

/// Judges a payload for one entry.
///
/// # Errors
///
/// The attestor's.
pub fn judge(
    by: RequirementId,
    attestor: &dyn Attestor,
    cx: &LoginContext<'_>,
    untrusted_payload: &[u8],
) -> Result<Progress, AttestError> {
    let kind = attestor.kind();
    match attestor.judge(cx, untrusted_payload)? {
        Judged::Proven(claims) => attested(by, kind, *claims).map(Progress::Proven),
        Judged::Challenge(pending) => Ok(Progress::Pending(AwaitResponse { by, kind, pending })),
    }
}

/// An entry whose challenge is still to be answered.
#[derive(Debug)]
pub struct AwaitResponse {
    by: RequirementId,
    kind: AttestorKind,
    pending: Box<dyn Pending>,
}

impl AwaitResponse {
    /// Which entry.
    #[must_use]
    pub const fn by(&self) -> RequirementId {
        self.by
    }

    /// Its method.
    #[must_use]
    pub const fn kind(&self) -> AttestorKind {
        self.kind
    }

    /// See [`Pending::untrusted_subject`].
    #[must_use]
    pub fn untrusted_subject(&self) -> Option<String> {
        self.pending.untrusted_subject()
    }

    /// See [`Pending::remark`].
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        self.pending.remark()
    }

    /// See [`Pending::challenge`].
    ///
    /// # Errors
    ///
    /// The attestor's.
    pub fn challenge(
        &self,
        secret: &[u8; 32],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, AttestError> {
        self.pending.challenge(secret, random)
    }

    /// Judges the response. There is one try: the value is consumed.
    ///
    /// # Errors
    ///
    /// The attestor's.
    pub fn finish(
        self,
        cx: &LoginContext<'_>,
        untrusted_response: &[u8],
    ) -> Result<Attested, AttestError> {
        let claims = self.pending.finish(cx, untrusted_response)?;
        attested(self.by, self.kind, claims)
    }
}

fn attested(
    by: RequirementId,
    kind: AttestorKind,
    claims: Claims,
) -> Result<Attested, AttestError> {
    let own = claims.kind == kind && claims.attributes.iter().all(|a| a.origin == kind);
    if own {
        Ok(Attested { by, claims })
    } else {
        Err(AttestError::new(
            Fault::Internal,
            "claims-of-another-method",
            format!("{kind} made claims of another method"),
        ))
    }
}
