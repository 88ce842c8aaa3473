//! `minAttestors` with `anyOf`, `requiredAttestorCombinations`.

use std::collections::BTreeSet;

use assay_common::policy::{AttestorKind, AttestorSet};
use assay_host_verifier::attestor::run::RequirementId;
use assay_host_verifier::policy::engine::is_wanted;
use assay_host_verifier::policy::{
    Authorized, Lists, Outcomes, Policy, PolicyError, PolicySet, Standing, decide, standing,
};
use proptest::prelude::*;

use super::{failed, on, outcome, outcomes, satisfied, says};

const EK: AttestorKind = AttestorKind::TPM_EK;
const QUOTE: AttestorKind = AttestorKind::TPM_QUOTE;
const AWS: AttestorKind = AttestorKind::AWS_IID;
const PSAT: AttestorKind = AttestorKind::K8S_PSAT;
const TOKEN: AttestorKind = AttestorKind::JOIN_TOKEN;

/// The lists of a policy, by method.
#[derive(Debug, Clone, Default)]
struct Shape {
    required: Vec<AttestorKind>,
    any_of: Vec<AttestorKind>,
    min: Option<u64>,
    combinations: Vec<Vec<AttestorKind>>,
}

impl Shape {
    fn policy(&self, name: &str) -> Result<Policy, PolicyError> {
        let list = |kinds: &[AttestorKind]| {
            let attestors = kinds.iter().map(|kind| match *kind {
                QUOTE => on(QUOTE, AttestorSet::EMPTY.with(EK)),
                other => says(other),
            });
            Some(attestors.collect::<Vec<_>>()).filter(|list| !list.is_empty())
        };
        let lists = Lists {
            required: list(&self.required),
            any_of: list(&self.any_of),
            min_attestors: self.min,
            combinations: Some(self.combinations.clone()).filter(|all| !all.is_empty()),
        };
        Policy::with_rules(name, &lists, Vec::new())
    }

    /// The rules said again, another way: what must be among the methods whose proof was accepted.
    fn holds(&self, accepted: &BTreeSet<AttestorKind>) -> bool {
        let counts = |kind: &AttestorKind| {
            accepted.contains(kind) && (*kind != QUOTE || accepted.contains(&EK))
        };
        let min = if self.any_of.is_empty() {
            0
        } else {
            self.min.unwrap_or(1)
        };
        self.required.iter().all(counts)
            && self.any_of.iter().filter(|kind| counts(kind)).count() as u64 >= min
            && (self.combinations.is_empty()
                || self.combinations.iter().any(|set| set.iter().all(counts)))
    }
}

fn set(shapes: &[Shape]) -> PolicySet {
    let policies = shapes.iter().enumerate();
    let policies = policies.map(|(i, shape)| shape.policy(&format!("policy {i}")).unwrap());
    PolicySet::new(policies.collect()).unwrap()
}

/// Policies over six methods that the rules accept.
fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let pool = [EK, QUOTE, AWS, PSAT, TOKEN, AttestorKind::X509POP];
    let combination = prop::collection::vec(0usize..6, 1..4);
    let shape = (
        prop::collection::vec(0u8..3, 6),
        0u64..4,
        prop::collection::vec(combination, 0..4),
    );
    let shape = shape.prop_filter_map("a policy that can be meant", move |(place, min, sets)| {
        let of = |list: u8| -> Vec<_> {
            let chosen = pool.iter().zip(&place).filter(|(_, at)| **at == list);
            chosen.map(|(kind, _)| *kind).collect()
        };
        let shape = Shape {
            required: of(0),
            any_of: of(1),
            min: Some(min).filter(|min| *min > 0),
            combinations: sets
                .iter()
                .map(|set| set.iter().map(|i| pool[*i]).collect())
                .collect(),
        };
        shape.policy("p").ok().map(|_| shape)
    });
    prop::collection::vec(shape, 1..4)
}

type Cells = Vec<Vec<u8>>;

