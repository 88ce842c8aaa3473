//! What is signed and sealed belongs to this login, byte by byte.

use assay_common::login::LoginKeys;
use assay_common::method::tpm_ek::EkChallenge;
use assay_common::protocol::decode;

use super::{assert_refused, round_1};
use crate::agent::{EK, QUOTE, ek_payload_of, quote_payload};
use crate::desk::{Desk, asked_of, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

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
    let assay_common::protocol::VerifierMessage::SvidGranted(sealed) = decode(&answer).unwrap()
    else {
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
