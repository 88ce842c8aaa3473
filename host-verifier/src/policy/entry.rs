//! One policy of a document as it is written, and where its errors are.

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::document::given;
use super::environment::Environments;
use super::hints::policy_error;
use super::rego::RegoSettings;
use super::requirement::{Kind, Requirement};
use super::{
    CombinationError, Environment, Lists, MAX_COMBINATIONS, MAX_REQUIRED, PolicyError, schema,
};
use crate::attestor::Attestor;
use crate::document::{DocumentError, Files};

type Entries = Spanned<Vec<Spanned<Requirement>>>;
type Combination = Spanned<Vec<Spanned<Kind>>>;

/// A policy: satisfied when all that it has holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "Policy", extend("anyOf" = [{"required": ["requiredAttestors"]}, {"required": ["anyOf"]}]))]
pub(super) struct PolicyEntry {
    /// Unique in the document; logs and sessions show it.
    #[schemars(with = "String", length(min = 1))]
    pub(super) name: Spanned<String>,
    /// The environments that it is for. Default: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "schema::EnvironmentTexts")]
    pub(super) environment: Option<Spanned<Environments>>,
    /// All of these are needed.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Vec<schema::Entry>", length(min = 1, max = MAX_REQUIRED))]
    pub(super) required_attestors: Option<Entries>,
    /// `minAttestors` of these are needed.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Vec<schema::Entry>", length(min = 1, max = MAX_REQUIRED))]
    pub(super) any_of: Option<Entries>,
    /// How many of `anyOf` are needed. Default 1.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "u64", range(min = 1, max = MAX_REQUIRED))]
    pub(super) min_attestors: Option<Spanned<u64>>,
    /// One of these lists of methods is needed in full; the methods are entries of this policy.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Vec<Vec<schema::Method>>", length(min = 1, max = MAX_COMBINATIONS), inner(length(min = 1)))]
    pub(super) required_attestor_combinations: Option<Spanned<Vec<Combination>>>,
    /// A Rego module that the policy must pass as well.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RegoSettings")]
    pub(super) rego: Option<Spanned<RegoSettings>>,
}

/// An entry with its attestor.
pub(super) struct Slot {
    pub(super) kind: AttestorKind,
    pub(super) attestor: Arc<dyn Attestor>,
}

impl PolicyEntry {
    pub(super) fn environments(&self) -> &[Environment] {
        self.environment.as_ref().map_or(&[], |list| &list.value.0)
    }

    pub(super) fn lists(&self) -> Lists<&Spanned<Requirement>> {
        fn list(list: Option<&Entries>) -> Option<Vec<&Spanned<Requirement>>> {
            Some(list?.value.iter().collect())
        }
        let combinations = self.required_attestor_combinations.as_ref().map(|all| {
            let all = all.value.iter();
            all.map(|set| set.value.iter().map(|kind| kind.value.0).collect())
                .collect()
        });
        Lists {
            required: list(self.required_attestors.as_ref()),
            any_of: list(self.any_of.as_ref()),
            min_attestors: self.min_attestors.as_ref().map(|min| min.value),
            combinations,
        }
    }

    /// An error of this policy, at the place of what it is about.
    pub(super) fn error(&self, file: &str, error: &PolicyError) -> DocumentError {
        let method = |kind: AttestorKind| {
            let lists = self.lists();
            let entries: Vec<_> = lists.entries().copied().collect();
            let last = entries.iter().rev().find(|e| e.value.kind.value.0 == kind);
            last.map(|entry| entry.value.kind.referenced)
        };
        let combinations = self.required_attestor_combinations.as_ref();
        let at = match error {
            PolicyError::Empty(_) => self.required_attestors.as_ref().map(|list| list.referenced),
            PolicyError::EmptyAnyOf(_) => self.any_of.as_ref().map(|list| list.referenced),
            PolicyError::MinWithoutAnyOf(_)
            | PolicyError::MinIsZero(_)
            | PolicyError::MinTooLarge { .. } => self.min_attestors.as_ref().map(|m| m.referenced),
            PolicyError::NoCombinations(_) | PolicyError::TooManyCombinations(_) => {
                combinations.map(|all| all.referenced)
            }
            PolicyError::Combination { index, why, .. } => {
                let set = combinations.and_then(|all| all.value.get(*index));
                set.map(|set| match why {
                    CombinationError::Twice(kind) | CombinationError::NoEntry(kind) => {
                        let mut methods = set.value.iter().rev();
                        let method = methods.find(|method| method.value.0 == *kind);
                        method.map_or(set.referenced, |method| method.referenced)
                    }
                    _ => set.referenced,
                })
            }
            PolicyError::DuplicateAttestor(_, kind)
            | PolicyError::StandsAlone { kind, .. }
            | PolicyError::Unused(_, kind) => method(*kind),
            _ => None,
        };
        policy_error(file, error, at.unwrap_or(self.name.referenced).into())
    }
}

impl Slot {
    pub(super) fn new(
        file: &str,
        files: Files<'_>,
        one: &Spanned<Requirement>,
    ) -> Result<Self, DocumentError> {
        let kind = one.value.kind.value.0;
        Ok(Self {
            kind,
            attestor: one.value.config.build_in(files).map_err(|error| {
                let mut document =
                    DocumentError::new(file, format!("{kind}: {error}")).at(one.referenced.into());
                document.hint = Some(error.hint.unwrap_or_else(|| {
                    format!("correct `{}` in the `config` of this entry", error.field)
                }));
                document
            })?,
        })
    }
}
