//! The decision: pure, and independent of the order in which proofs came.

use std::collections::BTreeMap;

use assay_common::policy::{AttestorKind, AttestorSet};

use super::explain::{Explanation, explain};
use super::{PolicySet, Rules};
use crate::attestor::run::{Attested, RequirementId};
use crate::attestor::{AttestError, Attribute, Facts, Fault};

/// What became of one entry of `requiredAttestors` or `anyOf`.
#[derive(Debug)]
pub enum Outcome {
    /// Every check passed.
    Satisfied(Attested),
    /// A check failed.
    Failed(AttestError),
    /// The agent does not offer the method.
    NotOffered,
    /// The agent was asked and did not answer.
    NotAnswered,
}

/// The outcomes of a login so far. An entry without one is undecided.
#[derive(Debug, Default)]
pub struct Outcomes(BTreeMap<RequirementId, Outcome>);

impl Outcomes {
    /// Records what became of an entry. The first outcome stands: a second try cannot mend a failed proof, and
    /// nothing spoils a proof that was made.
    pub fn record(&mut self, id: RequirementId, outcome: Outcome) {
        self.0.entry(id).or_insert(outcome);
    }

    /// Records a proof under the entry that it was made for.
    pub fn satisfied(&mut self, attested: Attested) {
        self.record(attested.by(), Outcome::Satisfied(attested));
    }

    /// What became of an entry; `None` while that is open.
    #[must_use]
    pub fn of(&self, id: RequirementId) -> Option<&Outcome> {
        self.0.get(&id)
    }
}

/// How a login stands before all is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No policy can be satisfied any more.
    Lost,
    /// The policy at this position wins, whatever else comes.
    Won(usize),
    /// Proofs that are still open decide.
    Open,
}

/// How a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Satisfied, and nothing that is still open could add to it.
    Full,
    Open,
    Dead,
}

/// The methods of a policy whose proofs count, and those that could still count. Within a policy a method has one
/// entry, so sets of methods say it all.
pub(super) struct View {
    pub(super) proven: AttestorSet,
    pub(super) possible: AttestorSet,
}

/// `None` when the policy is for another environment.
pub(super) fn view<'a>(
    set: &'a PolicySet,
    outcomes: &Outcomes,
    policy: usize,
) -> Option<(&'a Rules, View)> {
    let found = set.policies().get(policy).filter(|_| set.applies(policy))?;
    let (mut satisfied, mut open) = (AttestorSet::EMPTY, AttestorSet::EMPTY);
    for (entry, attestor) in found.attestors().iter().enumerate() {
        match outcomes.of(RequirementId { policy, entry }) {
            Some(Outcome::Satisfied(_)) => satisfied = satisfied.with(attestor.kind()),
            Some(_) => {}
            None => open = open.with(attestor.kind()),
        }
    }
    let rules = found.rules();
    let view = View {
        proven: rules.grounded(satisfied),
        possible: rules.grounded(satisfied.union(open)),
    };
    Some((rules, view))
}

fn state(set: &PolicySet, outcomes: &Outcomes, policy: usize) -> State {
    match view(set, outcomes, policy) {
        Some((rules, view)) if rules.hold(view.possible) => {
            // A rule that could use what is open waits for it: attributes must not depend on what came first.
            let settled = view.proven.covers(rules.used(view.possible));
            if settled { State::Full } else { State::Open }
        }
        _ => State::Dead,
    }
}

/// Whether an entry is undecided, and its policy alive and able to use its proof.
#[must_use]
pub fn is_wanted(set: &PolicySet, outcomes: &Outcomes, id: RequirementId) -> bool {
    let kind = set
        .policies()
        .get(id.policy)
        .and_then(|policy| policy.attestors().get(id.entry))
        .map(|attestor| attestor.kind());
    match (kind, view(set, outcomes, id.policy)) {
        (Some(kind), Some((rules, view))) => {
            outcomes.of(id).is_none()
                && rules.hold(view.possible)
                && rules.used(view.possible).contains(kind)
        }
        _ => false,
    }
}

/// How a login stands: the first policy of the document that is not out of the race decides.
#[must_use]
pub fn standing(set: &PolicySet, outcomes: &Outcomes) -> Standing {
    for policy in 0..set.policies().len() {
        match state(set, outcomes, policy) {
            State::Dead => {}
            State::Full => return Standing::Won(policy),
            State::Open => return Standing::Open,
        }
    }
    Standing::Lost
}

/// A policy is satisfied in full. Only [`decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    policy: String,
    attributes: Vec<Attribute>,
    facts: Facts,
    key_origin: Option<AttestorKind>,
    explanation: Explanation,
}

impl Authorized {
    /// The policy that won.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The attributes that its attestors vouch for, in the policy's order; no other's. See [`super::rules`] for which.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// What its attestors have proven of the node.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The method that bound a key of the node, by a secret that the session can be sealed with.
    #[must_use]
    pub const fn key_origin(&self) -> Option<AttestorKind> {
        self.key_origin
    }

    /// Why.
    #[must_use]
    pub const fn explanation(&self) -> &Explanation {
        &self.explanation
    }
}

/// No policy is satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first failed check, in document order; `None` when no proof was refused, because no policy fits what was
    /// offered.
    pub fault: Option<Fault>,
    /// Why.
    pub explanation: Explanation,
}

/// Decides. The first policy of the document whose rules hold wins; undecided entries count as not satisfied.
///
/// # Errors
///
/// [`Refusal`] when none is.
pub fn decide(set: &PolicySet, outcomes: &Outcomes) -> Result<Authorized, Refusal> {
    let mut explanation = explain(set, outcomes);
    let winner = set.policies().iter().enumerate().find_map(|(p, policy)| {
        let (rules, view) = view(set, outcomes, p)?;
        rules
            .hold(view.proven)
            .then(|| (p, policy, rules.used(view.proven)))
    });
    let Some((position, policy, used)) = winner else {
        let fault = set
            .requirements()
            .filter(|(id, _)| set.applies(id.policy))
            .find_map(|(id, _)| match outcomes.of(id) {
                Some(Outcome::Failed(error)) => Some(error.fault),
                Some(Outcome::NotAnswered) => Some(Fault::Refused),
                _ => None,
            });
        return Err(Refusal { fault, explanation });
    };
    explanation.winner = Some(policy.name().to_owned());
    let mut authorized = Authorized {
        policy: policy.name().to_owned(),
        attributes: Vec::new(),
        facts: Facts::default(),
        key_origin: None,
        explanation,
    };
    for (entry, attestor) in policy.attestors().iter().enumerate() {
        let id = RequirementId {
            policy: position,
            entry,
        };
        if let Some(Outcome::Satisfied(proof)) = outcomes.of(id)
            && used.contains(attestor.kind())
        {
            let claims = proof.claims();
            authorized
                .attributes
                .extend(claims.attributes.iter().cloned());
            let facts = &claims.facts;
            let own = &mut authorized.facts;
            own.subject = own.subject.take().or_else(|| facts.subject.clone());
            own.boot = own.boot.or(facts.boot);
            own.quoted = own.quoted.take().or_else(|| facts.quoted.clone());
            if own.attestation_key.is_none() && facts.attestation_key.is_some() {
                own.attestation_key.clone_from(&facts.attestation_key);
                authorized.key_origin = Some(claims.kind);
            }
        }
    }
    Ok(authorized)
}
