//! Policies: which proofs a cluster accepts. AND inside a policy, OR between policies.
//!
//! [`document`] reads `AgentAttestation` documents, [`rules`] says what a policy asks of its entries, [`engine`]
//! decides, [`explain`] says why. [`rego`] has the modules that can narrow a policy, [`mod@narrow`] asks them. [`what_if`]
//! decides over claims that were only written down, [`cases`] reads files of them, [`review`] warns. [`issuance`] and [`agent`] read the documents around it. The engine is
//! pure: it sees proof values and the policies, not messages, clocks or stores.

pub mod agent;
pub mod cases;
pub mod document;
pub mod engine;
pub mod environment;
pub mod explain;
pub mod fit;
pub mod issuance;
pub mod nameable;
pub mod narrow;
pub mod proof;
pub mod rego;
pub mod review;
pub mod rules;
pub mod section;
pub mod what_if;

mod entry;
mod hints;
mod requirement;
mod schema;

use std::sync::Arc;

use assay_common::policy::AttestorKind;

pub use agent::{AgentDocument, AgentSettings};
pub use document::{Checked, CheckedPolicy, PolicyDocument};
pub use engine::{Authorized, Outcome, Outcomes, Refusal, Standing, decide, standing};
pub use environment::Environment;
pub use explain::Explanation;
pub use issuance::{Issuance, IssuanceDocument};
pub use narrow::{narrow, narrow_to_decide};
pub use proof::Proof;
pub use rules::{CombinationError, Entry, Lists, Rules};
pub use section::Section;

use self::rego::Module;
use crate::attestor::Attestor;
use crate::attestor::run::RequirementId;

/// Most policies in one document.
pub const MAX_POLICIES: usize = 64;
/// Most entries of `requiredAttestors` and `anyOf` together in one policy: as many as one challenge carries.
pub const MAX_REQUIRED: usize = assay_common::protocol::message::MAX_ITEMS;
/// Most combinations in one policy.
pub const MAX_COMBINATIONS: usize = 32;

/// A cluster's policies, in the order in which they are tried.
#[derive(Debug)]
pub struct PolicySet {
    policies: Vec<Policy>,
    environment: Option<Environment>,
    digest: String,
}

/// Attestors, and the rules that say which of them must be satisfied.
#[derive(Debug)]
pub struct Policy {
    name: String,
    attestors: Vec<Arc<dyn Attestor>>,
    rules: Rules,
    environments: Vec<Environment>,
    modules: Vec<Arc<Module>>,
}

/// Why policies cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// An empty set would let nobody in, and is surely not what was meant.
    #[error("no policies")]
    NoPolicies,
    /// More than [`MAX_POLICIES`].
    #[error("more than {MAX_POLICIES} policies")]
    TooManyPolicies,
    /// No name.
    #[error("policy without a name")]
    NoName,
    /// Two policies of one name: logs could not tell them apart.
    #[error("policy name `{0}` is used twice")]
    DuplicateName(String),
    /// A policy that requires nothing would let everybody in.
    #[error("policy `{0}` requires no attestor")]
    Empty(String),
    /// A choice of nothing.
    #[error("`anyOf` of policy `{0}` is empty")]
    EmptyAnyOf(String),
    /// More than [`MAX_REQUIRED`].
    #[error("policy `{0}` requires more than {MAX_REQUIRED} attestors")]
    TooManyRequired(String),
    /// A number without the list that it counts in.
    #[error("policy `{0}` has `minAttestors` but no `anyOf`")]
    MinWithoutAnyOf(String),
    /// None of the list would be needed.
    #[error("`minAttestors` of policy `{0}` is 0")]
    MinIsZero(String),
    /// More than the list has.
    #[error("`minAttestors` of policy `{policy}` is {min}, `anyOf` has {of}")]
    MinTooLarge {
        /// The policy.
        policy: String,
        /// The number.
        min: u64,
        /// How many there are.
        of: usize,
    },
    /// A choice of nothing.
    #[error("`requiredAttestorCombinations` of policy `{0}` is empty")]
    NoCombinations(String),
    /// More than [`MAX_COMBINATIONS`].
    #[error("policy `{0}` has more than {MAX_COMBINATIONS} combinations")]
    TooManyCombinations(String),
    /// A combination that cannot be meant.
    #[error("combination {} of policy `{policy}` {why}", index + 1)]
    Combination {
        /// The policy.
        policy: String,
        /// Its position, from 0.
        index: usize,
        /// What is wrong with it.
        why: CombinationError,
    },
    /// An entry whose proof would change nothing.
    #[error("policy `{0}` never needs `{1}`")]
    Unused(String, AttestorKind),
    /// A policy for some environments in a document that does not say which it is for.
    #[error("policy `{0}` is for some environments, and the document names none")]
    NoEnvironment(String),
    /// Nobody could log in.
    #[error("no policy is for environment `{0}`")]
    NoPolicyHere(Environment),
    /// A method twice in one policy: one proof per method travels, so the two could not differ.
    #[error("policy `{0}` requires `{1}` twice")]
    DuplicateAttestor(String, AttestorKind),
    /// A method without the one that it stands on.
    #[error("policy `{policy}` requires `{kind}` but not the method it stands on: {needs}")]
    StandsAlone {
        /// The policy.
        policy: String,
        /// The method.
        kind: AttestorKind,
        /// What it needs, any one of them.
        needs: String,
    },
}

