//! The policy engine against the truth table of "AND inside a policy, OR between policies".

use std::sync::Arc;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::run::{self, Progress, RequirementId};
use assay_host_verifier::attestor::{
    AttestError, Attestor, Attribute, Claims, Facts, Fault, Judged, LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::policy::{
    Outcome, Outcomes, Policy, PolicySet, Standing, decide, standing,
};
use proptest::prelude::*;

/// A method that accepts every payload, and says so in one attribute.
#[derive(Debug)]
struct Says(AttestorKind);

impl Attestor for Says {
    fn kind(&self) -> AttestorKind {
        self.0
    }

    fn request(&self, _: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, _: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let value = String::from_utf8_lossy(payload).into_owned();
        let attribute = Attribute {
            origin: self.0,
            name: format!("{}.said", self.0.origin().unwrap()).into(),
            value,
        };
        Ok(Judged::Proven(Box::new(Claims {
            kind: self.0,
            attributes: vec![attribute],
            facts: Facts::default(),
        })))
    }
}

/// Has the attestor make the proof: there is no other way to get one.
fn satisfied(set: &PolicySet, id: RequirementId) -> Outcome {
    let keys = LoginKeys::new([0; 32]);
    let cx = LoginContext {
        now: jiff::Timestamp::UNIX_EPOCH,
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &keys,
    };
    let (_, attestor) = set.requirements().find(|(other, _)| *other == id).unwrap();
    let payload = format!("{}/{}", id.policy, id.entry);
    match run::judge(id, attestor.as_ref(), &cx, payload.as_bytes()).unwrap() {
        Progress::Proven(attested) => Outcome::Satisfied(attested),
        Progress::Pending(pending) => panic!("{pending:?}"),
        Progress::Errand(errand) => panic!("{errand:?}"),
    }
}

fn failed() -> Outcome {
    Outcome::Failed(AttestError::new(Fault::Refused, "test", "said no"))
}

/// 1 to 4 policies of 1 to 3 methods each, and for every entry: satisfied, failed, not offered, not answered, open.
fn tables() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0u8..5, 1..4), 1..5)
}

fn policies(table: &[Vec<u8>]) -> PolicySet {
    let policies = table.iter().enumerate().map(|(p, entries)| {
        let required = (0..entries.len())
            .map(|entry| Arc::new(Says(AttestorKind::ALL[entry])) as Arc<dyn Attestor>)
            .collect();
        Policy::new(format!("policy {p}"), required).unwrap()
    });
    PolicySet::new(policies.collect()).unwrap()
}

fn outcome(set: &PolicySet, id: RequirementId, cell: u8) -> Option<Outcome> {
    match cell {
        0 => Some(satisfied(set, id)),
        1 => Some(failed()),
        2 => Some(Outcome::NotOffered),
        3 => Some(Outcome::NotAnswered),
        _ => None,
    }
}