/// A number for every entry; mostly satisfied or open.
fn tables() -> impl Strategy<Value = (Vec<Shape>, Cells, u64)> {
    shapes().prop_flat_map(|shapes| {
        let cells: Vec<_> = shapes
            .iter()
            .map(|shape| {
                let n = shape.required.len() + shape.any_of.len();
                prop::collection::vec(prop_oneof![5 => Just(0u8), 1 => 1u8..4, 2 => Just(4u8)], n)
            })
            .collect();
        (Just(shapes), cells, any::<u64>())
    })
}

fn ids(set: &PolicySet) -> Vec<(RequirementId, AttestorKind)> {
    set.requirements().map(|(id, a)| (id, a.kind())).collect()
}

/// A permutation out of a seed.
fn shuffled<T>(mut items: Vec<T>, mut seed: u64) -> Vec<T> {
    for i in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        items.swap(i, (seed >> 33) as usize % (i + 1));
    }
    items
}

fn given(set: &PolicySet, cells: &Cells, order: u64) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for (id, _) in shuffled(ids(set), order) {
        if let Some(outcome) = outcome(set, id, cells[id.policy][id.entry]) {
            outcomes.record(id, outcome);
        }
    }
    outcomes
}

fn accepted(set: &PolicySet, cells: &Cells, policy: usize) -> BTreeSet<AttestorKind> {
    let own = ids(set).into_iter().filter(|(id, _)| id.policy == policy);
    own.filter(|(id, _)| cells[policy][id.entry] == 0)
        .map(|(_, kind)| kind)
        .collect()
}

fn said(authorized: &Authorized) -> Vec<String> {
    let attributes = authorized.attributes().iter();
    attributes.map(|a| a.value.clone()).collect()
}

proptest! {
    #[test]
    fn the_first_policy_whose_rules_hold_wins_in_whatever_order_proofs_come((shapes, cells, order) in tables()) {
        let set = set(&shapes);
        let expected = shapes.iter().enumerate().position(|(p, shape)| shape.holds(&accepted(&set, &cells, p)));
        let one = decide(&set, &given(&set, &cells, 0));
        let other = decide(&set, &given(&set, &cells, order));
        prop_assert_eq!(&one, &other, "the order of proofs decided something");
        match one {
            Ok(authorized) => {
                let winner = expected.expect("a winner");
                prop_assert_eq!(authorized.policy(), format!("policy {winner}"));
                let proven = accepted(&set, &cells, winner);
                for value in said(&authorized) {
                    let (policy, kind) = value.split_once('/').unwrap();
                    prop_assert_eq!(policy, winner.to_string(), "another policy's attribute");
                    prop_assert!(proven.contains(&AttestorKind::from_name(kind).unwrap()), "{} is not proven", kind);
                }
                // What is given away is enough by itself.
                let kinds = authorized.attributes().iter().map(|a| a.origin).collect();
                prop_assert!(shapes[winner].holds(&kinds));
                prop_assert!(authorized.explanation().policies[winner].satisfied);
            }
            Err(refusal) => {
                prop_assert_eq!(expected, None);
                for verdict in &refusal.explanation.policies {
                    prop_assert!(!verdict.satisfied && verdict.rules.iter().any(|rule| !rule.holds));
                }
            }
        }
    }

    #[test]
    fn a_login_that_stops_has_the_answer_that_all_proofs_would_have_given((shapes, cells, order) in tables()) {
        // Proofs come one by one, as the login asks for them; it must end, and as if all had come at once.
        let set = set(&shapes);
        let settled = |cell: u8| if cell == 4 { 3 } else { cell };
        let mut all = Outcomes::default();
        for (id, _) in ids(&set) {
            all.record(id, outcome(&set, id, settled(cells[id.policy][id.entry])).unwrap());
        }
        let mut stepwise = Outcomes::default();
        while standing(&set, &stepwise) == Standing::Open {
            let wanted = ids(&set).into_iter().filter(|(id, _)| is_wanted(&set, &stepwise, *id)).collect();
            let (id, _) = *shuffled(wanted, order).first().expect("an open login has something to ask for");
            stepwise.record(id, outcome(&set, id, settled(cells[id.policy][id.entry])).unwrap());
        }
        match (decide(&set, &all), decide(&set, &stepwise)) {
            (Ok(all), Ok(stepwise)) => {
                prop_assert_eq!(all.policy(), stepwise.policy());
                prop_assert_eq!(all.attributes(), stepwise.attributes());
            }
            (Err(_), Err(_)) => {}
            (all, stepwise) => prop_assert!(false, "{all:?}\n{stepwise:?}"),
        }
    }

    #[test]
    fn one_more_accepted_proof_never_takes_a_login_away((shapes, mut cells, pick) in tables()) {
        let set = set(&shapes);
        if decide(&set, &given(&set, &cells, 0)).is_ok() {
            let flat: Vec<_> = ids(&set);
            let (id, _) = flat[pick as usize % flat.len()];
            cells[id.policy][id.entry] = 0;
            prop_assert!(decide(&set, &given(&set, &cells, 0)).is_ok());
        }
    }

    #[test]
    fn k_of_n_lets_in_what_the_policies_of_all_k_subsets_let_in(
        proven in prop::collection::vec(any::<bool>(), 4),
        min in 1u64..=4,
    ) {
        let methods = [AWS, PSAT, TOKEN, AttestorKind::X509POP];
        let choice = set(&[Shape { any_of: methods.to_vec(), min: Some(min), ..Shape::default() }]);
        let subsets: Vec<Shape> = (1u32..16)
            .filter(|bits| u64::from(bits.count_ones()) == min)
            .map(|bits| Shape {
                required: (0..4).filter(|i| bits & (1 << i) != 0).map(|i| methods[i]).collect(),
                ..Shape::default()
            })
            .collect();
        let subsets = set(&subsets);
        let cell = |_, kind| u8::from(!proven[methods.iter().position(|m| *m == kind).unwrap()]);
        prop_assert_eq!(
            decide(&choice, &outcomes(&choice, cell)).is_ok(),
            decide(&subsets, &outcomes(&subsets, cell)).is_ok()
        );
    }
}