impl Policy {
    /// A policy of required attestors alone. An empty list, a method twice, or a method without the one it stands on
    /// is refused.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn new(
        name: impl Into<String>,
        required: Vec<Arc<dyn Attestor>>,
    ) -> Result<Self, PolicyError> {
        let lists = Lists {
            required: Some(required),
            any_of: None,
            min_attestors: None,
            combinations: None,
        };
        Self::with_rules(name, &lists, Vec::new())
    }

    /// A policy with any of the lists, for some environments or, with an empty list of them, for all.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]; see [`Rules::new`].
    pub fn with_rules(
        name: impl Into<String>,
        lists: &Lists<Arc<dyn Attestor>>,
        environments: Vec<Environment>,
    ) -> Result<Self, PolicyError> {
        let name = name.into();
        if name.is_empty() {
            return Err(PolicyError::NoName);
        }
        let shape = lists.map(|attestor| Entry {
            kind: attestor.kind(),
            stands_on: attestor.stands_on(),
        });
        Ok(Self {
            rules: Rules::new(&name, &shape)?,
            attestors: lists.entries().cloned().collect(),
            name,
            environments,
            modules: Vec::new(),
        })
    }

    /// The same policy, narrowed: all of these modules must allow besides. They are asked in this order.
    #[must_use]
    pub fn narrowed_by(self, modules: Vec<Arc<Module>>) -> Self {
        Self { modules, ..self }
    }

    /// The modules that narrow it.
    #[must_use]
    pub fn modules(&self) -> &[Arc<Module>] {
        &self.modules
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The attestors of its entries: those of `requiredAttestors`, then those of `anyOf`.
    #[must_use]
    pub fn attestors(&self) -> &[Arc<dyn Attestor>] {
        &self.attestors
    }

    /// What it asks of them.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The environments that it is for; empty: all.
    #[must_use]
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }
}

impl PolicySet {
    /// Policies in the order in which they are tried.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn new(policies: Vec<Policy>) -> Result<Self, PolicyError> {
        Self::in_environment(policies, None)
    }

    /// As [`Self::new`], for a cluster that is in an environment.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn in_environment(
        policies: Vec<Policy>,
        environment: Option<Environment>,
    ) -> Result<Self, PolicyError> {
        check_set(
            policies.iter().map(|p| (p.name(), p.environments())),
            environment,
        )?;
        // What was built and not what was written: a file that a document names may change while its name stays.
        let built = format!("{environment:?} {policies:?}");
        let digest = hex::encode(crate::crypto::HashAlgorithm::Sha256.hash(&[built.as_bytes()]));
        Ok(Self {
            policies,
            environment,
            digest,
        })
    }

    /// Tells whether two sets ask for the same: SHA-256 over everything in them, lower-case hex. The same at every verifier
    /// of one release.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The same policies in another environment.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], when none of them is for it.
    pub fn moved_to(self, environment: Environment) -> Result<Self, PolicyError> {
        Self::in_environment(self.policies, Some(environment))
    }

    /// The policies, in order.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The environment that the cluster is in.
    #[must_use]
    pub const fn environment(&self) -> Option<Environment> {
        self.environment
    }

    /// Whether the policy at this position is for the cluster's environment.
    #[must_use]
    pub fn applies(&self, policy: usize) -> bool {
        self.policies
            .get(policy)
            .is_some_and(|policy| is_for(&policy.environments, self.environment))
    }

    /// Every entry of every policy, in order.
    pub fn requirements(&self) -> impl Iterator<Item = (RequirementId, &Arc<dyn Attestor>)> {
        self.policies.iter().enumerate().flat_map(|(policy, p)| {
            p.attestors
                .iter()
                .enumerate()
                .map(move |(entry, attestor)| (RequirementId { policy, entry }, attestor))
        })
    }
}

fn is_for(environments: &[Environment], environment: Option<Environment>) -> bool {
    environments.is_empty() || environment.is_some_and(|own| environments.contains(&own))
}

/// What must hold of policies together, by name and environments.
fn check_set<'a>(
    policies: impl ExactSizeIterator<Item = (&'a str, &'a [Environment])>,
    environment: Option<Environment>,
) -> Result<(), PolicyError> {
    if policies.len() == 0 {
        return Err(PolicyError::NoPolicies);
    }
    if policies.len() > MAX_POLICIES {
        return Err(PolicyError::TooManyPolicies);
    }
    let mut names = std::collections::BTreeSet::new();
    let mut here = false;
    for (name, environments) in policies {
        if !names.insert(name) {
            return Err(PolicyError::DuplicateName(name.to_owned()));
        }
        if environment.is_none() && !environments.is_empty() {
            return Err(PolicyError::NoEnvironment(name.to_owned()));
        }
        here |= is_for(environments, environment);
    }
    match environment {
        Some(environment) if !here => Err(PolicyError::NoPolicyHere(environment)),
        _ => Ok(()),
    }
}
