//! One TPM stands behind a login: its EK, its AK, its identity.

use assay_common::login::LoginKeys;
use assay_common::method::tpm_ek::{EkChallenge, EkResponse};
use assay_common::protocol::{DenyCode, decode};
use assay_host_verifier::store::Store;
use assay_host_verifier::transport::connection::Conversation;

use super::{assert_refused, round_1};
use crate::agent::{Answer, EK, QUOTE, ek_payload, ek_payload_of, encode, quote_payload};
use crate::desk::{Desk, asked_of, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn a19_the_key_that_is_challenged_is_the_key_that_quotes() {
    let tpm = FakeTpm::new();
    let mut other = FakeTpm::new();
    other.pcrs = tpm.pcrs;
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    // The EK and AK of one TPM are activated, another AK signs the quote.
    let answer = round_1(&desk, &tpm, |agent, asked| {
        let quote = quote_payload(&other, asked.item(QUOTE), &agent.transcript);
        vec![
            (EK, agent.ek_response(&tpm, asked.item(EK))),
            (QUOTE, quote),
        ]
    })
    .await;
    assert_refused(&answer);
}

#[tokio::test]
async fn a19_keys_cannot_be_sent_a_second_time_in_one_login() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    // In round 1 a new EK payload stands where the response belongs.
    let answer = round_1(&desk, &tpm, |agent, asked| {
        let quote = quote_payload(&tpm, asked.item(QUOTE), &agent.transcript);
        vec![(EK, ek_payload(&tpm)), (QUOTE, quote)]
    })
    .await;
    assert!(
        matches!(answer, Answer::Denied(DenyCode::MALFORMED, _)),
        "{answer:?}"
    );
    // In round 0 two of them.
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let message = agent.proofs(
        &asked,
        &[(EK, ek_payload(&tpm)), (EK, ek_payload(&FakeTpm::new()))],
    );
    let answer = tell(&mut link, &mut agent, &message).await;
    assert!(
        matches!(answer, Answer::Denied(DenyCode::MALFORMED, _)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a20_a_wrong_answer_is_one_try_and_tells_nothing_of_the_right_one() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_only("rack", &[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let challenge: EkChallenge<'_> = decode(asked.item(EK)).unwrap();
    let secret = tpm
        .activate(challenge.credential_blob, challenge.encrypted_secret)
        .unwrap();
    let right = LoginKeys::new(secret).proof(&agent.transcript);
    let mut wrong = right;
    wrong[0] ^= 1;
    let message = agent.proofs(&asked, &[(EK, encode(&EkResponse { mac: wrong }))]);
    let answer = say(&mut link, &message).await.unwrap();
    assert_refused(&agent.hear(&answer));
    let mut told = format!("{answer:?}") + &hex::encode(&answer);
    while let Ok(event) = desk.events.try_recv() {
        told += &serde_json::to_string(&event).unwrap();
    }
    for secret in [&secret, &right] {
        assert!(!told.contains(&hex::encode(secret)));
        assert!(!told.contains(&format!("{secret:?}")));
    }
    // There is no second try with the same challenge.
    let message = crate::agent::proofs(
        asked.login_id,
        1,
        &[(EK, encode(&EkResponse { mac: right }))],
    );
    let answer = agent.hear(&say(&mut link, &message).await.unwrap());
    assert!(
        matches!(answer, Answer::Denied(DenyCode::MALFORMED, _)),
        "{answer:?}"
    );
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a20_every_login_hides_another_secret() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let mut secrets = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let (mut link, _, asked) = desk.at_round_1(&tpm).await;
        let challenge: EkChallenge<'_> = decode(asked.item(EK)).unwrap();
        let secret = tpm
            .activate(challenge.credential_blob, challenge.encrypted_secret)
            .unwrap();
        assert!(secrets.insert(secret));
        link.closed();
    }
}

#[tokio::test]
async fn a21_an_identity_does_not_move_to_another_tpm_by_itself() {
    let (tpm, other) = (FakeTpm::new(), FakeTpm::new());
    let entries = ek_only("rack", &[&tpm, &other]);
    // A template that does not name the EK gives both TPMs one identity.
    let mut desk = Desk::with_template(&entries, "/node/one");
    granted(desk.login(&tpm).await);
    assert_refused(&desk.login(&other).await);
    let detail = desk.last_denial();
    assert!(detail.contains("belongs to node"), "{detail}");
    granted(desk.login(&tpm).await);
    // An operator can give it away.
    assert!(desk.store.evict_node(&tpm.ek_hash()).await.unwrap());
    assert_eq!(desk.sessions().await, 0, "its sessions end with it");
    granted(desk.login(&other).await);
}

#[tokio::test]
async fn a21_an_ak_is_not_taken_over_by_another_ek() {
    let tpm = FakeTpm::new();
    let other = FakeTpm::new();
    let mut desk = Desk::new(&ek_only("rack", &[&tpm, &other]));
    granted(desk.login(&tpm).await);
    // The other EK's owner names the first TPM's AK, and opens the credential in software: its EK is allowed, so
    // only the AK's record shows that the two do not belong together.
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let message = agent.proofs(
        &asked,
        &[(EK, ek_payload_of(&other.ek_public(), &tpm.ak_public()))],
    );
    let asked = asked_of(tell(&mut link, &mut agent, &message).await);
    let challenge: EkChallenge<'_> = decode(asked.item(EK)).unwrap();
    let secret = other
        .activate_for(
            &tpm.ak_name(),
            challenge.credential_blob,
            challenge.encrypted_secret,
        )
        .unwrap();
    let mac = LoginKeys::new(secret).proof(&agent.transcript);
    let message = agent.proofs(&asked, &[(EK, encode(&EkResponse { mac }))]);
    let answer = agent.hear(&say(&mut link, &message).await.unwrap());
    assert_refused(&answer);
    assert!(
        desk.last_denial()
            .contains("the AK is bound to the TPM with EK")
    );
}

#[tokio::test]
async fn a21_a_new_ak_in_the_same_tpm_is_no_conflict() {
    let mut tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    granted(desk.login(&tpm).await);
    tpm.replace_ak();
    granted(desk.login(&tpm).await);
    let node = desk.store.node(&tpm.ek_hash()).await.unwrap().unwrap();
    assert_eq!(node.ak_name, tpm.ak_name());
}
