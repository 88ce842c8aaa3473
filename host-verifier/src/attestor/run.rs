//! The only place where a proof value is made.
//!
//! An [`Attested`] says that one entry of one policy's `requiredAttestors` was satisfied in this login. Its
//! fields are private and both functions that make one call the attestor first, so a check that was
//! skipped or failed leaves nothing to decide with.

use assay_common::login::{LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;

use super::errand::MAX_ANSWER;
use super::{
    AttestError, Attestor, Claims, Errand, ErrandContext, Facts, Fault, Judged, LoginContext,
    Pending, When,
};
use crate::blobs::Blobs;
use crate::outside::Outside;
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
    claims: Box<Claims>,
}

impl Attested {
    /// Which entry is satisfied.
    #[must_use]
    pub const fn by(&self) -> RequirementId {
        self.by
    }

    /// What was proven.
    #[must_use]
    pub fn claims(&self) -> &Claims {
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
    /// The answer of somebody outside decides.
    Errand(AwaitAnswer),
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
        Judged::Proven(claims) => attested(by, kind, claims).map(Progress::Proven),
        Judged::Challenge(pending) => Ok(Progress::Pending(AwaitResponse { by, kind, pending })),
        Judged::Errand(errand) => Ok(Progress::Errand(AwaitAnswer {
            by,
            kind,
            errand,
            asked: Asked {
                now: cx.now,
                transcript: *cx.transcript,
                request: cx.request.to_vec(),
            },
        })),
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
        attested(self.by, self.kind, Box::new(claims))
    }
}

/// An entry whose question to somebody outside is still to be answered.
#[derive(Debug)]
pub struct AwaitAnswer {
    by: RequirementId,
    kind: AttestorKind,
    errand: Box<dyn Errand>,
    asked: Asked,
}

/// What a payload was an answer to.
#[derive(Debug)]
struct Asked {
    now: jiff::Timestamp,
    transcript: Transcript,
    request: Vec<u8>,
}

impl AwaitAnswer {
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

    /// See [`Errand::when`].
    #[must_use]
    pub fn when(&self) -> When {
        self.errand.when()
    }

    /// The method's nonce in its login.
    #[must_use]
    pub fn proof_nonce(&self) -> [u8; 32] {
        proof_nonce(self.kind, &self.asked.transcript)
    }

    /// Asks; see [`Errand::run`]. An answer that is too long to be kept is none.
    ///
    /// # Errors
    ///
    /// The errand's.
    pub async fn run(
        &self,
        outside: &dyn Outside,
        cx: &ErrandContext,
    ) -> Result<Vec<u8>, AttestError> {
        let answer = self.errand.run(outside, cx).await?;
        if answer.len() > MAX_ANSWER {
            let detail = format!("{} made an answer of {} bytes", self.kind, answer.len());
            return Err(AttestError::new(Fault::Internal, "answer-too-long", detail));
        }
        Ok(answer)
    }

    /// Judges the answer. There is one: the value is consumed. `facts` is what other methods have proven by now.
    ///
    /// # Errors
    ///
    /// The attestor's, or why there is no answer.
    pub fn finish(
        self,
        facts: &Facts,
        keys: &LoginKeys,
        answer: Result<&[u8], AttestError>,
    ) -> Result<Attested, AttestError> {
        let blobs = Blobs::default();
        let cx = LoginContext {
            now: self.asked.now,
            transcript: &self.asked.transcript,
            request: &self.asked.request,
            blobs: &blobs,
            facts,
            last_boot: None,
            keys,
        };
        let claims = self.errand.judge(&cx, answer?)?;
        attested(self.by, self.kind, Box::new(claims))
    }
}

fn attested(
    by: RequirementId,
    kind: AttestorKind,
    claims: Box<Claims>,
) -> Result<Attested, AttestError> {
    // A name outside of the method's own could pass for another method's attribute in a template or a module.
    let named = |name: &str| {
        let rest = kind.origin().and_then(|origin| name.strip_prefix(origin));
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let own = claims.kind == kind
        && claims
            .attributes
            .iter()
            .all(|a| a.origin == kind && named(&a.name));
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
