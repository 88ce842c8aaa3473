//! Logins that succeed, and what they leave behind; every state against every message that does not belong there.

use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{AgentMessage, DenyCode, Hello, Trouble, TroubleCode};
use assay_host_verifier::session::{SessionId, secret_hash};
use assay_host_verifier::store::Store;
use assay_host_verifier::transport::connection::Conversation;

use crate::agent::{Answer, EK, QUOTE, ek_payload, encode, proofs, quote_payload};
use crate::desk::{Desk, LOGIN_TIMEOUT, asked_of, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

fn is_denied(answer: &Answer, code: DenyCode) -> bool {
    matches!(answer, Answer::Denied(c, _) if *c == code)
}

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
async fn an_agent_that_offers_too_little_hears_that_no_policy_fits() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    for methods in [vec![], vec![EK.0], vec![QUOTE.0], vec![EK.0, 99]] {
        let (mut link, mut agent) = (desk.link(), desk.agent());
        agent.methods = methods;
        let hello = agent.hello();
        let answer = tell(&mut link, &mut agent, &hello).await;
        let Answer::Denied(code, reason) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(code, DenyCode::NO_POLICY);
        assert_eq!(
            reason,
            "no cluster policy authorizes the provided attestors"
        );
    }
}

#[tokio::test]
async fn a_method_that_this_version_does_not_know_is_no_obstacle() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent) = (desk.link(), desk.agent());
    agent.methods = vec![200, QUOTE.0, EK.0];
    granted(desk.login_over(&mut link, &mut agent, &tpm).await);
}

#[tokio::test]
async fn every_flaw_of_a_hello_has_its_refusal() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let agent = desk.agent();
    let good = agent.hello_message();
    let long = "a".repeat(65);
    let versions = |min, max| VersionRange { min, max };
    let flaws: Vec<(Hello<'_>, DenyCode)> = vec![
        (
            Hello {
                cluster: "other",
                ..good.clone()
            },
            DenyCode::UNKNOWN_CLUSTER,
        ),
        (
            Hello {
                cluster: "",
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                cluster: &long,
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                cluster: "a/b",
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                methods: &[1, 2, 1],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                methods: &[7; 33],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                untrusted_board: &long,
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                untrusted_version: &long,
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                versions: versions(2, 9),
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
        (
            Hello {
                versions: versions(0, 0),
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
        (
            Hello {
                versions: versions(3, 1),
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
        (
            Hello {
                key_share: &[4; 65],
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
    ];
    for (hello, code) in flaws {
        let message = encode(&AgentMessage::Hello(hello.clone()));
        let answer = desk
            .agent()
            .hear(&say(&mut desk.link(), &message).await.unwrap());
        assert!(is_denied(&answer, code), "{hello:?}: {answer:?}");
    }
}

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
    let template = format!("/{}/{{{{tpm_ek.public_hash}}}}", "a".repeat(1000));
    let desk = Desk::with_template(&ek_only("rack", &[&tpm]), &template);
    let answer = desk.login(&tpm).await;
    assert!(is_denied(&answer, DenyCode::MISCONFIGURED), "{answer:?}");
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn the_event_stream_tells_every_step_in_order_and_ends_with_the_session() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let opened = granted(desk.login(&tpm).await);
    let mut steps = Vec::new();
    let mut last = serde_json::Value::Null;
    while let Ok(event) = desk.events.try_recv() {
        last = serde_json::to_value(&event).unwrap();
        steps.push(last["step"].as_str().unwrap().to_owned());
        assert_eq!(last["outcome"], "ok", "{last}");
        assert_eq!(last["link"], "desk");
    }
    let expected = [
        "hello",
        "challenge",
        "proofs",
        "evidence",
        "challenge",
        "proofs",
        "response",
        "evidence",
        "policy",
        "session",
        "granted",
    ];
    assert_eq!(steps, expected);
    assert_eq!(last["policy"], "rack");
    assert_eq!(last["spiffe_id"], opened.spiffe_id);
    assert_eq!(last["session"]["id"], hex::encode(opened.session_id));
    assert_eq!(last["session"]["expires_at"], "2026-01-01T01:00:00Z");
    assert_eq!(last["attributes"]["tpm_ek.public_hash"], tpm.ek_hash());
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

#[test]
fn a_login_begins_with_a_hello_and_nothing_else() {
    use assay_host_verifier::clock::Clock;
    use assay_host_verifier::login::{AwaitHello, Env, Next};
    use assay_host_verifier::random::SystemRandom;
    let desk = Desk::new(&ek_only("rack", &[&FakeTpm::new()]));
    let env = Env {
        now: desk.clock.now(),
        random: &SystemRandom,
    };
    let trouble = Trouble {
        code: TroubleCode::TPM_BUS,
        detail: 0,
        command: 0,
        attempt: 1,
        retry_in_ms: 0,
    };
    let hello = desk.agent().hello();
    for message in [
        proofs([0; 16], 0, &[]),
        encode(&AgentMessage::Trouble(trouble)),
        Vec::new(),
        vec![0xff; 100],
        [hello.as_slice(), &[0]].concat(),
        hello[..hello.len() - 1].to_vec(),
    ] {
        let turn = AwaitHello::new(desk.server.verifier.clone()).handle(&env, &message);
        let Next::Denied(denied) = turn.next else {
            panic!("{message:?} was taken for a hello");
        };
        assert_eq!(denied.code, DenyCode::MALFORMED, "{message:?}");
    }
}

#[test]
fn without_randomness_there_is_no_login() {
    use assay_host_verifier::clock::Clock;
    use assay_host_verifier::login::{AwaitHello, Env, Next};
    use assay_host_verifier::random::{RandomError, SecureRandom};

    /// Runs dry after so many draws.
    #[derive(Debug)]
    struct Dry(std::sync::atomic::AtomicU32);
    impl SecureRandom for Dry {
        fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
            use std::sync::atomic::Ordering;
            let left = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            left.map_err(|_| RandomError)?;
            aws_lc_rs::rand::fill(out).map_err(|_| RandomError)
        }
    }

    let desk = Desk::new(&ek_only("rack", &[&FakeTpm::new()]));
    let hello = desk.agent().hello();
    // Login id, secret, nonce: the third draw is the last that a first challenge needs.
    for draws in 0..4 {
        let random = Dry(draws.into());
        let env = Env {
            now: desk.clock.now(),
            random: &random,
        };
        let turn = AwaitHello::new(desk.server.verifier.clone()).handle(&env, &hello);
        match turn.next {
            Next::Denied(denied) if draws < 3 => assert_eq!(denied.code, DenyCode::INTERNAL),
            Next::Ask(..) if draws >= 3 => {}
            other => panic!("{draws} draws: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_event_stream_of_a_refused_login_says_which_check_failed_and_ends_once() {
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    tpm.pcrs[7] = [9; 32];
    let Answer::Denied(..) = desk.login(&tpm).await else {
        panic!("granted");
    };
    let mut failed = Vec::new();
    while let Ok(event) = desk.events.try_recv() {
        let event = serde_json::to_value(&event).unwrap();
        if event["outcome"] == "failed" {
            failed.push((event["step"].as_str().unwrap().to_owned(), event));
        }
    }
    let steps: Vec<_> = failed.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(steps, ["evidence", "policy", "denied"]);
    assert_eq!(failed[0].1["method"], "tpm_quote");
    assert_eq!(failed[2].1["code"], "refused");
}
