//! Reads `AgentAttestation` documents.
//!
//! ```yaml
//! section: AgentAttestation
//! schema: v1
//! spec:
//!   environment: production                # for policies that are for some environments only
//!   policies:
//!     - name: rack
//!       environment: [staging, production] # one or several; absent: all
//!       requiredAttestors:                 # all of them
//!         - type: tpm_ek
//!           config:
//!             allowedHashes: ["…"]
//!       anyOf:                             # and so many of these
//!         - type: tpm_quote
//!         - type: k8s_psat
//!       minAttestors: 1
//!       requiredAttestorCombinations:      # and one of these in full
//!         - [tpm_ek, tpm_quote]
//!         - [tpm_ek, k8s_psat]
//!       rego: {file: rack.rego}            # and its module allows
//!   rego: {file: all.rego}                 # and this one, for every policy
//! ```
//!
//! What the fields mean is in [`super::rules`]. [`PolicyDocument::check`] says what is in a document,
//! [`PolicyDocument::build`] makes of it what decides.

use std::path::Path;
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_saphyr::Spanned;

use super::entry::{PolicyEntry, Slot};
use super::environment::EnvironmentName;
use super::hints::policy_error;
use super::rego::{MAX_TOGETHER, Module, RegoSettings};
use super::{
    Entry, Environment, Lists, MAX_POLICIES, Policy, PolicyError, PolicySet, Rules, check_set,
    schema,
};
use crate::document::{self, DocumentError, Files, Place};

/// An `AgentAttestation` document, shape checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "AgentAttestation",
    description = "AgentAttestation: which proofs let a node join a cluster."
)]
pub struct PolicyDocument {
    /// Always `AgentAttestation`.
    #[schemars(with = "String", extend("const" = "AgentAttestation"))]
    section: Spanned<String>,
    /// Always `v1`.
    #[schemars(with = "String", extend("const" = "v1"))]
    schema: Spanned<String>,
    /// The policies.
    #[schemars(with = "Spec")]
    spec: Spanned<Spec>,
}

/// The policies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Policies")]
struct Spec {
    /// The cluster's environment, for policies that are for some only.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "schema::EnvironmentText")]
    environment: Option<Spanned<EnvironmentName>>,
    /// Tried in order: the first that is satisfied wins.
    #[schemars(with = "Vec<PolicyEntry>", length(min = 1, max = MAX_POLICIES))]
    policies: Spanned<Vec<PolicyEntry>>,
    /// A Rego module that every policy must pass as well.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RegoSettings")]
    rego: Option<Spanned<RegoSettings>>,
}

/// A field that is there has a value: nothing after the colon is not the same as no field, since a list that was
/// commented out would widen a policy.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// A document that is right, and what this version cannot do of it.
#[derive(Debug)]
pub struct Checked {
    /// The cluster's environment.
    pub environment: Option<Environment>,
    /// The policies, in order.
    pub policies: Vec<CheckedPolicy>,
}

/// A policy that is right.
#[derive(Debug)]
pub struct CheckedPolicy {
    /// Its name.
    pub name: String,
    /// The environments that it is for; empty: all.
    pub environments: Vec<Environment>,
    /// Its methods by list.
    pub lists: Lists<AttestorKind>,
    /// The modules that narrow it.
    pub modules: Vec<Arc<Module>>,
    /// The place of its name.
    pub at: Place,
}

