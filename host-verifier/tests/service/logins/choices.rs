//! Logins under `anyOf`, `minAttestors` and `requiredAttestorCombinations`.

use assay_common::protocol::DenyCode;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::Store;

use super::is_denied;
use crate::agent::{Answer, EK, QUOTE};
use crate::desk::{Desk, asked_of, granted, hashes, tell};
use crate::fake_tpm::FakeTpm;

/// An EK of the list, a quote of PCR 0 that must have a value; `more` says how they are chosen.
fn choice(name: &str, tpms: &[&FakeTpm], pcr: &str, more: &str) -> String {
    format!(
        "- name: {name}\n  anyOf:\n  - type: tpm_ek\n    config: {{allowedHashes: [{}]}}\n  - type: tpm_quote\n    \
         config: {{pcrs: {{0: \"{}\"}}}}\n{more}",
        hashes(tpms),
        pcr.repeat(32)
    )
}

async fn methods_of(desk: &Desk, opened: [u8; 16]) -> (String, Vec<String>) {
    let session = desk
        .store
        .session(SessionId(opened))
        .await
        .unwrap()
        .unwrap();
    let mut methods: Vec<_> = session
        .attributes
        .iter()
        .map(|a| a.origin.to_string())
        .collect();
    methods.dedup();
    (session.policy, methods)
}

#[tokio::test]
async fn one_of_two_is_enough_and_the_other_adds_its_attributes_when_it_is_proven() {
    let tpm = FakeTpm::new();
    for (pcr, methods) in [("00", vec!["tpm_ek", "tpm_quote"]), ("11", vec!["tpm_ek"])] {
        let desk = Desk::new(&choice("any", &[&tpm], pcr, ""));
        let opened = granted(desk.login(&tpm).await);
        let (policy, own) = methods_of(&desk, opened.session_id).await;
        assert_eq!(policy, "any");
        assert_eq!(own, methods, "PCR 0 must be {pcr}");
    }
}

#[tokio::test]
async fn two_of_two_need_both() {
    let tpm = FakeTpm::new();
    for more in [
        "  minAttestors: 2\n",
        "  requiredAttestorCombinations: [[tpm_ek, tpm_quote]]\n",
    ] {
        let desk = Desk::new(&choice("both", &[&tpm], "00", more));
        granted(desk.login(&tpm).await);
        let mut desk = Desk::new(&choice("both", &[&tpm], "11", more));
        let answer = desk.login(&tpm).await;
        assert!(is_denied(&answer, DenyCode::REFUSED), "{answer:?}");
        let denial = desk.last_denial();
        assert!(denial.contains("tpm_quote failed"), "{denial}");
        assert_eq!(desk.sessions().await, 0);
    }
}

#[tokio::test]
async fn a_quote_on_a_tpm_that_only_another_policy_lets_in_is_no_choice() {
    // The second policy lets this TPM in, if it boots what it should; it does not. The first takes a quote by itself,
    // but not on this TPM.
    let (listed, other) = (FakeTpm::new(), FakeTpm::new());
    let second = choice("second", &[&other], "11", "  minAttestors: 2\n");
    let mut desk = Desk::new(&(choice("first", &[&listed], "00", "") + &second));
    let answer = desk.login(&other).await;
    assert!(is_denied(&answer, DenyCode::REFUSED), "{answer:?}");
    let denial = desk.last_denial();
    assert!(
        denial.contains("policy `first`: anyOf has 0 of 2, needs 1"),
        "{denial}"
    );
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a_method_without_ground_is_not_asked_for_and_no_login_hangs_on_it() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&choice("any", &[&tpm], "00", ""));
    let (mut link, mut agent) = (desk.link(), desk.agent());
    agent.methods = vec![QUOTE.0];
    let hello = agent.hello();
    let answer = tell(&mut link, &mut agent, &hello).await;
    assert!(is_denied(&answer, DenyCode::NO_POLICY), "{answer:?}");

    let (mut link, mut agent) = (desk.link(), desk.agent());
    agent.methods = vec![EK.0];
    let hello = agent.hello();
    let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
    assert_eq!(asked.kinds(), [EK]);
}

#[tokio::test]
async fn a_policy_for_another_environment_is_not_asked_for() {
    let tpm = FakeTpm::new();
    let quote = choice("staging", &[&tpm], "00", "  environment: staging\n");
    let ek = format!(
        "- name: here\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [{}]}}\n",
        hashes(&[&tpm])
    );
    // `policies:` stands right before the entries; the environment goes behind them.
    let desk = Desk::new(&(quote + &ek + "environment: production\n"));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    assert_eq!(asked.kinds(), [EK]);
    let proofs = agent.answer(&tpm, &asked);
    let asked = asked_of(tell(&mut link, &mut agent, &proofs).await);
    assert_eq!(asked.kinds(), [EK], "no quote");
    let proofs = agent.answer(&tpm, &asked);
    let Answer::Granted(opened) = tell(&mut link, &mut agent, &proofs).await else {
        panic!("not granted")
    };
    let (policy, methods) = methods_of(&desk, opened.session_id).await;
    assert_eq!(
        (policy.as_str(), methods),
        ("here", vec!["tpm_ek".to_owned()])
    );
}
