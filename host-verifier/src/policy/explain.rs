//! Which policy decided, and rule by rule why the others did not: for logs, the audit trail and `assay policy`.

use core::fmt;

use assay_common::policy::{AttestorKind, AttestorSet};

use super::engine::{Outcome, Outcomes, holds, view};
use super::rego::ModuleVerdict;
use super::{Policy, PolicySet};
use crate::attestor::run::RequirementId;

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
    /// Whether every rule holds. A later policy can be satisfied and still not win.
    pub satisfied: bool,
    /// What became of its rules, the ones that it has.
    pub rules: Vec<RuleVerdict>,
    /// What became of its entries.
    pub attestors: Vec<AttestorVerdict>,
    /// What its modules said, as far as they were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleVerdict>,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RuleVerdict {
    /// The field: `environment`, `requiredAttestors`, `anyOf`, `requiredAttestorCombinations` or `rego`.
    pub rule: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why.
    pub reason: String,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttestorVerdict {
    /// The method's type identifier.
    pub attestor: String,
    /// The list that it is in: `requiredAttestors` or `anyOf`.
    pub list: &'static str,
    /// `satisfied`, `failed`, `not-offered`, `not-answered`, `undecided`; `not-counted` for an accepted proof of a method
    /// that stands on another which does not count in this policy.
    pub outcome: &'static str,
    /// The failed check and what it found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One line: the policy that won and the rules that it met, or the first rule that kept each policy from it.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(winner) = &self.winner {
            write!(f, "policy `{winner}` is satisfied")?;
            let verdict = self.policies.iter().find(|p| p.policy == *winner);
            for (i, rule) in verdict.iter().flat_map(|p| &p.rules).enumerate() {
                let separator = if i == 0 { ": " } else { ", " };
                write!(f, "{separator}{} {}", rule.rule, rule.reason)?;
            }
            return Ok(());
        }
        for (i, policy) in self.policies.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}policy `{}`: ", policy.policy)?;
            match policy.rules.iter().find(|rule| !rule.holds) {
                // What is required needs no more words than what is wrong with it.
                Some(rule) if rule.rule == REQUIRED => f.write_str(&rule.reason)?,
                Some(rule) => write!(f, "{} {}", rule.rule, rule.reason)?,
                None => f.write_str("satisfied")?,
            }
        }
        Ok(())
    }
}

const ENVIRONMENT: &str = "environment";
const REQUIRED: &str = "requiredAttestors";
const ANY_OF: &str = "anyOf";
const COMBINATIONS: &str = "requiredAttestorCombinations";
const REGO: &str = "rego";

/// What became of every policy; the winner is for [`decide`](super::decide) to fill in.
pub(super) fn explain<P>(set: &PolicySet, outcomes: &Outcomes<P>) -> Explanation {
    let verdicts = set.policies().iter().enumerate().map(|(position, policy)| {
        let counted = view(set, outcomes, position).map(|(_, view)| view.proven);
        let attestors = entries(policy, position, counted, outcomes);
        let mut rules = Vec::new();
        if !policy.environments().is_empty() {
            rules.push(environment(set, policy));
        }
        rules.extend(lists(policy, counted.unwrap_or_default(), &attestors));
        let modules = outcomes.modules(position);
        if !policy.modules().is_empty() {
            let told = modules.last().map(ToString::to_string);
            rules.push(RuleVerdict {
                rule: REGO,
                holds: outcomes.narrowed(set, position) == Some(true),
                reason: told.unwrap_or_else(|| match holds(set, outcomes, position) {
                    true => "not asked: an earlier policy won".to_owned(),
                    false => "not asked: another rule does not hold".to_owned(),
                }),
            });
        }
        PolicyVerdict {
            policy: policy.name().to_owned(),
            satisfied: rules.iter().all(|rule| rule.holds),
            rules,
            attestors,
            modules: modules.to_vec(),
        }
    });
    Explanation {
        winner: None,
        policies: verdicts.collect(),
    }
}

