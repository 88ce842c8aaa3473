//! The state in which a challenge is out, and the one in which a node is looked up.

use std::collections::BTreeMap;

use assay_common::login::{Direction, Transcript};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{AgentMessage, DenyCode, Proofs, decode};

use super::hello::name;
use super::step::{Step, StepName};
use super::{Denied, Env, LoginId, Next, Progress, SvidKey, Turn, plan, svid_key};
use crate::attestor::run::{self, Attested, RequirementId};
use crate::attestor::{AttestError, Facts, Fault, LoginContext};
use crate::blobs::Blobs;
use crate::policy::Outcome;
use crate::policy::engine::is_wanted;
use crate::store::NodeRecord;

/// A login whose last challenge is not answered yet.
#[derive(Debug)]
pub struct AwaitProofs {
    progress: Progress,
    round: u8,
    /// What each method was asked, to the byte.
    requests: BTreeMap<AttestorKind, Vec<u8>>,
    nonce: [u8; 32],
}

impl AwaitProofs {
    pub(super) const fn new(
        progress: Progress,
        round: u8,
        requests: BTreeMap<AttestorKind, Vec<u8>>,
        nonce: [u8; 32],
    ) -> Self {
        Self {
            progress,
            round,
            requests,
            nonce,
        }
    }

    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.progress.id
    }

    #[cfg_attr(
        not(feature = "service"),
        allow(dead_code, reason = "only the service takes logins up again")
    )]
    pub(super) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The cluster that the agent named.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.progress.cluster
    }

    /// The methods that the agent offered.
    #[must_use]
    pub const fn offered(&self) -> AttestorSet {
        self.progress.offered
    }

    /// When the login expires, on the monotonic clock.
    #[must_use]
    pub const fn deadline(&self) -> core::time::Duration {
        self.progress.deadline
    }

    /// SHA-256 of the challenge's nonce: what a store remembers of a challenge that was answered. This state takes one
    /// answer by itself; the store extends that to all verifiers that share it.
    #[must_use]
    pub fn challenge_digest(&self) -> [u8; 32] {
        crate::crypto::sha256(&[&self.nonce])
    }

    /// Ends the login because nothing came in time.
    #[must_use]
    pub fn expire(self) -> Turn {
        let denied = self.denied(
            DenyCode::EXPIRED,
            format!("round {} was not answered in time", self.round),
        );
        plan::deny(self.progress, denied)
    }

    /// Ends the login because the challenge was answered before, elsewhere.
    #[must_use]
    pub fn already_answered(self) -> Turn {
        let denied = Denied::already_answered(self.progress.id);
        plan::deny(self.progress, denied)
    }

    /// Ends the login because something that it needs is down.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        let denied = self.denied(DenyCode::UNAVAILABLE, what.to_string());
        plan::deny(self.progress, denied)
    }

    /// Takes the answer. `blobs` holds what the agent sent ahead of it.
    #[must_use]
    pub fn handle(self, env: &Env<'_>, blobs: &Blobs, untrusted: &[u8]) -> Turn {
        if env.now.monotonic > self.progress.deadline {
            return self.expire();
        }
        let progress = match self.judge(env, blobs, untrusted) {
            Ok(progress) => progress,
            Err((progress, denied)) => return plan::deny(*progress, denied),
        };
        if progress.node.is_none()
            && let Some(subject) = progress.untrusted_subject()
        {
            return progress
                .turn(|progress| Next::Recall(Box::new(AwaitNode { progress, subject })));
        }
        plan::advance(progress, env)
    }

    /// Judges the answer, and decides nothing yet.
    ///
    /// # Errors
    ///
    /// The refusal of a message that breaks the protocol, with the login that it ends.
    pub(super) fn judge(
        self,
        env: &Env<'_>,
        blobs: &Blobs,
        untrusted: &[u8],
    ) -> Result<Progress, (Box<Progress>, Denied)> {
        let proofs = match self.read(untrusted) {
            Ok(proofs) => proofs,
            Err(detail) => {
                let denied = self.denied(DenyCode::MALFORMED, detail);
                return Err((Box::new(self.progress), denied));
            }
        };
        let Self {
            mut progress,
            round,
            requests,
            ..
        } = self;
        progress.steps.push(Step::ok(StepName::Proofs).round(round));
        let asked_at = progress.transcript;
        let mut answers: BTreeMap<_, _> = proofs
            .items
            .iter()
            .map(|item| (item.kind, item.payload))
            .collect();
        if requests.contains_key(&AttestorKind::SVID_KEY) {
            let answer = answers.remove(&AttestorKind::SVID_KEY);
            judge_svid_key(&mut progress, &asked_at, answer, round);
        }
        for kind in judging_order(&progress, &answers) {
            let (Some(payload), Some(request)) = (answers.get(&kind), requests.get(&kind)) else {
                continue;
            };
            let asked = AskedItem {
                kind,
                request,
                payload,
                transcript: &asked_at,
                blobs,
            };
            judge_item(&mut progress, env, &asked);
        }
        let of_methods = |kind: &&AttestorKind| **kind != AttestorKind::SVID_KEY;
        for kind in requests
            .keys()
            .filter(of_methods)
            .filter(|kind| !answers.contains_key(kind))
        {
            unanswered(&mut progress, *kind);
        }
        progress.transcript = asked_at.then(Direction::Agent, untrusted);
        Ok(progress)
    }

    /// Reads the message, and checks that it answers this challenge and nothing else.
    fn read<'m>(&self, untrusted: &'m [u8]) -> Result<Proofs<'m>, String> {
        let proofs = match decode(untrusted) {
            Ok(AgentMessage::Proofs(proofs)) => proofs,
            Ok(other) => return Err(format!("{} where proofs were asked for", name(&other))),
            Err(error) => return Err(error.to_string()),
        };
        if proofs.login_id != self.progress.id.0 {
            return Err(format!("proofs for login {}", LoginId(proofs.login_id)));
        }
        if proofs.round != self.round {
            return Err(format!(
                "proofs for round {} in round {}",
                proofs.round, self.round
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        for item in &proofs.items {
            if !self.requests.contains_key(&item.kind) {
                return Err(format!("a proof by {}, which was not asked for", item.kind));
            }
            if !seen.insert(item.kind) {
                return Err(format!("two proofs by {}", item.kind));
            }
        }
        Ok(proofs)
    }

    fn denied(&self, code: DenyCode, detail: String) -> Denied {
        Denied::new(Some(self.progress.id), code, detail)
    }
}

/// A login that needs to know what the store has of a node.
#[derive(Debug)]
pub struct AwaitNode {
    progress: Progress,
    subject: String,
}

impl AwaitNode {
    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.progress.id
    }

    /// The hash of the EK that the node claims to have.
    #[must_use]
    pub fn untrusted_subject(&self) -> &str {
        &self.subject
    }

    /// Goes on with what the store knows.
    #[must_use]
    pub fn handle(mut self, env: &Env<'_>, node: Option<NodeRecord>) -> Turn {
        self.progress.node = Some(node);
        plan::advance(self.progress, env)
    }

    /// Ends the login because the store cannot tell.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        let denied = Denied::new(
            Some(self.progress.id),
            DenyCode::UNAVAILABLE,
            what.to_string(),
        );
        plan::deny(self.progress, denied)
    }
}

