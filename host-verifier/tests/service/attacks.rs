//! Attacks that worked on other verifiers, by their number in the project's list; each test is one that must not
//! work here. Attacks on parsers, keys, certificates and quotes as such are with the attestors.

use assay_common::login::LoginKeys;
use assay_common::method::tpm_ek::{EkChallenge, EkResponse};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{DenyCode, decode};
use assay_host_verifier::attestor::Fault;
use assay_host_verifier::login::denial::code_of;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{
    Commit, LoginRecord, MemoryStore, NodeRecord, SessionRecord, Store, StoreError,
};
use assay_host_verifier::transport::connection::Conversation;

use crate::agent::{
    Answer, Asked, EK, QUOTE, banks, ek_payload, ek_payload_of, encode, quote_payload,
    quote_payload_with,
};
use crate::desk::{Desk, LOGIN_TIMEOUT, asked_of, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

/// Runs round 1 with items of the test's choosing.
async fn round_1(
    desk: &Desk,
    tpm: &FakeTpm,
    items: impl FnOnce(&mut crate::agent::Agent, &Asked) -> Vec<(AttestorKind, Vec<u8>)>,
) -> Answer {
    let (mut link, mut agent, asked) = desk.at_round_1(tpm).await;
    let items = items(&mut agent, &asked);
    let message = agent.proofs(&asked, &items);
    tell(&mut link, &mut agent, &message).await
}

fn assert_refused(answer: &Answer) {
    assert!(
        matches!(answer, Answer::Denied(DenyCode::REFUSED, _)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a07_a_bad_quote_signature_is_a_refusal_and_not_a_log_line() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let forger = FakeTpm::new();
    let answer = round_1(&desk, &tpm, |agent, asked| {
        let nonce = assay_common::login::quote_nonce(&agent.transcript);
        let banks = banks(asked.item(QUOTE));
        let values = tpm.selected(&banks);
        let attest = tpm.attest(&banks, &nonce, &values);
        let payload = assay_common::method::tpm_quote::QuotePayload {
            attest: &attest,
            signature: &forger.sign(&attest),
            pcr_values: &values,
        };
        vec![
            (EK, agent.ek_response(&tpm, asked.item(EK))),
            (QUOTE, encode(&payload)),
        ]
    })
    .await;
    assert_refused(&answer);
    assert!(
        desk.last_denial().contains("tpm_quote failed"),
        "the operator sees which proof"
    );
    assert_eq!(desk.sessions().await, 0);
    assert_eq!(desk.store.node(&tpm.ek_hash()).await.unwrap(), None);
}

#[tokio::test]
async fn a08_an_error_or_a_timeout_never_leaves_a_node_attested() {
    // Every kind of fault maps to a refusal; there is none that goes on.
    for fault in [
        Fault::Malformed,
        Fault::Refused,
        Fault::Misconfigured,
        Fault::Unavailable,
        Fault::Internal,
    ] {
        assert!(code_of(fault).name().is_some());
    }
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    // The agent falls silent after its EK was proven and before the quote.
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let message = agent.answer(&tpm, &asked);
    desk.clock.advance(LOGIN_TIMEOUT * 2);
    let denied = agent.hear(&link.tick().await.unwrap());
    assert!(
        matches!(denied, Answer::Denied(DenyCode::EXPIRED, _)),
        "{denied:?}"
    );
    let late = agent.hear(&say(&mut link, &message).await.unwrap());
    assert!(
        matches!(late, Answer::Denied(DenyCode::MALFORMED, _)),
        "{late:?}"
    );
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a08_a_store_that_fails_grants_nothing() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    for broken in [Broken::Challenges, Broken::Nodes, Broken::Commit] {
        desk.server.store = std::sync::Arc::new(BrokenStore {
            broken,
            inner: MemoryStore::new(),
        });
        let answer = desk.login(&tpm).await;
        assert!(
            matches!(answer, Answer::Denied(DenyCode::UNAVAILABLE, _)),
            "{broken:?}: {answer:?}"
        );
        let left = desk
            .server
            .store
            .sessions(jiff::Timestamp::MIN, 10)
            .await
            .unwrap();
        assert!(left.is_empty(), "{broken:?}");
    }
}

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
    assert!(detail.contains("belongs to the TPM with EK"), "{detail}");
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

#[tokio::test]
async fn a22_a_quote_is_bound_to_every_byte_that_both_sides_said() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    // The man in the middle changed the hello; the TPM quotes for the login that the agent believes in.
    let (mut link, mut agent) = (desk.link(), desk.agent());
    let sent = agent.hello();
    let mut changed = sent.clone();
    let last = changed.len() - 1;
    changed[last] = b'1';
    assert_ne!(sent, changed);
    let answer = say(&mut link, &changed).await.unwrap();
    // The agent would stop here: the signature covers the changed hello.
    let heard = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| agent.hear(&answer)));
    assert!(heard.is_err(), "the agent notices");
    // An agent that did not look is refused by the verifier.
    let mut careless = desk.agent();
    careless.nonce = agent.nonce;
    careless.said(&changed);
    let asked = asked_of(careless.hear(&answer));
    let message = careless.answer(&tpm, &asked);
    let asked = asked_of(tell(&mut link, &mut careless, &message).await);
    let mut believed = desk.agent();
    believed.said(&sent);
    let quote = quote_payload(&tpm, asked.item(QUOTE), &believed.transcript);
    let response = careless.ek_response(&tpm, asked.item(EK));
    let message = careless.proofs(&asked, &[(EK, response), (QUOTE, quote)]);
    assert_refused(&tell(&mut link, &mut careless, &message).await);
}

