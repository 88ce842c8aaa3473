//! Logins that are decided: which policy wins, what is granted, what is stored.

use assay_common::protocol::DenyCode;
use assay_host_verifier::session::{SessionId, secret_hash};
use assay_host_verifier::store::Store;

use super::is_denied;
use crate::agent::{Answer, EK, QUOTE, quote_payload};
use crate::desk::{Desk, asked_of, ek_and_quote, ek_only, granted, tell};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn a_node_that_proves_all_gets_a_session_and_the_store_has_it() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let opened = granted(desk.login(&tpm).await);
    assert_eq!(
        opened.spiffe_id,
        format!("spiffe://example.org/node/{}", tpm.ek_hash())
    );
    assert_eq!(opened.expires_at - opened.issued_at, 3600);

    let session = desk
        .store
        .session(SessionId(opened.session_id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.secret_sha256, secret_hash(&opened.secret));
    assert_eq!(
        (session.policy.as_str(), session.cluster.as_str()),
        ("rack", "lab")
    );
    let hash = session
        .attributes
        .iter()
        .find(|a| a.name == "tpm_ek.public_hash")
        .unwrap();
    assert_eq!(
        hash.to_string(),
        format!("tpm_ek:tpm_ek.public_hash=\"{}\"", tpm.ek_hash())
    );

    let node = desk.store.node(&tpm.ek_hash()).await.unwrap().unwrap();
    assert_eq!(node.ak_name, tpm.ak_name());
    let boot = node.boot.unwrap();
    assert_eq!((boot.reset_count, boot.clock), (7, 1000));
}

#[tokio::test]
async fn only_what_a_policy_needs_is_asked_for_and_the_quote_comes_with_the_credential() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    assert_eq!((asked.round, asked.kinds()), (0, vec![EK]));
    assert_eq!(asked.item(EK), b"");
    let message = agent.answer(&tpm, &asked);
    let asked = asked_of(tell(&mut link, &mut agent, &message).await);
    assert_eq!((asked.round, asked.kinds()), (1, vec![EK, QUOTE]));

    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let (_, _, asked) = desk.at_round_1(&tpm).await;
    assert_eq!(asked.kinds(), [EK]);
}

#[tokio::test]
async fn the_order_of_proofs_in_a_message_changes_nothing() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let mut items = agent.prove(&tpm, &asked);
    items.reverse();
    let message = agent.proofs(&asked, &items);
    granted(tell(&mut link, &mut agent, &message).await);
}

