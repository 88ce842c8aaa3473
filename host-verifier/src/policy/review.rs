//! What is right and still not what was meant, most likely: warnings about a document.

use assay_common::policy::{AttestorKind, AttestorSet};

use super::{Policy, PolicyDocument, PolicySet};
use crate::attestor::Attestor;
use crate::document::Place;

/// Most entries of a policy whose choices are all tried.
const MAX_TRIED: usize = 12;

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Remark {
    /// The policy.
    pub policy: String,
    /// The place of its name: line.
    pub line: u64,
    /// The place of its name: column.
    pub column: u64,
    /// What is odd.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Looks for policies that a replay could satisfy, that are never reached, methods that are weak, and modules that narrow nothing. `set` is the
/// document, built.
#[must_use]
pub fn review(document: &PolicyDocument, set: &PolicySet) -> Vec<Remark> {
    let settings: Vec<_> = document.settings().collect();
    let mut remarks = Vec::new();
    for (position, policy) in set.policies().iter().enumerate() {
        let at = settings.get(position).map(|(at, _)| *at);
        let mut say = |message: String, hint: &str| {
            let Place { line, column } = at.unwrap_or_default();
            remarks.push(Remark {
                policy: policy.name().to_owned(),
                line,
                column,
                message,
                hint: hint.to_owned(),
            });
        };
        if replayable(policy, |attestor| !attestor.binds_first_use()) {
            say(
                format!(
                    "policy `{}` can be satisfied by evidence that holds no nonce of the login",
                    policy.name()
                ),
                "whoever saw it once can send it again: require a method beside it that signs the login, such as `tpm_ek`, or bind an instance to its first key with `tofu: true` where the method has it",
            );
        } else if replayable(policy, |_| true) {
            say(
                format!(
                    "policy `{}` lets in whoever shows an instance's evidence first",
                    policy.name()
                ),
                "later logins must be with the same key (tofu): require a method beside it that signs the login, such as `tpm_ek`, where the first may be somebody else's",
            );
        }
        let mut weak: Vec<_> = policy
            .attestors()
            .iter()
            .flat_map(|a| a.weaknesses())
            .collect();
        weak.dedup();
        for (wrong, hint) in weak {
            say(wrong.to_owned(), hint);
        }
        let earlier = set.policies().iter().enumerate().take(position);
        let implied = earlier
            .filter(|(other, _)| set.applies(*other))
            .find(|(other, before)| {
                let of = |position: usize| settings.get(position).map_or(&[][..], |(_, all)| all);
                implies(policy, of(position), before, of(*other))
            });
        if let Some((_, before)) = implied.filter(|_| set.applies(position)) {
            say(
                format!(
                    "policy `{}` is never reached: whatever satisfies it satisfies `{}` before it",
                    policy.name(),
                    before.name()
                ),
                "put the stricter policy first, or remove one of them",
            );
        }
        for module in policy.modules().iter().filter(|m| m.allows_without_proof()) {
            say(
                format!("{} allows a login that has proven nothing", module.name()),
                "a module can only narrow: begin with `default allow := false`, and allow by what is in `input`",
            );
        }
    }
    remarks
}

/// Whether those of the entries that are not fresh and that `count` are enough.
fn replayable(policy: &Policy, count: impl Fn(&dyn Attestor) -> bool) -> bool {
    let stale = policy.attestors().iter();
    let stale = stale.filter(|a| !a.is_fresh() && count(a.as_ref()));
    let stale: AttestorSet = stale.map(|a| a.kind()).collect();
    let rules = policy.rules();
    rules.hold(rules.grounded(stale))
}

/// Whether `before` holds whenever `policy` does. False where that is not known.
fn implies(
    policy: &Policy,
    own: &[(AttestorKind, String)],
    before: &Policy,
    others: &[(AttestorKind, String)],
) -> bool {
    let same_module = before.modules().iter().all(|module| {
        policy
            .modules()
            .iter()
            .any(|own| own.digest() == module.digest() && own.entrypoint() == module.entrypoint())
    });
    // A proof counts for both where method and settings are the same.
    let shared: AttestorSet = others
        .iter()
        .filter(|entry| own.contains(entry))
        .map(|(kind, _)| *kind)
        .collect();
    if !same_module || own.len() > MAX_TRIED {
        return false;
    }
    (0..1_u32 << own.len()).all(|choice| {
        let proven = own.iter().enumerate();
        let proven: AttestorSet = proven
            .filter(|(bit, _)| choice & (1 << bit) != 0)
            .map(|(_, (kind, _))| *kind)
            .collect();
        let (mine, theirs) = (policy.rules(), before.rules());
        !mine.hold(mine.grounded(proven))
            || theirs.hold(theirs.grounded(proven.intersection(shared)))
    })
}