#[test]
fn combinations_let_in_what_one_policy_each_lets_in() {
    let combinations = vec![vec![EK, AWS], vec![EK, PSAT], vec![AWS, PSAT]];
    let one = set(&[Shape {
        any_of: vec![EK, AWS, PSAT],
        combinations: combinations.clone(),
        ..Shape::default()
    }]);
    let each: Vec<_> = combinations
        .into_iter()
        .map(|required| Shape {
            required,
            ..Shape::default()
        })
        .collect();
    let each = set(&each);
    for bits in 0u8..8 {
        let cell = |_, kind| {
            let i = [EK, AWS, PSAT].iter().position(|k| *k == kind).unwrap();
            u8::from(bits & (1 << i) == 0)
        };
        let (one, each) = (
            decide(&one, &outcomes(&one, cell)),
            decide(&each, &outcomes(&each, cell)),
        );
        assert_eq!(one.is_ok(), each.is_ok(), "{bits:03b}");
    }
}

#[test]
fn a_proof_whose_ground_only_another_policy_accepts_counts_for_nothing() {
    // The second policy lets in any EK, the first only some. A node that proves an EK of the second, a quote on it and a
    // token has two of the first one's three.
    let set = set(&[
        Shape {
            any_of: vec![EK, QUOTE, TOKEN],
            min: Some(2),
            ..Shape::default()
        },
        Shape {
            required: vec![EK, AWS],
            ..Shape::default()
        },
    ]);
    let cell = |policy, kind| match (policy, kind) {
        (0, EK) => 1,
        (1, AWS) => 2,
        _ => 0,
    };
    let outcomes = outcomes(&set, cell);
    assert_eq!(standing(&set, &outcomes), Standing::Lost);
    let refusal = decide(&set, &outcomes).unwrap_err();
    assert_eq!(
        refusal.explanation.to_string(),
        "policy `policy 0`: anyOf has 1 of 3, needs 2 (tpm_ek failed: test: said no, tpm_quote not-counted: \
         stands on tpm_ek, not proven here); policy `policy 1`: aws_iid not-offered"
    );
}

