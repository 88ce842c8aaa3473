//! The rules of a policy, over attestors that accept whatever they are shown.
//!
//! * `decisions`: which policy wins and whose attributes it gives, against an independent statement of the rules.
//! * `environments`: policies that are for some environments only.
//! * `rego`: modules that narrow a policy.
//! * `reviews`: warnings about documents that are right.
//! * `documents`: the fields in a document, and where and how their errors are told.

mod decisions;
mod documents;
mod environments;
mod rego;
mod reviews;

use std::sync::Arc;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_host_verifier::attestor::run::{self, Progress, RequirementId};
use assay_host_verifier::attestor::{
    AttestError, Attestor, Attribute, Claims, Facts, Fault, Judged, LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::policy::{Outcome, Outcomes, PolicySet};

/// A method that accepts every payload and says so in one attribute.
#[derive(Debug)]
pub(crate) struct Says {
    kind: AttestorKind,
    stands_on: AttestorSet,
}

pub(crate) fn says(kind: AttestorKind) -> Arc<dyn Attestor> {
    on(kind, AttestorSet::EMPTY)
}

/// As [`says`], and stands on one of other methods.
pub(crate) fn on(kind: AttestorKind, stands_on: AttestorSet) -> Arc<dyn Attestor> {
    Arc::new(Says { kind, stands_on })
}

impl Attestor for Says {
    fn kind(&self) -> AttestorKind {
        self.kind
    }

    fn stands_on(&self) -> AttestorSet {
        self.stands_on
    }

    fn request(&self, _: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, _: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let attribute = Attribute {
            origin: self.kind,
            name: format!("{}.said", self.kind.origin().unwrap()).into(),
            value: String::from_utf8_lossy(payload).into_owned(),
        };
        Ok(Judged::Proven(Box::new(Claims {
            kind: self.kind,
            attributes: vec![attribute],
            facts: Facts::default(),
        })))
    }
}

/// Has the attestor make the proof: there is no other way to get one.
pub(crate) fn satisfied(set: &PolicySet, id: RequirementId) -> Outcome {
    let keys = LoginKeys::new([0; 32]);
    let cx = LoginContext {
        now: jiff::Timestamp::UNIX_EPOCH,
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &keys,
    };
    let (_, attestor) = set.requirements().find(|(other, _)| *other == id).unwrap();
    let payload = format!("{}/{}", id.policy, attestor.kind());
    match run::judge(id, attestor.as_ref(), &cx, payload.as_bytes()).unwrap() {
        Progress::Proven(attested) => Outcome::Satisfied(attested),
        Progress::Pending(pending) => panic!("{pending:?}"),
        Progress::Errand(errand) => panic!("{errand:?}"),
    }
}

pub(crate) fn failed() -> Outcome {
    Outcome::Failed(AttestError::new(Fault::Refused, "test", "said no"))
}

/// The outcome that a number stands for: satisfied, failed, not offered, not answered, open.
pub(crate) fn outcome(set: &PolicySet, id: RequirementId, cell: u8) -> Option<Outcome> {
    match cell {
        0 => Some(satisfied(set, id)),
        1 => Some(failed()),
        2 => Some(Outcome::NotOffered),
        3 => Some(Outcome::NotAnswered),
        _ => None,
    }
}

/// Records one cell per entry, by (policy, method).
pub(crate) fn outcomes(set: &PolicySet, cell: impl Fn(usize, AttestorKind) -> u8) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for (id, attestor) in set.requirements() {
        if let Some(outcome) = outcome(set, id, cell(id.policy, attestor.kind())) {
            outcomes.record(id, outcome);
        }
    }
    outcomes
}
