//! What to do about a policy that cannot be used.

use super::{CombinationError, PolicyError};
use crate::document::{DocumentError, Place};

/// An error of a policy, with what to do about it.
pub(super) fn policy_error(file: &str, error: &PolicyError, at: Place) -> DocumentError {
    let hint = match error {
        PolicyError::NoPolicies => "add a policy below `policies`",
        PolicyError::Empty(_) => "list at least one attestor below `requiredAttestors` or `anyOf`",
        PolicyError::EmptyAnyOf(_) => "list the attestors to choose from, or remove `anyOf`",
        PolicyError::NoName => "give the policy a name; logs and sessions show it",
        PolicyError::DuplicateName(_) => "rename one of them; logs could not tell them apart",
        PolicyError::DuplicateAttestor(..) => "write two policies if either setting is enough",
        PolicyError::StandsAlone { .. } => "add the other method to the same policy",
        PolicyError::TooManyPolicies | PolicyError::TooManyRequired(_) => "split the document",
        PolicyError::TooManyCombinations(_) => "split the policy",
        PolicyError::MinWithoutAnyOf(_) => {
            "list the attestors to choose from below `anyOf`; `requiredAttestors` are all needed"
        }
        PolicyError::MinIsZero(_) => "choose at least 1; without a choice, remove `anyOf`",
        PolicyError::MinTooLarge { .. } => "lower the number or list more attestors below `anyOf`",
        PolicyError::NoCombinations(_) => "list at least one combination, or remove the field",
        PolicyError::Combination { why, .. } => match why {
            CombinationError::Empty => "name the methods that together are enough",
            CombinationError::Twice(_) | CombinationError::Repeated => "remove one of them",
            CombinationError::NoEntry(_) => "list the method, with its settings, below `anyOf`",
            CombinationError::RequiredAnyway => "name at least one method of `anyOf` in it",
        },
        PolicyError::Unused(..) => {
            "it is in no combination and `minAttestors` is reached without it: add it to one, or remove the entry"
        }
        PolicyError::NoEnvironment(_) => {
            "add `environment: production` (or another) below `spec`, or remove it from the policy"
        }
        PolicyError::NoPolicyHere(_) => "add a policy for it, or one without `environment`",
    };
    DocumentError::new(file, error.to_string())
        .at(at)
        .hint(hint)
}
