//! Nonces are fresh and exact; what was said once counts once.

use assay_common::policy::AttestorKind;
use assay_common::protocol::DenyCode;
use assay_host_verifier::store::{MemoryStore, Store};
use assay_host_verifier::transport::connection::Conversation;

use super::{assert_refused, round_1};
use crate::agent::{Answer, EK, QUOTE, banks, quote_payload, quote_payload_with};
use crate::desk::{Desk, asked_of, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn a09_ten_thousand_challenges_have_ten_thousand_nonces() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let mut nonces = std::collections::BTreeSet::new();
    let mut logins = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let (mut link, _, asked) = desk.at_round_0().await;
        assert!(nonces.insert(asked.server_nonce), "a nonce came twice");
        assert!(logins.insert(asked.login_id), "a login id came twice");
        link.closed();
    }
    // Nothing in them is constant: every bit is set in about half of them.
    for bit in 0..256usize {
        let set = nonces
            .iter()
            .filter(|nonce| nonce[bit / 8] >> (bit % 8) & 1 == 1)
            .count();
        assert!(
            (4500..5500).contains(&set),
            "bit {bit} is set in {set} of 10000"
        );
    }
}

#[tokio::test]
async fn a09_both_rounds_of_a_login_have_nonces_of_their_own() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, first) = desk.at_round_0().await;
    let message = agent.answer(&tpm, &first);
    let second = asked_of(tell(&mut link, &mut agent, &message).await);
    assert_ne!(first.server_nonce, second.server_nonce);
    assert_eq!(first.login_id, second.login_id);
}

#[tokio::test]
async fn a10_a_nonce_that_is_cut_padded_or_written_otherwise_is_another_nonce() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    for case in 0..6 {
        let answer = round_1(&desk, &tpm, |agent, asked| {
            let right = assay_common::login::quote_nonce(&agent.transcript);
            let nonce = match case {
                0 => right[..31].to_vec(),
                1 => [right.as_slice(), &[0]].concat(),
                2 => [&[0], right.as_slice()].concat(),
                3 => hex::encode(right).into_bytes(),
                4 => right.iter().rev().copied().collect(),
                _ => Vec::new(),
            };
            let payload = quote_payload_with(&tpm, &banks(asked.item(QUOTE)), &nonce);
            vec![
                (EK, agent.ek_response(&tpm, asked.item(EK))),
                (QUOTE, payload),
            ]
        })
        .await;
        assert_refused(&answer);
    }
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a10_a_proof_of_activation_has_one_length_and_one_form() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    for case in 0..4 {
        let answer = round_1(&desk, &tpm, |agent, asked| {
            let right = agent.ek_response(&tpm, asked.item(EK));
            let payload = match case {
                0 => right[..31].to_vec(),
                1 => [right.as_slice(), &[0]].concat(),
                2 => hex::encode(&right).into_bytes(),
                _ => Vec::new(),
            };
            vec![(EK, payload)]
        })
        .await;
        assert!(
            matches!(answer, Answer::Denied(DenyCode::MALFORMED, _)),
            "{case}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a17_a_quote_of_an_earlier_login_is_refused() {
    let mut tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let old_quote = quote_payload(&tpm, asked.item(QUOTE), &agent.transcript);
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);
    // The node is compromised later, and the old quote is played back.
    tpm.pcrs[7] = [0xEE; 32];
    let answer = round_1(&desk, &tpm, |agent, asked| {
        vec![
            (EK, agent.ek_response(&tpm, asked.item(EK))),
            (QUOTE, old_quote),
        ]
    })
    .await;
    assert_refused(&answer);
    assert_eq!(desk.sessions().await, 1);
}

#[tokio::test]
async fn a17_proofs_of_two_logins_at_the_same_time_cannot_be_exchanged() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link_a, mut agent_a, asked_a) = desk.at_round_1(&tpm).await;
    let (mut link_b, mut agent_b, asked_b) = desk.at_round_1(&tpm).await;
    let items_a = agent_a.prove(&tpm, &asked_a);
    let items_b = agent_b.prove(&tpm, &asked_b);
    let find = |items: &[(AttestorKind, Vec<u8>)], kind| {
        items.iter().find(|(k, _)| *k == kind).unwrap().clone()
    };
    // Each login gets its own EK response and the other's quote.
    let mixed_a = agent_a.proofs(&asked_a, &[find(&items_a, EK), find(&items_b, QUOTE)]);
    assert_refused(&tell(&mut link_a, &mut agent_a, &mixed_a).await);
    let mixed_b = agent_b.proofs(&asked_b, &[find(&items_a, EK), find(&items_b, QUOTE)]);
    assert_refused(&tell(&mut link_b, &mut agent_b, &mixed_b).await);
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a17_a_message_of_one_login_is_not_taken_in_another() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (_, mut agent_a, asked_a) = desk.at_round_1(&tpm).await;
    let (mut link_b, mut agent_b, _) = desk.at_round_1(&tpm).await;
    let message = agent_a.answer(&tpm, &asked_a);
    let answer = agent_b.hear(&say(&mut link_b, &message).await.unwrap());
    assert!(
        matches!(answer, Answer::Denied(DenyCode::MALFORMED, _)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a17_the_same_proofs_said_twice_count_once() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);
    let again = agent.hear(&say(&mut link, &message).await.unwrap());
    assert!(
        matches!(again, Answer::Denied(DenyCode::MALFORMED, _)),
        "{again:?}"
    );
    assert_eq!(desk.sessions().await, 1);
}

#[tokio::test]
async fn a17_a_tpm_whose_counters_ran_backwards_is_refused_until_an_operator_evicts_it() {
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    granted(desk.login(&tpm).await);
    tpm.reset_count = 6;
    assert_refused(&desk.login(&tpm).await);
    let detail = desk.last_denial();
    assert!(
        detail.contains("resetCount") && detail.contains("7"),
        "{detail}"
    );
    assert_refused(&desk.login(&tpm).await);
    assert_eq!(desk.sessions().await, 1);
    assert!(desk.store.evict_node(&tpm.ek_hash()).await.unwrap());
    granted(desk.login(&tpm).await);
}

#[tokio::test]
async fn a48_a_challenge_is_answered_once_even_when_two_verifiers_are_asked_at_once() {
    let store = std::sync::Arc::new(MemoryStore::new());
    let until: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let takes = (0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.take_challenge(&[5; 32], until).await.unwrap() })
    });
    let takes: Vec<_> = takes.collect();
    let mut taken = 0;
    for take in takes {
        taken += usize::from(take.await.unwrap());
    }
    assert_eq!(taken, 1);
}
