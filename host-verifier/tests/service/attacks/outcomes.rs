//! A failed check, an error or a broken store grants nothing.

use std::sync::Arc;

use assay_common::protocol::DenyCode;
use assay_host_verifier::attestor::Fault;
use assay_host_verifier::login::denial::code_of;
use assay_host_verifier::store::{MemoryStore, Store, StoreError};
use assay_host_verifier::transport::connection::Conversation;

use super::{assert_refused, round_1};
use crate::agent::{Answer, EK, QUOTE, banks, encode};
use crate::desk::{Desk, LOGIN_TIMEOUT, ek_and_quote, say};
use crate::fake_tpm::FakeTpm;
use crate::seam::{Call, Seam, SeamStore};

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
    for broken in [Call::TakeChallenge, Call::Node, Call::CommitLogin] {
        desk.server.store = Arc::new(SeamStore {
            seam: broken,
            inner: Arc::new(MemoryStore::new()),
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

/// A store that fails at one place.
#[async_trait::async_trait]
impl Seam for Call {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        match call == *self {
            true => Err(StoreError::Damaged("test")),
            false => Ok(()),
        }
    }

    async fn after(&self, _: Call) {}
}