proptest! {
    #[test]
    fn the_first_policy_whose_entries_are_all_satisfied_wins_in_whatever_order_proofs_come(
        table in tables(),
        seed in any::<u64>(),
    ) {
        let set = policies(&table);
        let mut cells: Vec<_> = table
            .iter()
            .enumerate()
            .flat_map(|(policy, entries)| {
                entries.iter().enumerate().map(move |(entry, cell)| (RequirementId { policy, entry }, *cell))
            })
            .collect();
        // A permutation out of the seed.
        let mut state = seed;
        for i in (1..cells.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            cells.swap(i, (state >> 33) as usize % (i + 1));
        }
        let mut outcomes = Outcomes::default();
        for (id, cell) in &cells {
            if let Some(outcome) = outcome(&set, *id, *cell) {
                outcomes.record(*id, outcome);
            }
        }
        let expected = table.iter().position(|entries| entries.iter().all(|cell| *cell == 0));
        match decide(&set, &outcomes) {
            Ok(authorized) => {
                let winner = expected.expect("a winner");
                prop_assert_eq!(authorized.policy(), format!("policy {winner}"));
                let said: Vec<_> = authorized.attributes().iter().map(|a| a.value.clone()).collect();
                let own: Vec<_> = (0..table[winner].len()).map(|e| format!("{winner}/{e}")).collect();
                prop_assert_eq!(said, own, "only the winner's attributes, in its order");
            }
            Err(refusal) => {
                prop_assert_eq!(expected, None);
                prop_assert_eq!(refusal.explanation.policies.len(), table.len());
                // Told apart: a proof that was refused, and an offer that fits nothing.
                let refused = table.iter().flatten().any(|cell| matches!(cell, 1 | 3));
                prop_assert_eq!(refusal.fault.is_some(), refused);
            }
        }
    }

    #[test]
    fn a_login_goes_on_exactly_while_the_first_policy_that_is_still_in_the_race_is_open(table in tables()) {
        let set = policies(&table);
        let mut outcomes = Outcomes::default();
        for (id, _) in set.requirements() {
            if let Some(outcome) = outcome(&set, id, table[id.policy][id.entry]) {
                outcomes.record(id, outcome);
            }
        }
        let dead = |entries: &&Vec<u8>| entries.iter().any(|cell| matches!(cell, 1..=3));
        let first = table.iter().position(|entries| !dead(&entries));
        let expected = match first {
            None => Standing::Lost,
            Some(policy) if table[policy].contains(&4) => Standing::Open,
            Some(policy) => Standing::Won(policy),
        };
        prop_assert_eq!(standing(&set, &outcomes), expected);
    }
}

#[test]
fn a_failed_proof_stays_failed_and_a_proof_stays_proven() {
    let set = policies(&[vec![0]]);
    let id = RequirementId {
        policy: 0,
        entry: 0,
    };
    let mut outcomes = Outcomes::default();
    outcomes.record(id, failed());
    outcomes.record(id, satisfied(&set, id));
    assert!(decide(&set, &outcomes).is_err());
    let mut outcomes = Outcomes::default();
    outcomes.record(id, satisfied(&set, id));
    outcomes.record(id, failed());
    assert!(decide(&set, &outcomes).is_ok());
}

#[test]
fn the_explanation_names_the_check_that_failed() {
    let set = policies(&[vec![0, 1], vec![2]]);
    let mut outcomes = Outcomes::default();
    outcomes.record(
        RequirementId {
            policy: 0,
            entry: 0,
        },
        satisfied(
            &set,
            RequirementId {
                policy: 0,
                entry: 0,
            },
        ),
    );
    outcomes.record(
        RequirementId {
            policy: 0,
            entry: 1,
        },
        failed(),
    );
    outcomes.record(
        RequirementId {
            policy: 1,
            entry: 0,
        },
        Outcome::NotOffered,
    );
    let refusal = decide(&set, &outcomes).unwrap_err();
    assert_eq!(
        refusal.explanation.to_string(),
        "policy `policy 0`: tpm_quote failed: test: said no; policy `policy 1`: tpm_ek not-offered"
    );
}

#[test]
fn claims_that_speak_for_another_method_are_no_proof() {
    #[derive(Debug)]
    struct Liar;
    impl Attestor for Liar {
        fn kind(&self) -> AttestorKind {
            AttestorKind::JOIN_TOKEN
        }
        fn request(&self, _: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
            Ok(Vec::new())
        }
        fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
            Says(AttestorKind::TPM_EK).judge(cx, payload)
        }
    }
    let keys = LoginKeys::new([0; 32]);
    let cx = LoginContext {
        now: jiff::Timestamp::UNIX_EPOCH,
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &keys,
    };
    let error = run::judge(
        RequirementId {
            policy: 0,
            entry: 0,
        },
        &Liar,
        &cx,
        b"",
    )
    .unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Internal, "claims-of-another-method")
    );
}
