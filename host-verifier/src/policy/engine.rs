//! The decision: pure, and independent of the order in which proofs came.
//!
//! Modules are not run here ([`mod@super::narrow`] does); what they said is part of the outcomes.

use core::marker::PhantomData;
use std::collections::BTreeMap;

use assay_common::policy::{AttestorKind, AttestorSet};

use super::explain::{Explanation, explain};
use super::proof::Proof;
use super::rego::{ModuleOutcome, ModuleVerdict};
use super::{PolicySet, Rules};
use crate::attestor::run::{Attested, RequirementId};
use crate::attestor::source::{Source, SourceRule};
use crate::attestor::{AttestError, Attribute, Facts, Fault};

/// What became of one entry of `requiredAttestors` or `anyOf`.
#[derive(Debug)]
pub enum Outcome<P = Attested> {
    /// Every check passed.
    Satisfied(P),
    /// A check failed.
    Failed(AttestError),
    /// The agent does not offer the method.
    NotOffered,
    /// The agent was asked and did not answer.
    NotAnswered,
}

/// The outcomes of a login so far. An entry without one is undecided.
#[derive(Debug)]
pub struct Outcomes<P = Attested> {
    entries: BTreeMap<RequirementId, Outcome<P>>,
    /// What the modules of a policy said, by the policy's position.
    modules: BTreeMap<usize, Vec<ModuleVerdict>>,
}

/// Of proofs only: what is assumed has a constructor of its own name.
impl Default for Outcomes<Attested> {
    fn default() -> Self {
        Self::empty()
    }
}

impl Outcomes<Attested> {
    /// Records a proof under the entry that it was made for.
    pub fn satisfied(&mut self, attested: Attested) {
        self.record(attested.by(), Outcome::Satisfied(attested));
    }
}

impl<P> Outcomes<P> {
    pub(super) const fn empty() -> Self {
        Self {
            entries: BTreeMap::new(),
            modules: BTreeMap::new(),
        }
    }

    /// Records what became of an entry. The first outcome stands: a second try cannot mend a failed proof, and
    /// nothing spoils a proof that was made.
    pub fn record(&mut self, id: RequirementId, outcome: Outcome<P>) {
        self.entries.entry(id).or_insert(outcome);
    }

    /// What became of an entry; `None` while that is open.
    #[must_use]
    pub fn of(&self, id: RequirementId) -> Option<&Outcome<P>> {
        self.entries.get(&id)
    }

    /// What the modules of a policy said, as far as they were asked.
    #[must_use]
    pub fn modules(&self, policy: usize) -> &[ModuleVerdict] {
        self.modules.get(&policy).map_or(&[], Vec::as_slice)
    }

    /// Records what the modules of a policy said. The first answer stands.
    pub(super) fn judged(&mut self, policy: usize, verdicts: Vec<ModuleVerdict>) {
        self.modules.entry(policy).or_insert(verdicts);
    }

    /// Whether all modules of a policy allow; `None` when they were not asked.
    pub(super) fn narrowed(&self, set: &PolicySet, policy: usize) -> Option<bool> {
        let wanted = set.policies().get(policy)?.modules().len();
        if wanted == 0 {
            return Some(true);
        }
        let said = self.modules.get(&policy)?;
        Some(said.len() == wanted && said.iter().all(ModuleVerdict::allows))
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
    /// The modules of the policy at this position decide: [`narrow`](super::narrow()) asks them.
    Module(usize),
}

/// How a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Satisfied, and nothing that is still open could add to it.
    Full,
    /// As `Full`, but for its modules, which were not asked.
    Module,
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
pub(super) fn view<'a, P>(
    set: &'a PolicySet,
    outcomes: &Outcomes<P>,
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

fn state<P>(set: &PolicySet, outcomes: &Outcomes<P>, policy: usize) -> State {
    let narrowed = outcomes.narrowed(set, policy);
    match view(set, outcomes, policy) {
        Some((rules, view)) if narrowed != Some(false) && rules.hold(view.possible) => {
            // A rule that could use what is open waits for it: attributes must not depend on what came first.
            let settled = view.proven.covers(rules.used(view.possible));
            match narrowed {
                _ if !settled => State::Open,
                Some(_) => State::Full,
                None => State::Module,
            }
        }
        _ => State::Dead,
    }
}

/// Whether the rules of a policy hold over what is proven, modules aside.
pub(super) fn holds<P>(set: &PolicySet, outcomes: &Outcomes<P>, policy: usize) -> bool {
    view(set, outcomes, policy).is_some_and(|(rules, view)| rules.hold(view.proven))
}

/// Whether an entry is undecided, and its policy alive and able to use its proof.
#[must_use]
pub fn is_wanted<P>(set: &PolicySet, outcomes: &Outcomes<P>, id: RequirementId) -> bool {
    let kind = set
        .policies()
        .get(id.policy)
        .and_then(|policy| policy.attestors().get(id.entry))
        .map(|attestor| attestor.kind());
    match (kind, view(set, outcomes, id.policy)) {
        (Some(kind), Some((rules, view))) => {
            outcomes.of(id).is_none()
                && outcomes.narrowed(set, id.policy) != Some(false)
                && rules.hold(view.possible)
                && rules.used(view.possible).contains(kind)
        }
        _ => false,
    }
}

/// How a login stands: the first policy of the document that is not out of the race decides.
#[must_use]
pub fn standing<P>(set: &PolicySet, outcomes: &Outcomes<P>) -> Standing {
    first_alive(set, outcomes).map_or(Standing::Lost, |(policy, state)| match state {
        State::Full => Standing::Won(policy),
        State::Module => Standing::Module(policy),
        State::Open | State::Dead => Standing::Open,
    })
}

/// The policy that decides, when proofs that are still open decide over it.
#[must_use]
pub fn first_open<P>(set: &PolicySet, outcomes: &Outcomes<P>) -> Option<usize> {
    let (policy, state) = first_alive(set, outcomes)?;
    (state == State::Open).then_some(policy)
}

fn first_alive<P>(set: &PolicySet, outcomes: &Outcomes<P>) -> Option<(usize, State)> {
    let all = 0..set.policies().len();
    let mut states = all.map(|policy| (policy, state(set, outcomes, policy)));
    states.find(|(_, state)| *state != State::Dead)
}

/// A policy is satisfied in full. Only [`decide`] makes one; `P` is what it was decided over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized<P = Attested> {
    policy: String,
    attributes: Vec<Attribute>,
    facts: Facts,
    identities: Vec<(AttestorKind, String)>,
    once: bool,
    first_uses: Vec<(AttestorKind, Option<String>)>,
    sources: Vec<Source>,
    key_origin: Option<AttestorKind>,
    explanation: Explanation,
    over: PhantomData<P>,
}