#[tokio::test]
async fn the_first_policy_that_is_full_wins_and_only_its_attributes_are_kept() {
    let tpm = FakeTpm::new();
    let other = FakeTpm::new();
    let entries =
        ek_only("not-mine", &[&other]) + &ek_only("mine", &[&tpm]) + &ek_and_quote(&[&tpm]);
    let desk = Desk::new(&entries);
    let opened = granted(desk.login(&tpm).await);
    let session = desk
        .store
        .session(SessionId(opened.session_id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.policy, "mine");
    assert!(
        session.attributes.iter().all(|a| a.origin == EK),
        "{:?}",
        session.attributes
    );

    let desk = Desk::new(&(ek_and_quote(&[&tpm]) + &ek_only("weaker", &[&tpm])));
    let opened = granted(desk.login(&tpm).await);
    let session = desk
        .store
        .session(SessionId(opened.session_id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.policy, "rack");
    assert!(session.attributes.iter().any(|a| a.origin == QUOTE));
}

#[tokio::test]
async fn a_policy_whose_quote_fails_does_not_stand_in_the_way_of_one_without() {
    let mut tpm = FakeTpm::new();
    let desk = Desk::new(&(ek_and_quote(&[&tpm]) + &ek_only("weaker", &[&tpm])));
    tpm.pcrs[7] = [9; 32];
    let opened = granted(desk.login(&tpm).await);
    let session = desk
        .store
        .session(SessionId(opened.session_id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.policy, "weaker");
    let node = desk.store.node(&tpm.ek_hash()).await.unwrap().unwrap();
    assert_eq!(node.boot, None, "nothing of a refused quote is kept");
}

#[tokio::test]
async fn a_proof_that_is_refused_and_one_that_does_not_come_are_told_apart_for_the_operator_only() {
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    tpm.pcrs[7] = [9; 32];
    let answer = desk.login(&tpm).await;
    let Answer::Denied(code, reason) = &answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (*code, reason.as_str()),
        (DenyCode::REFUSED, "Attestor rejected proof, policy failed")
    );
    let detail = desk.last_denial();
    assert!(detail.contains("tpm_quote failed"), "{detail}");
    assert!(!reason.contains('7'), "the node learns the category");

    tpm.pcrs[7] = [0; 32];
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let items: Vec<_> = agent
        .prove(&tpm, &asked)
        .into_iter()
        .filter(|(k, _)| *k == EK)
        .collect();
    let message = agent.proofs(&asked, &items);
    let answer = tell(&mut link, &mut agent, &message).await;
    assert!(is_denied(&answer, DenyCode::REFUSED), "{answer:?}");
    let detail = desk.last_denial();
    assert!(detail.contains("tpm_quote not-answered"), "{detail}");
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a_second_login_of_the_same_node_makes_a_second_session_with_other_secrets() {
    let mut tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let first = granted(desk.login(&tpm).await);
    tpm.clock += 10;
    let second = granted(desk.login(&tpm).await);
    assert_ne!(first.session_id, second.session_id);
    assert_ne!(first.secret, second.secret);
    assert_eq!(first.spiffe_id, second.spiffe_id);
}

#[tokio::test]
async fn a_session_is_not_granted_when_the_template_asks_for_what_the_policy_does_not_give() {
    let tpm = FakeTpm::new();
    let entries = ek_only("rack", &[&tpm]);
    let mut desk = Desk::with_template(&entries, "/node/{{tpm_ek.serial_number}}");
    let answer = desk.login(&tpm).await;
    assert!(is_denied(&answer, DenyCode::MISCONFIGURED), "{answer:?}");
    assert!(desk.last_denial().contains("tpm_ek.serial_number"));
    assert_eq!(desk.sessions().await, 0);
    assert_eq!(desk.store.node(&tpm.ek_hash()).await.unwrap(), None);
}

#[tokio::test]
async fn an_identity_that_fits_no_message_is_refused_before_anything_is_stored() {
    let tpm = FakeTpm::new();
    let template = format!("/{}/{{{{tpm_ek.public_hash}}}}", "a".repeat(1850));
    let desk = Desk::with_template(&ek_only("rack", &[&tpm]), &template);
    let answer = desk.login(&tpm).await;
    assert!(is_denied(&answer, DenyCode::MISCONFIGURED), "{answer:?}");
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a_quote_is_judged_for_every_policy_that_wants_one() {
    let mut tpm = FakeTpm::new();
    tpm.pcrs[4] = [5; 32];
    let zero = "00".repeat(32);
    let five = "05".repeat(32);
    let entry = |name: &str, pcrs: &str| {
        ek_only(name, &[&tpm]) + &format!("  - type: tpm_quote\n    config: {{pcrs: {{{pcrs}}}}}\n")
    };
    let entries = entry("one", &format!("4: \"{zero}\""))
        + &entry("two", &format!("0: \"{zero}\", 4: \"{five}\""));
    let desk = Desk::new(&entries);
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let payload = quote_payload(&tpm, asked.item(QUOTE), &agent.transcript);
    let response = agent.ek_response(&tpm, asked.item(EK));
    let message = agent.proofs(&asked, &[(EK, response), (QUOTE, payload)]);
    let opened = granted(tell(&mut link, &mut agent, &message).await);
    let session = desk
        .store
        .session(SessionId(opened.session_id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.policy, "two");
}
