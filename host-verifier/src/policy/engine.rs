//! The decision: pure, and independent of the order in which proofs came.

use std::collections::BTreeMap;

use assay_common::policy::AttestorKind;

use super::PolicySet;
use crate::attestor::run::{Attested, RequirementId};
use crate::attestor::{AttestError, Attribute, Facts, Fault};

/// What became of one entry of `requiredAttestors`.
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
    Full,
    Open,
    Dead,
}

fn state(set: &PolicySet, outcomes: &Outcomes, policy: usize) -> State {
    let entries = set.policies().get(policy).map_or(0, |p| p.required().len());
    let mut state = State::Full;
    for entry in 0..entries {
        match outcomes.of(RequirementId { policy, entry }) {
            Some(Outcome::Satisfied(_)) => {}
            Some(_) => return State::Dead,
            None => state = State::Open,
        }
    }
    state
}

/// Whether `policy` can still be satisfied.
#[must_use]
pub fn is_alive(set: &PolicySet, outcomes: &Outcomes, policy: usize) -> bool {
    state(set, outcomes, policy) != State::Dead
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

    /// The attributes that its attestors vouch for, in the policy's order; no other's.
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

/// Which rule decided, and why the others did not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The policy that won.
    pub winner: Option<String>,
    /// Every policy, in document order.
    pub policies: Vec<PolicyVerdict>,
}

/// What became of a policy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PolicyVerdict {
    /// Its name.
    pub policy: String,
    /// Whether every entry is satisfied. A later policy can be and still not win.
    pub satisfied: bool,
    /// What became of its entries.
    pub attestors: Vec<AttestorVerdict>,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttestorVerdict {
    /// The method's type identifier.
    pub attestor: String,
    /// `satisfied`, `failed`, `not-offered`, `not-answered` or `undecided`.
    pub outcome: &'static str,
    /// The failed check and what it found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One line: the first thing that was wrong with each policy.
impl core::fmt::Display for Explanation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(winner) = &self.winner {
            return write!(f, "policy `{winner}` is satisfied");
        }
        for (i, policy) in self.policies.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}policy `{}`: ", policy.policy)?;
            match policy.attestors.iter().find(|a| a.outcome != "satisfied") {
                Some(AttestorVerdict {
                    attestor,
                    outcome,
                    detail: None,
                }) => {
                    write!(f, "{attestor} {outcome}")?;
                }
                Some(AttestorVerdict {
                    attestor,
                    outcome,
                    detail: Some(detail),
                }) => {
                    write!(f, "{attestor} {outcome}: {detail}")?;
                }
                None => f.write_str("satisfied")?,
            }
        }
        Ok(())
    }
}

/// Decides. The first policy of the document that is satisfied in full wins; undecided entries count as not
/// satisfied.
///
/// # Errors
///
/// [`Refusal`] when none is.
pub fn decide(set: &PolicySet, outcomes: &Outcomes) -> Result<Authorized, Refusal> {
    let mut explanation = explain(set, outcomes);
    let winner = (0..set.policies().len()).find(|p| state(set, outcomes, *p) == State::Full);
    let Some((position, policy)) = winner.and_then(|p| set.policies().get(p).map(|full| (p, full)))
    else {
        let fault = set
            .requirements()
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
    for entry in 0..policy.required().len() {
        if let Some(Outcome::Satisfied(proof)) = outcomes.of(RequirementId {
            policy: position,
            entry,
        }) {
            let claims = proof.claims();
            authorized
                .attributes
                .extend(claims.attributes.iter().cloned());
            let facts = &claims.facts;
            let own = &mut authorized.facts;
            own.subject = own.subject.take().or_else(|| facts.subject.clone());
            own.boot = own.boot.or(facts.boot);
            if own.attestation_key.is_none() && facts.attestation_key.is_some() {
                own.attestation_key.clone_from(&facts.attestation_key);
                authorized.key_origin = Some(claims.kind);
            }
        }
    }
    Ok(authorized)
}

fn explain(set: &PolicySet, outcomes: &Outcomes) -> Explanation {
    let verdicts = set
        .policies()
        .iter()
        .enumerate()
        .map(|(policy, p)| PolicyVerdict {
            policy: p.name().to_owned(),
            satisfied: state(set, outcomes, policy) == State::Full,
            attestors: p
                .required()
                .iter()
                .enumerate()
                .map(|(entry, attestor)| {
                    let (outcome, detail) = match outcomes.of(RequirementId { policy, entry }) {
                        Some(Outcome::Satisfied(_)) => ("satisfied", None),
                        Some(Outcome::Failed(error)) => ("failed", Some(error.to_string())),
                        Some(Outcome::NotOffered) => ("not-offered", None),
                        Some(Outcome::NotAnswered) => ("not-answered", None),
                        None => ("undecided", None),
                    };
                    AttestorVerdict {
                        attestor: attestor.kind().to_string(),
                        outcome,
                        detail,
                    }
                })
                .collect(),
        });
    Explanation {
        winner: None,
        policies: verdicts.collect(),
    }
}
