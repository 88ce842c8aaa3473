//! Every state against every message that does not belong there, and against time and load.

use assay_common::protocol::{AgentMessage, DenyCode, Trouble, TroubleCode};
use assay_host_verifier::transport::connection::Conversation;

use super::is_denied;
use crate::agent::{Answer, EK, QUOTE, ek_payload, encode, proofs};
use crate::desk::{Desk, LOGIN_TIMEOUT, asked_of, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn proofs_without_a_login_are_refused_and_noise_without_one_is_not_answered() {
    let desk = Desk::new(&ek_only("rack", &[&FakeTpm::new()]));
    let mut link = desk.link();
    let answer = say(&mut link, &proofs([0; 16], 0, &[])).await.unwrap();
    assert!(is_denied(&desk.agent().hear(&answer), DenyCode::MALFORMED));
    for noise in [&b""[..], b"\xff\xff", b"AT+GMI\r"] {
        assert_eq!(say(&mut link, noise).await, None);
    }
}

#[tokio::test]
async fn in_every_round_every_message_that_does_not_answer_it_ends_the_login() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    for round in 0..2u8 {
        for case in 0..12 {
            let (mut link, mut agent, asked) = if round == 0 {
                desk.at_round_0().await
            } else {
                desk.at_round_1(&tpm).await
            };
            let items = agent.prove(&tpm, &asked);
            let id = asked.login_id;
            let mut other_id = id;
            other_id[15] ^= 1;
            let twice = [items.clone(), items.clone()].concat();
            let with = |kind: u8| {
                let mut more = items.clone();
                more.push((assay_common::policy::AttestorKind(kind), vec![1]));
                more
            };
            let message = match case {
                0 => proofs(other_id, round, &items),
                1 => proofs(id, round.wrapping_sub(1), &items),
                2 => proofs(id, round + 1, &items),
                3 => proofs(id, round, &twice),
                4 => proofs(id, round, &with(5)),
                5 => proofs(id, round, &with(255)),
                6 => [proofs(id, round, &items), vec![0]].concat(),
                7 => vec![],
                8 => vec![0xff; 40],
                9 => proofs([0; 16], round, &items),
                10 => {
                    let whole = proofs(id, round, &items);
                    whole[..whole.len() - 1].to_vec()
                }
                _ => vec![9; 2048],
            };
            let answer = agent.hear(&say(&mut link, &message).await.unwrap());
            assert!(
                is_denied(&answer, DenyCode::MALFORMED),
                "round {round} case {case}: {answer:?}"
            );
            // The login is over: the right answer comes too late.
            let right = proofs(id, round, &items);
            let answer = agent.hear(&say(&mut link, &right).await.unwrap());
            assert!(
                is_denied(&answer, DenyCode::MALFORMED),
                "round {round} case {case}: {answer:?}"
            );
            assert!(
                desk.last_denial().contains("no login waits"),
                "round {round} case {case}"
            );
        }
    }
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn proofs_cut_at_any_byte_are_never_granted() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (_, mut agent, asked) = desk.at_round_1(&tpm).await;
    let whole = agent.answer(&tpm, &asked);
    for cut in (0..whole.len())
        .step_by(7)
        .chain(whole.len() - 4..whole.len())
    {
        let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
        let whole = agent.answer(&tpm, &asked);
        let answer = agent.hear(
            &say(&mut link, &whole[..cut.min(whole.len() - 1)])
                .await
                .unwrap(),
        );
        assert!(
            is_denied(&answer, DenyCode::MALFORMED),
            "cut at {cut}: {answer:?}"
        );
    }
    // Cut inside an item, so that the message itself is whole.
    for kind in [EK, QUOTE] {
        let (_, mut agent, asked) = desk.at_round_1(&tpm).await;
        let len = agent
            .prove(&tpm, &asked)
            .iter()
            .find(|(k, _)| *k == kind)
            .unwrap()
            .1
            .len();
        for cut in 0..len {
            let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
            let mut items = agent.prove(&tpm, &asked);
            items
                .iter_mut()
                .find(|(k, _)| *k == kind)
                .unwrap()
                .1
                .truncate(cut);
            let message = agent.proofs(&asked, &items);
            let answer = tell(&mut link, &mut agent, &message).await;
            assert!(
                matches!(answer, Answer::Denied(..)),
                "{kind} cut at {cut}: {answer:?}"
            );
        }
    }
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn an_opening_payload_cut_at_any_byte_is_refused_as_malformed() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let whole = ek_payload(&tpm);
    for cut in 0..whole.len() {
        let (mut link, mut agent, asked) = desk.at_round_0().await;
        let message = agent.proofs(&asked, &[(EK, whole[..cut].to_vec())]);
        let answer = tell(&mut link, &mut agent, &message).await;
        assert!(
            is_denied(&answer, DenyCode::MALFORMED),
            "cut at {cut}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_hello_in_the_middle_begins_anew_and_the_first_login_is_over() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut first, asked) = desk.at_round_1(&tpm).await;
    let late = first.answer(&tpm, &asked);
    let mut second = desk.agent();
    let hello = second.hello();
    let asked = asked_of(tell(&mut link, &mut second, &hello).await);
    assert_eq!(asked.round, 0);
    let answer = second.hear(&say(&mut link, &late).await.unwrap());
    assert!(is_denied(&answer, DenyCode::MALFORMED), "{answer:?}");
}

#[tokio::test]
async fn the_same_hello_gets_the_same_challenge_until_it_is_answered() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut agent, mut link) = (desk.agent(), desk.link());
    let hello = agent.hello();
    let challenge = say(&mut link, &hello).await.unwrap();
    // The node was not heard, or the verifier was slow: hellos have queued up.
    for _ in 0..3 {
        assert_eq!(say(&mut link, &hello).await.unwrap(), challenge);
    }
    let first = asked_of(agent.hear(&challenge));
    let proofs = agent.answer(&tpm, &first);
    let second = asked_of(tell(&mut link, &mut agent, &proofs).await);
    assert_eq!((second.round, second.login_id), (1, first.login_id));
    // From then on the hello is one of another attempt.
    assert_ne!(say(&mut link, &hello).await.unwrap(), challenge);
}

