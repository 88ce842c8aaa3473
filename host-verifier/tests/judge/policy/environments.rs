//! `environment`: policies that are for some environments only.

use assay_common::policy::AttestorKind;
use assay_host_verifier::policy::engine::is_wanted;
use assay_host_verifier::policy::{
    Environment, Lists, Outcomes, Policy, PolicyError, PolicySet, decide,
};

use super::{outcomes, says};

const EK: AttestorKind = AttestorKind::TPM_EK;
const TOKEN: AttestorKind = AttestorKind::JOIN_TOKEN;

#[test]
fn a_policy_for_another_environment_neither_wins_nor_asks() {
    let lists = |kind| Lists {
        required: Some(vec![says(kind)]),
        any_of: None,
        min_attestors: None,
        combinations: None,
    };
    let policies = || {
        let lenient = vec![Environment::Development, Environment::Staging];
        vec![
            Policy::with_rules("lenient", &lists(TOKEN), lenient).unwrap(),
            Policy::with_rules("strict", &lists(EK), Vec::new()).unwrap(),
        ]
    };
    for (environment, winner) in [
        (Environment::Development, "lenient"),
        (Environment::Staging, "lenient"),
        (Environment::Production, "strict"),
    ] {
        let set = PolicySet::in_environment(policies(), Some(environment)).unwrap();
        let asked = set
            .requirements()
            .any(|(id, a)| a.kind() == TOKEN && is_wanted(&set, &Outcomes::default(), id));
        assert_eq!(asked, winner == "lenient");
        let authorized = decide(&set, &outcomes(&set, |_, _| 0)).unwrap();
        assert_eq!(authorized.policy(), winner, "{environment}");
    }
    let set = PolicySet::in_environment(policies(), Some(Environment::Production)).unwrap();
    let refusal = decide(&set, &outcomes(&set, |policy, _| u8::from(policy == 1))).unwrap_err();
    assert_eq!(
        refusal.explanation.to_string(),
        "policy `lenient`: environment is production, the policy is for development or staging; policy \
         `strict`: tpm_ek failed: test: said no"
    );
    // A refusal in a policy that does not apply is nobody's fault.
    let refusal = decide(
        &set,
        &outcomes(&set, |policy, _| if policy == 0 { 1 } else { 2 }),
    );
    assert_eq!(refusal.unwrap_err().fault, None);
    assert_eq!(
        PolicySet::new(policies()).unwrap_err(),
        PolicyError::NoEnvironment("lenient".to_owned())
    );
    let only = policies().into_iter().take(1).collect();
    assert_eq!(
        PolicySet::in_environment(only, Some(Environment::Production)).unwrap_err(),
        PolicyError::NoPolicyHere(Environment::Production)
    );
}