fn entries<P>(
    policy: &Policy,
    position: usize,
    counted: Option<AttestorSet>,
    outcomes: &Outcomes<P>,
) -> Vec<AttestorVerdict> {
    let entry = |(entry, attestor): (usize, &std::sync::Arc<dyn crate::attestor::Attestor>)| {
        let kind = attestor.kind();
        let id = RequirementId {
            policy: position,
            entry,
        };
        let (outcome, detail) = match outcomes.of(id) {
            Some(Outcome::Satisfied(_)) if counted.is_some_and(|set| !set.contains(kind)) => {
                let needs: Vec<_> = attestor.stands_on().iter().map(|k| k.to_string()).collect();
                let needs = needs.join(" or ");
                (
                    "not-counted",
                    Some(format!("stands on {needs}, not proven here")),
                )
            }
            Some(Outcome::Satisfied(_)) => ("satisfied", None),
            Some(Outcome::Failed(error)) => ("failed", Some(error.to_string())),
            Some(Outcome::NotOffered) => ("not-offered", None),
            Some(Outcome::NotAnswered) => ("not-answered", None),
            None => ("undecided", None),
        };
        let required = policy.rules().required().contains(kind);
        AttestorVerdict {
            attestor: kind.to_string(),
            list: if required { REQUIRED } else { ANY_OF },
            outcome,
            detail,
        }
    };
    policy.attestors().iter().enumerate().map(entry).collect()
}

fn environment(set: &PolicySet, policy: &Policy) -> RuleVerdict {
    let wanted: Vec<_> = policy.environments().iter().map(|e| e.name()).collect();
    let own = set.environment();
    RuleVerdict {
        rule: ENVIRONMENT,
        holds: own.is_some_and(|own| policy.environments().contains(&own)),
        reason: format!(
            "is {}, the policy is for {}",
            own.map_or("not set", |own| own.name()),
            wanted.join(" or ")
        ),
    }
}

fn lists(policy: &Policy, counted: AttestorSet, attestors: &[AttestorVerdict]) -> Vec<RuleVerdict> {
    let rules = policy.rules();
    let of = |list: &'static str| attestors.iter().filter(move |a| a.list == list);
    let names = |set: AttestorSet| -> String {
        let names: Vec<_> = set.iter().map(|kind| kind.to_string()).collect();
        names.join(" and ")
    };
    let mut verdicts = Vec::new();
    if !rules.required().is_empty() {
        let wrong = of(REQUIRED).filter(|a| a.outcome != "satisfied");
        // What is undecided may be so because another entry had settled the policy already.
        let wrong = wrong.min_by_key(|a| weight(a));
        verdicts.push(RuleVerdict {
            rule: REQUIRED,
            holds: counted.covers(rules.required()),
            reason: wrong.map_or_else(|| names(rules.required()), told),
        });
    }
    if !rules.any_of().is_empty() {
        let got = rules.any_of().intersection(counted);
        let (min, of_all) = (rules.min_attestors(), rules.any_of().iter().count());
        let holds = rules.enough(counted);
        let mut reason = format!("has {} of {of_all}, needs {min}", got.iter().count());
        let shown: Vec<_> = if holds {
            vec![names(got)]
        } else {
            of(ANY_OF)
                .filter(|a| a.outcome != "satisfied")
                .map(told)
                .collect()
        };
        reason += &format!(" ({})", shown.join(", "));
        verdicts.push(RuleVerdict {
            rule: ANY_OF,
            holds,
            reason,
        });
    }
    if !rules.combinations().is_empty() {
        let complete = rules.combinations().iter().find(|c| counted.covers(**c));
        let reason = match complete {
            Some(set) => format!("has {}", names(*set)),
            None => {
                let lacking = rules.combinations().iter().map(|c| {
                    let missing = attestors.iter().filter(|a| {
                        let kind = AttestorKind::from_name(&a.attestor);
                        kind.is_some_and(|kind| c.contains(kind) && !counted.contains(kind))
                    });
                    let missing: Vec<_> = missing.map(told).collect();
                    format!("{}: {}", names(*c), missing.join(", "))
                });
                let lacking: Vec<_> = lacking.collect();
                format!("has none complete ({})", lacking.join("; "))
            }
        };
        verdicts.push(RuleVerdict {
            rule: COMBINATIONS,
            holds: complete.is_some(),
            reason,
        });
    }
    verdicts
}

/// Where an entry that is not satisfied stands among the reasons why its policy is not: least, when it says most.
fn weight(attestor: &AttestorVerdict) -> u8 {
    match attestor.outcome {
        "failed" => 0,
        "not-answered" => 1,
        "not-offered" => 2,
        "not-counted" => 3,
        _ => 4,
    }
}

fn told(attestor: &AttestorVerdict) -> String {
    let AttestorVerdict {
        attestor,
        outcome,
        detail,
        ..
    } = attestor;
    match detail {
        None => format!("{attestor} {outcome}"),
        Some(detail) => format!("{attestor} {outcome}: {detail}"),
    }
}