impl PolicyDocument {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        document::parse(file, text)
    }

    /// Checks the meaning.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn check(&self, file: &str, base: &Path) -> Result<Checked, DocumentError> {
        let slots = self.slots(file, Files::beside(base))?;
        let modules = self.modules(file, Files::beside(base))?;
        let entries = self.entries().zip(slots).zip(modules);
        let policies = entries.map(|((entry, lists), modules)| CheckedPolicy {
            name: entry.name.value.clone(),
            environments: entry.environments().to_vec(),
            lists: lists.map(|slot| slot.kind),
            at: entry.name.referenced.into(),
            modules,
        });
        Ok(Checked {
            policies: policies.collect(),
            environment: self.environment(),
        })
    }

    /// Checks the meaning and builds the attestors. Files that settings name are looked up from `base`.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn build(&self, file: &str, base: &Path) -> Result<PolicySet, DocumentError> {
        self.build_in(file, Files::beside(base))
    }

    /// As [`Self::build`], with another rule for the files that settings name.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn build_in(&self, file: &str, files: Files<'_>) -> Result<PolicySet, DocumentError> {
        let mut policies = Vec::new();
        let slots = self.slots(file, files)?;
        let modules = self.modules(file, files)?;
        for ((entry, slots), modules) in self.entries().zip(slots).zip(modules) {
            let lists = slots.map(|slot| slot.attestor.clone());
            let environments = entry.environments().to_vec();
            let policy = Policy::with_rules(entry.name.value.as_str(), &lists, environments);
            let policy = policy.map_err(|error| entry.error(file, &error))?;
            policies.push(policy.narrowed_by(modules));
        }
        PolicySet::in_environment(policies, self.environment())
            .map_err(|error| self.error(file, &error))
    }

    fn slots(&self, file: &str, files: Files<'_>) -> Result<Vec<Lists<Slot>>, DocumentError> {
        document::expect(file, &self.section, "section", "AgentAttestation")?;
        document::expect(file, &self.schema, "schema", "v1")?;
        let mut all = Vec::new();
        for entry in self.entries() {
            let slots = entry.lists().try_map(|one| Slot::new(file, files, one))?;
            if entry.name.value.is_empty() {
                return Err(entry.error(file, &PolicyError::NoName));
            }
            let shape = slots.map(|slot| Entry {
                kind: slot.kind,
                stands_on: slot.attestor.stands_on(),
            });
            Rules::new(&entry.name.value, &shape).map_err(|error| entry.error(file, &error))?;
            all.push(slots);
        }
        let names = self.spec.value.policies.value.iter();
        let names = names.map(|entry| (entry.name.value.as_str(), entry.environments()));
        check_set(names, self.environment()).map_err(|error| self.error(file, &error))?;
        Ok(all)
    }

    /// The modules of every policy: the document's, and its own.
    fn modules(
        &self,
        file: &str,
        files: Files<'_>,
    ) -> Result<Vec<Vec<Arc<Module>>>, DocumentError> {
        let build = |rego: &Option<Spanned<RegoSettings>>, owner: &str| match rego {
            Some(rego) => rego
                .value
                .build(file, files, owner, rego.referenced.into())
                .map(Some),
            None => Ok(None),
        };
        let shared = build(&self.spec.value.rego, "spec")?;
        let mut all = Vec::new();
        let mut together = core::time::Duration::ZERO;
        for entry in self.entries() {
            let own = build(&entry.rego, &format!("policy `{}`", entry.name.value))?;
            let both = [&self.spec.value.rego, &entry.rego];
            for rego in both.into_iter().flatten() {
                together = together.saturating_add(rego.value.timeout());
                if together > MAX_TOGETHER {
                    let message = format!(
                        "modules that may take more than {}s together",
                        MAX_TOGETHER.as_secs()
                    );
                    return Err(DocumentError::new(file, message)
                        .at(rego.referenced.into())
                        .hint("one login could meet them all: shorten `timeout`, or split the document"));
                }
            }
            all.push(shared.iter().cloned().chain(own).collect());
        }
        Ok(all)
    }

    /// Every entry's method and settings, as text that is equal where they are; by policy, in order, with the policy's place.
    pub(super) fn settings(&self) -> impl Iterator<Item = (Place, Vec<(AttestorKind, String)>)> {
        self.entries().map(|entry| {
            let lists = entry.lists();
            let settings = lists.entries().map(|one| {
                let kind = one.value.kind.value.0;
                (kind, format!("{:?}", one.value.config))
            });
            (entry.name.referenced.into(), settings.collect())
        })
    }

    fn entries(&self) -> impl Iterator<Item = &PolicyEntry> {
        self.spec.value.policies.value.iter()
    }

    fn environment(&self) -> Option<Environment> {
        Some(self.spec.value.environment.as_ref()?.value.0)
    }

    /// An error of the policies together, at the place of what it is about.
    fn error(&self, file: &str, error: &PolicyError) -> DocumentError {
        let spec = &self.spec.value;
        let at = match error {
            PolicyError::DuplicateName(name) | PolicyError::NoEnvironment(name) => {
                let mut named = spec.policies.value.iter().rev();
                let entry = named.find(|entry| entry.name.value == *name);
                entry.map(|entry| match &entry.environment {
                    Some(environment) if matches!(error, PolicyError::NoEnvironment(_)) => {
                        environment.referenced
                    }
                    _ => entry.name.referenced,
                })
            }
            PolicyError::NoPolicyHere(_) => spec.environment.as_ref().map(|e| e.referenced),
            _ => None,
        };
        policy_error(file, error, at.unwrap_or(spec.policies.referenced).into())
    }
}
