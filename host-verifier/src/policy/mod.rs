//! Policies: which proofs a cluster accepts. AND inside a policy, OR between policies.
//!
//! [`document`] reads `AgentAttestation` documents, [`engine`] decides. The engine is pure: it sees proof values
//! and the policies, not messages, clocks or stores.

pub mod document;
pub mod engine;

use std::sync::Arc;

use assay_common::policy::{AttestorKind, AttestorSet};

pub use document::PolicyDocument;
pub use engine::{Authorized, Explanation, Outcome, Outcomes, Refusal, Standing, decide, standing};

use crate::attestor::Attestor;
use crate::attestor::run::RequirementId;

/// Most policies in one document.
pub const MAX_POLICIES: usize = 64;
/// Most entries of `requiredAttestors` in one policy.
pub const MAX_REQUIRED: usize = 8;

/// A cluster's policies, in the order in which they are tried.
#[derive(Debug)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

/// Attestors that must all be satisfied.
#[derive(Debug)]
pub struct Policy {
    name: String,
    required: Vec<Arc<dyn Attestor>>,
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
    /// More than [`MAX_REQUIRED`].
    #[error("policy `{0}` requires more than {MAX_REQUIRED} attestors")]
    TooManyRequired(String),
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
    /// A policy. An empty list, a method twice, or a method without the one it stands on is refused.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn new(
        name: impl Into<String>,
        required: Vec<Arc<dyn Attestor>>,
    ) -> Result<Self, PolicyError> {
        let name = name.into();
        if name.is_empty() {
            return Err(PolicyError::NoName);
        }
        if required.is_empty() {
            return Err(PolicyError::Empty(name));
        }
        if required.len() > MAX_REQUIRED {
            return Err(PolicyError::TooManyRequired(name));
        }
        let mut kinds = AttestorSet::EMPTY;
        for attestor in &required {
            if kinds.contains(attestor.kind()) {
                return Err(PolicyError::DuplicateAttestor(name, attestor.kind()));
            }
            kinds = kinds.with(attestor.kind());
        }
        for attestor in &required {
            let needs = attestor.stands_on();
            if !needs.is_empty() && needs.intersection(kinds).is_empty() {
                let needs: Vec<_> = needs.iter().map(|kind| kind.to_string()).collect();
                return Err(PolicyError::StandsAlone {
                    policy: name,
                    kind: attestor.kind(),
                    needs: needs.join(" or "),
                });
            }
        }
        Ok(Self { name, required })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The attestors that must all be satisfied.
    #[must_use]
    pub fn required(&self) -> &[Arc<dyn Attestor>] {
        &self.required
    }

    /// Their methods.
    #[must_use]
    pub fn kinds(&self) -> AttestorSet {
        self.required
            .iter()
            .map(|attestor| attestor.kind())
            .collect()
    }
}

impl PolicySet {
    /// Policies in the order in which they are tried.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn new(policies: Vec<Policy>) -> Result<Self, PolicyError> {
        if policies.is_empty() {
            return Err(PolicyError::NoPolicies);
        }
        if policies.len() > MAX_POLICIES {
            return Err(PolicyError::TooManyPolicies);
        }
        let mut names = std::collections::BTreeSet::new();
        for policy in &policies {
            if !names.insert(policy.name()) {
                return Err(PolicyError::DuplicateName(policy.name().to_owned()));
            }
        }
        Ok(Self { policies })
    }

    /// The policies, in order.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Every entry of every policy, in order.
    pub fn requirements(&self) -> impl Iterator<Item = (RequirementId, &Arc<dyn Attestor>)> {
        self.policies.iter().enumerate().flat_map(|(policy, p)| {
            p.required
                .iter()
                .enumerate()
                .map(move |(entry, attestor)| (RequirementId { policy, entry }, attestor))
        })
    }
}
