//! Answers to a challenge, judged: in which order, by which entries of the policies, and what is noted of them.

use std::collections::BTreeMap;

use assay_common::login::Transcript;
use assay_common::policy::{AttestorKind, AttestorSet};

use super::session_key::{self, SessionKey};
use super::step::{Step, StepName};
use super::{Env, Progress, SvidKey, svid_key};
use crate::attestor::errand::Answered;
use crate::attestor::run::{self, Attested, AwaitAnswer, RequirementId};
use crate::attestor::{AttestError, Facts, Fault, LoginContext, McuKey};
use crate::blobs::Blobs;
use crate::policy::Outcome;
use crate::policy::engine::is_wanted;

/// An answer, beside what was asked.
pub(super) struct AskedItem<'a> {
    pub(super) kind: AttestorKind,
    pub(super) request: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) transcript: &'a Transcript,
    pub(super) blobs: &'a Blobs,
}

/// The methods in the order in which they stand on one another; by number where they do not.
pub(super) fn judging_order(
    progress: &Progress,
    answers: &BTreeMap<AttestorKind, &[u8]>,
) -> Vec<AttestorKind> {
    let needs = |kind: AttestorKind| -> AttestorSet {
        let own = progress
            .policies
            .requirements()
            .filter(|(_, a)| a.kind() == kind);
        own.fold(AttestorSet::EMPTY, |set, (_, a)| set.union(a.stands_on()))
    };
    let mut open: Vec<_> = answers.keys().copied().collect();
    let mut order = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let waiting: AttestorSet = open.iter().copied().collect();
        let ready = |kind: &AttestorKind| needs(*kind).intersection(waiting).is_empty();
        // Methods that stand on each other in a circle cannot be satisfied; they are judged as they come.
        let next = open.iter().position(ready).unwrap_or(0);
        order.push(open.remove(next));
    }
    order
}

/// A key that is refused ends the login when all else is proven: a node that cannot have what it asked for is not told that
/// all is well. One that names no key after all gets a session without an SVID.
pub(super) fn judge_svid_key(
    progress: &mut Progress,
    asked_at: &Transcript,
    answer: Option<&[u8]>,
    round: u8,
) {
    let step = match answer {
        None => {
            progress.svid_key = SvidKey::None;
            Step::failed(StepName::SvidKey, "not answered")
        }
        Some(payload) => match svid_key::judge(asked_at, payload) {
            Ok(key) => {
                progress.svid_key = SvidKey::Offered(Box::new(key));
                Step::ok(StepName::SvidKey)
            }
            Err(error) => {
                let step = Step::failed(StepName::SvidKey, error.to_string());
                progress.svid_key = SvidKey::Refused(error);
                step
            }
        },
    };
    progress.steps.push(step.round(round));
}

pub(super) fn judge_item(progress: &mut Progress, env: &Env<'_>, item: &AskedItem<'_>) {
    let entries: Vec<_> = progress
        .policies
        .requirements()
        .filter(|(entry, attestor)| {
            attestor.kind() == item.kind
                && is_wanted(&progress.policies, &progress.outcomes, *entry)
        })
        .map(|(entry, attestor)| (entry, attestor.clone()))
        .collect();
    for (entry, attestor) in entries {
        let response = progress.pending.remove(&entry);
        let step = if response.is_some() {
            StepName::Response
        } else {
            StepName::Evidence
        };
        let Some(keys) = progress.keys.get(&item.kind) else {
            continue;
        };
        let cx = LoginContext {
            now: env.now.wall,
            transcript: item.transcript,
            request: item.request,
            blobs: item.blobs,
            facts: &progress.facts,
            last_boot: progress.last_boot(),
            keys: &keys.keys,
        };
        let judged = match response {
            Some(response) => response
                .finish(&cx, item.payload)
                .map(run::Progress::Proven),
            None => run::judge(entry, attestor.as_ref(), &cx, item.payload),
        };
        let mut remark = None;
        let result = match judged {
            Ok(run::Progress::Pending(response)) => {
                remark = response.remark();
                progress.pending.insert(entry, response);
                Ok(())
            }
            Ok(run::Progress::Errand(errand)) => {
                remark = Some("asks outside".to_owned());
                progress.errands.insert(entry, errand);
                Ok(())
            }
            Ok(run::Progress::Proven(attested)) => settle(progress, attested),
            Err(error) => Err(error),
        };
        let noted = match &result {
            Ok(()) => Step::ok(step)
                .detail(remark.unwrap_or_default())
                .proven(!waits(progress, entry)),
            Err(error) => Step::failed(step, error.to_string()).fault(error.fault),
        };
        note(progress, item.kind, entry, noted);
        if let Err(error) = result {
            progress.outcomes.record(entry, Outcome::Failed(error));
        }
    }
}

