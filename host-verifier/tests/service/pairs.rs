//! A TPM and the microcontroller on its board, enrolled as a pair by whole logins.

use assay_common::login::proof_nonce;
use assay_common::method::mcu_key::{McuKeyPayload, message};
use assay_common::method::tpm_quote::QuotePayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{DenyCode, decode};
use assay_host_verifier::crypto::sha256;
use assay_host_verifier::store::{MeasuredBoot as _, NodeBoot, Store};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::agent::{Agent, Answer, Asked, QUOTE, encode};
use crate::desk::{Desk, ek_and_quote, granted, tell};
use crate::fake_tpm::FakeTpm;
use crate::without_tpm::denied;

const MCU: AttestorKind = AttestorKind::MCU_KEY;

const BOOT: NodeBoot = NodeBoot {
    counter: 7,
    reset_count: 5,
    witness: [1; 32],
};

fn mcu() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn desk(tpms: &[&FakeTpm]) -> Desk {
    Desk::new(&format!("{}  - type: mcu_key\n", ek_and_quote(tpms)))
}

/// What the microcontroller says of a login and of the quote that it passes on.
fn signed(key: &EcdsaKeyPair, agent: &Agent, quote: &[u8]) -> Vec<u8> {
    let quote: QuotePayload<'_> = decode(quote).unwrap();
    let nonce = proof_nonce(MCU, &agent.transcript);
    let signed = message(&nonce, &sha256(&[quote.attest])).concat();
    encode(&McuKeyPayload {
        public: key.public_key().as_ref(),
        signature: key.sign(&SystemRandom::new(), &signed).unwrap().as_ref(),
    })
}

fn items(
    agent: &mut Agent,
    tpm: &FakeTpm,
    key: &EcdsaKeyPair,
    mut asked: Asked,
) -> Vec<(AttestorKind, Vec<u8>)> {
    let wants_mcu = asked.kinds().contains(&MCU);
    asked.items.retain(|(kind, _)| *kind != MCU);
    let mut items = agent.prove(tpm, &asked);
    if wants_mcu {
        let quote = items.iter().find(|(kind, _)| *kind == QUOTE);
        let (_, quote) = quote.expect("asked for beside the quote");
        let payload = signed(key, agent, quote);
        items.push((MCU, payload));
    }
    items
}

async fn login(desk: &Desk, tpm: &FakeTpm, key: &EcdsaKeyPair) -> Answer {
    let (mut agent, mut link) = (desk.agent(), desk.link());
    agent.methods.push(MCU.0);
    let hello = agent.hello();
    let mut answer = tell(&mut link, &mut agent, &hello).await;
    while let Answer::Asked(asked) = answer {
        let items = items(&mut agent, tpm, key, asked.clone());
        let proofs = agent.proofs(&asked, &items);
        answer = tell(&mut link, &mut agent, &proofs).await;
    }
    answer
}

#[tokio::test]
async fn a_pair_stays_a_pair_until_an_operator_breaks_it() {
    let (tpm, other_tpm) = (FakeTpm::new(), FakeTpm::new());
    let (own, other) = (mcu(), mcu());
    let mut desk = desk(&[&tpm, &other_tpm]);
    granted(login(&desk, &tpm, &own).await);
    granted(login(&desk, &tpm, &own).await);
    // The TPM on another board, and another TPM on this board.
    for (tpm, key) in [(&tpm, &other), (&other_tpm, &own)] {
        assert_eq!(
            denied(&login(&desk, tpm, key).await),
            Some(DenyCode::REFUSED)
        );
        let told = desk.last_denial();
        assert!(told.contains("evict it if a board was repaired"), "{told}");
    }
    assert_eq!(desk.sessions().await, 2);
    let node = tpm.ek_hash();
    // That its TPM may have been reset alone frees nobody to be another's.
    desk.store.note_boot(&node, &BOOT).await.unwrap();
    assert!(desk.store.forget_boot(&node).await.unwrap());
    for (tpm, key) in [(&tpm, &other), (&other_tpm, &own)] {
        let refused = denied(&login(&desk, tpm, key).await);
        assert_eq!(refused, Some(DenyCode::REFUSED));
    }
    assert!(desk.store.evict_node(&node).await.unwrap());
    granted(login(&desk, &tpm, &other).await);
    granted(login(&desk, &other_tpm, &own).await);
}

#[tokio::test]
async fn a_login_that_is_not_signed_is_refused() {
    let tpm = FakeTpm::new();
    let mut desk = desk(&[&tpm]);
    let (mut link, mut agent) = (desk.link(), desk.agent());
    agent.methods.push(MCU.0);
    let hello = agent.hello();
    let mut answer = tell(&mut link, &mut agent, &hello).await;
    let key = mcu();
    while let Answer::Asked(asked) = answer {
        let mut items = items(&mut agent, &tpm, &key, asked.clone());
        items.retain(|(kind, _)| *kind != MCU);
        let proofs = agent.proofs(&asked, &items);
        answer = tell(&mut link, &mut agent, &proofs).await;
    }
    assert_eq!(denied(&answer), Some(DenyCode::REFUSED));
    assert!(desk.last_denial().contains("mcu_key"));
}