#[tokio::test]
async fn a22_the_session_secret_opens_only_with_the_credential_of_this_login() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let message = agent.answer(&tpm, &asked);
    let answer = say(&mut link, &message).await.unwrap();
    let opened = granted(agent.hear(&answer));
    // Neither the secret nor its hash is on the line.
    for secret in [
        opened.secret.to_vec(),
        crate::fake_tpm::sha256(&[&opened.secret]),
    ] {
        assert!(!answer.windows(32).any(|window| window == secret));
    }
    // Another key does not take the grant.
    let assay_common::protocol::VerifierMessage::Granted(sealed) = decode(&answer).unwrap() else {
        panic!("a grant");
    };
    let other = LoginKeys::new([7; 32]);
    assert!(
        other
            .check_grant(&agent.transcript, sealed.body, &sealed.tag)
            .is_err()
    );
}

#[tokio::test]
async fn a23_the_quote_of_a_good_tpm_elsewhere_does_not_serve_a_bad_one() {
    let (mut bad, good) = (FakeTpm::new(), FakeTpm::new());
    bad.pcrs[7] = [0xEE; 32];
    let desk = Desk::new(&ek_and_quote(&[&bad, &good]));
    // The bad node proves its own EK, and has the good one quote for this very login.
    let answer = round_1(&desk, &bad, |agent, asked| {
        let quote = quote_payload(&good, asked.item(QUOTE), &agent.transcript);
        vec![
            (EK, agent.ek_response(&bad, asked.item(EK))),
            (QUOTE, quote),
        ]
    })
    .await;
    assert_refused(&answer);
    // It names the good node's AK as its own: the credential then opens only in the good TPM.
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let payload = ek_payload_of(&bad.ek_public(), &good.ak_public());
    let message = agent.proofs(&asked, &[(EK, payload)]);
    let asked = asked_of(tell(&mut link, &mut agent, &message).await);
    let challenge: EkChallenge<'_> = decode(asked.item(EK)).unwrap();
    assert_eq!(
        bad.activate(challenge.credential_blob, challenge.encrypted_secret),
        None
    );
    assert_eq!(
        good.activate(challenge.credential_blob, challenge.encrypted_secret),
        None
    );
    assert_eq!(desk.sessions().await, 0);
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Challenges,
    Nodes,
    Commit,
}

/// A store that fails at one place.
#[derive(Debug)]
struct BrokenStore {
    broken: Broken,
    inner: MemoryStore,
}

impl BrokenStore {
    fn fail(&self, place: Broken) -> Result<(), StoreError> {
        if self.broken == place {
            Err(StoreError::Damaged("test"))
        } else {
            Ok(())
        }
    }
}

#[async_trait::async_trait]
impl Store for BrokenStore {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: jiff::Timestamp,
    ) -> Result<bool, StoreError> {
        self.fail(Broken::Challenges)?;
        self.inner.take_challenge(digest, expires_at).await
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        self.fail(Broken::Commit)?;
        self.inner.commit_login(login).await
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.fail(Broken::Nodes)?;
        self.inner.node(ek_hash).await
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        self.inner.nodes(limit).await
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        self.inner.evict_node(ek_hash).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.inner.session(id).await
    }

    async fn sessions(
        &self,
        now: jiff::Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.sessions(now, limit).await
    }

    async fn purge(&self, before: jiff::Timestamp) -> Result<u64, StoreError> {
        self.inner.purge(before).await
    }

    async fn close(&self) {}
}
