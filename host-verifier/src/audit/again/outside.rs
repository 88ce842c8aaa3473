//! What was answered from outside, judged again: over the answers that were kept, and no others.

use std::sync::Arc;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::Again;
use crate::attestor::errand::Answered;
use crate::attestor::run::RequirementId;
use crate::attestor::{AttestError, Attestor, Claims, Facts, Fault, Judged, LoginContext};
use crate::blobs::Blobs;
use crate::policy::Outcome;
use crate::policy::what_if::Assumed;

/// A payload that waits for an answer from outside. Judging it is repeated for every answer that is tried.
pub(super) struct WaitingErrand {
    attestor: Arc<dyn Attestor>,
    transcript: Transcript,
    request: Vec<u8>,
    payload: Vec<u8>,
    blobs: Blobs,
    refused: Option<AttestError>,
}

impl WaitingErrand {
    fn judge(
        &self,
        now: Timestamp,
        facts: &Facts,
        answered: &Answered,
    ) -> Result<Claims, AttestError> {
        let keys = LoginKeys::new([0; 32]);
        let cx = LoginContext {
            now,
            transcript: &self.transcript,
            request: &self.request,
            blobs: &self.blobs,
            facts,
            last_boot: None,
            keys: &keys,
        };
        let answer = answered.answer()?;
        match self.attestor.judge(&cx, &self.payload)? {
            Judged::Errand(errand) => errand.judge(&cx, answer),
            Judged::Proven(_) | Judged::Challenge(_) => Err(AttestError::new(
                Fault::Internal,
                "errand-gone",
                "the method asks nobody when it is asked again",
            )),
        }
    }
}

impl Again<'_> {
    /// Keeps a payload until its answer comes.
    pub(super) fn wait(
        &mut self,
        id: RequirementId,
        attestor: Arc<dyn Attestor>,
        request: &[u8],
        payload: &[u8],
    ) {
        let waiting = WaitingErrand {
            attestor,
            transcript: self.transcript,
            request: request.to_vec(),
            payload: payload.to_vec(),
            blobs: self.blobs.clone(),
            refused: None,
        };
        self.errands.insert(id, waiting);
    }

    /// Every entry of the method tries the answer: under other policies the question may have come from another entry. An
    /// answer that is for another question is not accepted by it, since it names whom it came from. What was answered is believed as
    /// it was recorded, and that is named.
    pub(super) fn answered(&mut self, answered: &Answered) {
        let kind = AttestorKind(answered.kind);
        let mut accepted = false;
        for id in self.entries(kind) {
            let Some(errand) = self.errands.get(&id) else {
                continue;
            };
            let judged = errand.judge(self.question.at, &self.facts, answered);
            match judged.and_then(|claims| self.settle(claims)) {
                Ok(claims) => {
                    accepted = true;
                    self.errands.remove(&id);
                    let assumed = Outcome::Satisfied(Assumed::new(claims));
                    self.outcomes.record(id, assumed);
                }
                Err(error) => {
                    if let Some(errand) = self.errands.get_mut(&id) {
                        errand.refused.get_or_insert(error);
                    }
                }
            }
        }
        if accepted {
            let at = Timestamp::from_millisecond(answered.at);
            let at = at.map_or_else(|_| "an unknown time".to_owned(), |at| at.to_string());
            let why =
                format!("the answer about {kind} from outside, as recorded at {at}, is taken over");
            self.taken_over.push(why);
        }
    }

    /// What no answer was kept for, or none that would do.
    pub(super) fn unanswered(&mut self) {
        for (id, errand) in core::mem::take(&mut self.errands) {
            let error = errand.refused.unwrap_or_else(|| {
                let detail = "nothing that was answered from outside was kept for it";
                AttestError::new(Fault::Refused, "answer-not-kept", detail)
            });
            self.outcomes.record(id, Outcome::Failed(error));
        }
    }
}
