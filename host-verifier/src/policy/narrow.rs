//! Has the `rego` modules of a policy judge what its attestors have proven.
//!
//! A module is asked when all other rules of its policy hold, and can only say no: the next policy is then tried. A policy
//! whose module has not been asked is not satisfied.

use jiff::Timestamp;

use super::PolicySet;
use super::engine::{Outcomes, Standing, holds, standing};
use super::proof::Proof;
use super::rego::input;

/// Asks the modules that decide how a login goes on: those of policies that nothing but their module can still keep from
/// winning. Afterwards [`standing`] is never [`Standing::Module`].
pub fn narrow<P: Proof>(set: &PolicySet, outcomes: &mut Outcomes<P>, now: Timestamp) {
    while let Standing::Module(policy) = standing(set, outcomes) {
        ask(set, outcomes, policy, now);
    }
}

/// Asks the modules that the decision over these outcomes needs, up to the first policy that is satisfied.
pub fn narrow_to_decide<P: Proof>(set: &PolicySet, outcomes: &mut Outcomes<P>, now: Timestamp) {
    for policy in 0..set.policies().len() {
        if !holds(set, outcomes, policy) {
            continue;
        }
        if outcomes.narrowed(set, policy).is_none() {
            ask(set, outcomes, policy, now);
        }
        if outcomes.narrowed(set, policy) == Some(true) {
            return;
        }
    }
}

/// Asks the modules of one policy, in order, up to the first that does not allow.
fn ask<P: Proof>(set: &PolicySet, outcomes: &mut Outcomes<P>, policy: usize, now: Timestamp) {
    let Some(found) = set.policies().get(policy) else {
        return;
    };
    let document = input::document(set, outcomes, policy, now);
    let mut verdicts = Vec::new();
    for module in found.modules() {
        let mut verdict = module.evaluate(&document.value, now);
        if !verdict.allows() {
            verdict.reasons.extend(document.left_out.iter().cloned());
        }
        let allows = verdict.allows();
        verdicts.push(verdict);
        if !allows {
            break;
        }
    }
    outcomes.judged(policy, verdicts);
}