struct AskedItem<'a> {
    kind: AttestorKind,
    request: &'a [u8],
    payload: &'a [u8],
    transcript: &'a Transcript,
    blobs: &'a Blobs,
}

/// The methods in the order in which they stand on one another; by number where they do not.
fn judging_order(
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
fn judge_svid_key(
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

fn judge_item(progress: &mut Progress, env: &Env<'_>, item: &AskedItem<'_>) {
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
            Ok(run::Progress::Proven(attested)) => settle(progress, attested),
            Err(error) => Err(error),
        };
        let noted = match &result {
            Ok(()) => Step::ok(step)
                .detail(remark.unwrap_or_default())
                .proven(!progress.pending.contains_key(&entry)),
            Err(error) => Step::failed(step, error.to_string()).fault(error.fault),
        };
        note(progress, item.kind, entry, noted);
        if let Err(error) = result {
            progress.outcomes.record(entry, Outcome::Failed(error));
        }
    }
}

/// Takes a proof into the login. There is one record of facts per login: a proof that disagrees with an earlier one
/// is refused, so two TPMs cannot stand behind one login.
fn settle(progress: &mut Progress, attested: Attested) -> Result<(), AttestError> {
    let Facts {
        subject,
        attestation_key,
        boot,
        quoted,
    } = &attested.claims().facts;
    let own = &progress.facts;
    let differs = disagree(own.subject.as_ref(), subject.as_ref())
        || disagree(own.attestation_key.as_ref(), attestation_key.as_ref())
        || disagree(own.boot.as_ref(), boot.as_ref())
        || disagree(own.quoted.as_ref(), quoted.as_ref());
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
    };
    progress.outcomes.satisfied(attested);
    Ok(())
}

fn disagree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

fn unanswered(progress: &mut Progress, kind: AttestorKind) {
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