/// Once one entry has settled a policy the others are not judged: that they are open says nothing about why.
#[test]
fn the_entry_that_failed_is_the_reason_and_not_one_that_was_left_open() {
    let set = set(&[Shape {
        required: vec![EK, AWS, PSAT, TOKEN],
        ..Shape::default()
    }]);
    let told = |cells: [(AttestorKind, u8); 3]| {
        let cell = |_, kind| {
            let known = cells.iter().find(|(one, _)| *one == kind);
            known.map_or(4, |(_, cell)| *cell)
        };
        let refusal = decide(&set, &outcomes(&set, cell)).unwrap_err();
        refusal.explanation.to_string()
    };
    assert_eq!(
        told([(AWS, 2), (PSAT, 3), (TOKEN, 1)]),
        "policy `policy 0`: join_token failed: test: said no"
    );
    assert_eq!(
        told([(AWS, 2), (PSAT, 3), (TOKEN, 0)]),
        "policy `policy 0`: k8s_psat not-answered"
    );
    assert_eq!(
        told([(AWS, 0), (PSAT, 2), (TOKEN, 4)]),
        "policy `policy 0`: k8s_psat not-offered"
    );
    assert_eq!(
        told([(AWS, 0), (PSAT, 0), (TOKEN, 0)]),
        "policy `policy 0`: tpm_ek undecided"
    );
}

#[test]
fn only_what_a_rule_uses_gives_attributes() {
    let set = set(&[Shape {
        any_of: vec![EK, AWS, PSAT, TOKEN],
        combinations: vec![vec![EK, AWS], vec![PSAT, TOKEN]],
        ..Shape::default()
    }]);
    let half = outcomes(&set, |_, kind| u8::from(kind == TOKEN));
    let authorized = decide(&set, &half).unwrap();
    assert_eq!(
        said(&authorized),
        ["0/tpm_ek", "0/aws_iid"],
        "k8s_psat is in no complete combination"
    );
    assert_eq!(
        authorized.explanation().to_string(),
        "policy `policy 0` is satisfied: anyOf has 3 of 4, needs 1 (tpm_ek and aws_iid and k8s_psat), \
         requiredAttestorCombinations has tpm_ek and aws_iid"
    );
}

#[test]
fn nothing_is_asked_for_that_could_not_be_used() {
    let set = set(&[Shape {
        any_of: vec![EK, AWS, PSAT, TOKEN],
        combinations: vec![vec![EK, AWS], vec![PSAT, TOKEN]],
        ..Shape::default()
    }]);
    let wanted = |outcomes: &Outcomes| -> Vec<_> {
        let wanted = ids(&set).into_iter();
        wanted
            .filter(|(id, _)| is_wanted(&set, outcomes, *id))
            .map(|(_, kind)| kind)
            .collect()
    };
    let mut outcomes = Outcomes::default();
    assert_eq!(wanted(&outcomes), [EK, AWS, PSAT, TOKEN]);
    // Without the token its combination cannot be completed, and the other half of it is of no use.
    let token = RequirementId {
        policy: 0,
        entry: 3,
    };
    outcomes.record(token, failed());
    assert_eq!(wanted(&outcomes), [EK, AWS]);
    let ek = RequirementId {
        policy: 0,
        entry: 0,
    };
    outcomes.record(ek, satisfied(&set, ek));
    assert_eq!(wanted(&outcomes), [AWS]);
    outcomes.record(
        RequirementId {
            policy: 0,
            entry: 1,
        },
        failed(),
    );
    assert_eq!(wanted(&outcomes), []);
    assert_eq!(standing(&set, &outcomes), Standing::Lost);
}

#[test]
fn a_choice_waits_for_all_that_could_still_be_used() {
    let set = set(&[Shape {
        any_of: vec![AWS, PSAT],
        ..Shape::default()
    }]);
    let outcomes = outcomes(&set, |_, kind| if kind == AWS { 0 } else { 4 });
    assert_eq!(standing(&set, &outcomes), Standing::Open);
    assert!(decide(&set, &outcomes).is_ok(), "one is enough");
}