/// Whether an entry is accepted so far, and something else decides.
fn waits(progress: &Progress, entry: RequirementId) -> bool {
    progress.pending.contains_key(&entry) || progress.errands.contains_key(&entry)
}

/// Judges what came from outside for one entry.
pub(super) fn judge_answer(progress: &mut Progress, errand: AwaitAnswer, answered: &Answered) {
    let (entry, kind) = (errand.by(), errand.kind());
    let Some(keys) = progress.keys.get(&kind) else {
        return;
    };
    let judged = errand.finish(&progress.facts, &keys.keys, answered.answer());
    let result = judged.and_then(|attested| settle(progress, attested));
    let noted = match &result {
        Ok(()) => Step::ok(StepName::Answer).proven(true),
        Err(error) => Step::failed(StepName::Answer, error.to_string()).fault(error.fault),
    };
    note(progress, kind, entry, noted);
    if let Err(error) = result {
        progress.outcomes.record(entry, Outcome::Failed(error));
    }
}

/// Judges what came from outside before the login changed its verifier. `None` when nobody has asked.
#[cfg_attr(
    not(feature = "service"),
    allow(dead_code, reason = "only the service takes logins up again")
)]
pub(super) fn answer_again(progress: &mut Progress, answered: &Answered) -> Option<()> {
    let entry = RequirementId {
        policy: answered.policy.into(),
        entry: answered.entry.into(),
    };
    let errand = progress.errands.remove(&entry)?;
    if errand.kind().0 != answered.kind {
        return None;
    }
    judge_answer(progress, errand, answered);
    Some(())
}

/// An agent that does not know the secret of its own key share gets no session that is sealed to it.
pub(super) fn judge_session_key(
    progress: &mut Progress,
    asked_at: &Transcript,
    answer: Option<&[u8]>,
    round: u8,
) {
    let keys = progress.keys.get(&AttestorKind::SESSION_KEY);
    progress.session_key = match answer {
        None => SessionKey::None,
        Some(answer) => session_key::judge(keys, asked_at, answer),
    };
    let step = match &progress.session_key {
        SessionKey::Confirmed => Step::ok(StepName::SessionKey),
        SessionKey::Refused(error) => Step::failed(StepName::SessionKey, error.to_string()),
        _ => Step::failed(StepName::SessionKey, "not answered"),
    };
    progress.steps.push(step.round(round));
}

/// Takes a proof into the login. There is one record of facts per login: a proof that disagrees with an earlier one
/// is refused, so two TPMs cannot stand behind one login.
fn settle(progress: &mut Progress, attested: Attested) -> Result<(), AttestError> {
    let Facts {
        subject,
        attestation_key,
        boot,
        quoted,
        mcu_key,
        // Each method has its own.
        identity: _,
        addresses: _,
    } = &attested.claims().facts;
    let own = &progress.facts;
    let differs = disagree(own.subject.as_ref(), subject.as_ref())
        || disagree(own.attestation_key.as_ref(), attestation_key.as_ref())
        || disagree(own.boot.as_ref(), boot.as_ref())
        || disagree(own.quoted.as_ref(), quoted.as_ref())
        // Two policies may differ in whether they pair it.
        || disagree(key_hash(&own.mcu_key), key_hash(mcu_key));
    if differs {
        let detail = "the proof speaks of another TPM or key than one before it in the same login";
        return Err(AttestError::new(Fault::Refused, "facts-differ", detail));
    }
    progress.facts = Facts {
        subject: own.subject.clone().or_else(|| subject.clone()),
        attestation_key: own
            .attestation_key
            .clone()
            .or_else(|| attestation_key.clone()),
        boot: own.boot.or(*boot),
        quoted: own.quoted.clone().or_else(|| quoted.clone()),
        mcu_key: own.mcu_key.or(*mcu_key),
        identity: None,
        addresses: Vec::new(),
    };
    progress.outcomes.satisfied(attested);
    Ok(())
}

fn key_hash(key: &Option<McuKey>) -> Option<&[u8; 32]> {
    key.as_ref().map(|key| &key.hash)
}

fn disagree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

pub(super) fn unanswered(progress: &mut Progress, kind: AttestorKind) {
    let entries: Vec<_> = progress
        .policies
        .requirements()
        .filter(|(_, attestor)| attestor.kind() == kind)
        .map(|(entry, _)| entry)
        .collect();
    for entry in entries {
        progress.pending.remove(&entry);
        progress.outcomes.record(entry, Outcome::NotAnswered);
    }
    progress
        .steps
        .push(Step::failed(StepName::Evidence, "not answered").method(kind));
}

fn note(progress: &mut Progress, kind: AttestorKind, entry: RequirementId, step: Step) {
    let policy = progress
        .policies
        .policies()
        .get(entry.policy)
        .map_or("", |p| p.name());
    let step = step.method(kind).policy(policy);
    progress.steps.push(step);
}