#[tokio::test]
async fn the_same_hello_begins_anew_when_half_the_time_of_its_challenge_is_gone() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let mut link = desk.link();
    let hello = desk.agent().hello();
    let challenge = say(&mut link, &hello).await.unwrap();
    desk.clock.advance(LOGIN_TIMEOUT / 2);
    assert_eq!(say(&mut link, &hello).await.unwrap(), challenge);
    desk.clock.advance(core::time::Duration::from_millis(1));
    assert_ne!(say(&mut link, &hello).await.unwrap(), challenge);
}

#[tokio::test]
async fn trouble_ends_a_login_without_an_answer() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, _, _) = desk.at_round_1(&tpm).await;
    let trouble = Trouble {
        code: TroubleCode::TPM_TIMEOUT,
        detail: 1,
        command: 2,
        attempt: 3,
        retry_in_ms: 4,
    };
    assert_eq!(
        say(&mut link, &encode(&AgentMessage::Trouble(trouble))).await,
        None
    );
    assert!(!link.blobs_wanted());
}

#[tokio::test]
async fn a_login_that_is_too_slow_is_given_up_by_the_clock_that_nobody_can_set() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let late = agent.answer(&tpm, &asked);
    desk.clock
        .advance(LOGIN_TIMEOUT + core::time::Duration::from_millis(1));
    let answer = agent.hear(&say(&mut link, &late).await.unwrap());
    assert!(is_denied(&answer, DenyCode::EXPIRED), "{answer:?}");

    // Without any message, the link's tick says so.
    let (mut link, mut agent, _) = desk.at_round_1(&tpm).await;
    assert_eq!(link.tick().await, None);
    desk.clock
        .advance(LOGIN_TIMEOUT + core::time::Duration::from_millis(1));
    let answer = agent.hear(&link.tick().await.unwrap());
    assert!(is_denied(&answer, DenyCode::EXPIRED), "{answer:?}");

    // Setting the calendar back buys no time, setting it on costs none.
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    desk.clock.set_wall("2026-06-01T00:00:00Z".parse().unwrap());
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);
}

#[tokio::test]
async fn too_many_logins_at_once_are_turned_away_with_a_time_to_come_again() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(desk.at_round_0().await);
    }
    let mut agent = desk.agent();
    let hello = agent.hello();
    let answer = say(&mut desk.link(), &hello).await.unwrap();
    let denied = match assay_common::protocol::decode(&answer).unwrap() {
        assay_common::protocol::VerifierMessage::Denied(denied) => denied,
        other => panic!("{other:?}"),
    };
    assert_eq!(denied.code, DenyCode::OVERLOADED);
    assert!(denied.retry_after_s > 0);
    // A link that is gone frees its place.
    open.pop().unwrap().0.closed();
    granted(desk.login(&tpm).await);
}