impl<P> Authorized<P> {
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

    /// What its attestors call the node, each by its own stable name, in the policy's order.
    #[must_use]
    pub fn identities(&self) -> &[(AttestorKind, String)] {
        &self.identities
    }

    /// Whether one of its attestors accepts a proof once only, so that this login cannot be repeated.
    #[must_use]
    pub const fn is_once(&self) -> bool {
        self.once
    }

    /// Where the node is by the clouds' word, where the policy looks at that.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What is bound to the key that logs in with it first, by its method's name for it. Without a name it cannot be bound.
    #[must_use]
    pub fn first_uses(&self) -> &[(AttestorKind, Option<String>)] {
        &self.first_uses
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

/// Decides. The first policy of the document whose rules hold and whose modules allow wins; undecided entries count as not
/// satisfied, and modules that were not asked as not allowing.
///
/// # Errors
///
/// [`Refusal`] when none is.
pub fn decide<P: Proof>(set: &PolicySet, outcomes: &Outcomes<P>) -> Result<Authorized<P>, Refusal> {
    let mut explanation = explain(set, outcomes);
    let winner = set.policies().iter().enumerate().find_map(|(p, policy)| {
        let (rules, view) = view(set, outcomes, p)?;
        let wins = rules.hold(view.proven) && outcomes.narrowed(set, p) == Some(true);
        wins.then(|| (p, policy, rules.used(view.proven)))
    });
    let Some((position, policy, used)) = winner else {
        let fault = (0..set.policies().len())
            .filter(|policy| set.applies(*policy))
            .find_map(|policy| fault(set, outcomes, policy));
        return Err(Refusal { fault, explanation });
    };
    explanation.winner = Some(policy.name().to_owned());
    let mut authorized = Authorized {
        policy: policy.name().to_owned(),
        attributes: Vec::new(),
        facts: Facts::default(),
        identities: Vec::new(),
        once: false,
        first_uses: Vec::new(),
        sources: Vec::new(),
        key_origin: None,
        explanation,
        over: PhantomData,
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
            authorized.once |= attestor.is_once() || attestor.binds_first_use();
            let facts = &claims.facts;
            let own = &mut authorized.facts;
            own.subject = own.subject.take().or_else(|| facts.subject.clone());
            own.boot = own.boot.or(facts.boot);
            own.mcu_key = own.mcu_key.or(facts.mcu_key);
            own.quoted = own.quoted.take().or_else(|| facts.quoted.clone());
            if attestor.binds_first_use() {
                let bound = (claims.kind, facts.identity.clone());
                authorized.first_uses.push(bound);
            }
            let rule = attestor.source_rule();
            if rule != SourceRule::Ignore {
                authorized.sources.push(Source {
                    kind: claims.kind,
                    rule,
                    known: facts.addresses.clone(),
                });
            }
            let identity = facts.identity.iter().cloned();
            let named = identity.map(|identity| (claims.kind, identity));
            authorized.identities.extend(named);
            if own.attestation_key.is_none() && facts.attestation_key.is_some() {
                own.attestation_key.clone_from(&facts.attestation_key);
                authorized.key_origin = Some(claims.kind);
            }
        }
    }
    Ok(authorized)
}

/// The first failed check of a policy. A module that says no is no failed check: the policy does not fit.
fn fault<P>(set: &PolicySet, outcomes: &Outcomes<P>, policy: usize) -> Option<Fault> {
    let attestors = set.policies().get(policy)?.attestors();
    let entries = (0..attestors.len()).map(|entry| RequirementId { policy, entry });
    let failed = entries.into_iter().find_map(|id| match outcomes.of(id) {
        Some(Outcome::Failed(error)) => Some(error.fault),
        Some(Outcome::NotAnswered) => Some(Fault::Refused),
        _ => None,
    });
    failed.or_else(|| {
        let mut said = outcomes.modules(policy).iter();
        said.find_map(|verdict| match verdict.outcome {
            ModuleOutcome::Allow | ModuleOutcome::Deny | ModuleOutcome::Undefined => None,
            ModuleOutcome::Error | ModuleOutcome::Memory => Some(Fault::Misconfigured),
            ModuleOutcome::Timeout | ModuleOutcome::Busy => Some(Fault::Unavailable),
        })
    })
}
