//! A token out of a store, for one login.

use std::collections::BTreeMap;
use std::time::Duration;

use assay_common::login::{Transcript, proof_nonce};
use assay_common::method::join_token::signed_message;
use assay_common::policy::AttestorKind;
use assay_host_verifier::join_token::{JoinToken, Wanted};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::{JoinTokenRecord, JoinTokens as _, MemoryStore};
use aws_lc_rs::signature::KeyPair as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conformance::login::at_once;
use crate::conformance::{Method, Sent, World};

pub(super) struct JoinTokens {
    token: JoinToken,
    record: JoinTokenRecord,
    stranger: JoinToken,
}

fn issue() -> (JoinToken, JoinTokenRecord) {
    let wanted = Wanted {
        cluster: "lab",
        ttl: Duration::from_secs(600),
        spiffe_id: Some("spiffe://example.org/node/7"),
        bound: BTreeMap::new(),
        comment: "",
        created_by: "test",
        trust_domain: "example.org",
    };
    JoinToken::issue(&SystemRandom, Timestamp::UNIX_EPOCH, wanted).unwrap()
}

impl JoinTokens {
    pub(super) fn new() -> Self {
        let (token, record) = issue();
        Self {
            token,
            record,
            stranger: issue().0,
        }
    }
}

fn payload(token: &JoinToken, login: &Transcript) -> Sent {
    let nonce = proof_nonce(AttestorKind::JOIN_TOKEN, login);
    let key = token.key();
    let signature = key.sign(&signed_message(&nonce).concat());
    let wire = json!({
        "publicKey": STANDARD.encode(key.public_key().as_ref()),
        "signature": STANDARD.encode(signature.as_ref()),
    });
    Sent::payload(wire.to_string())
}

impl Method for JoinTokens {
    fn kind(&self) -> AttestorKind {
        AttestorKind::JOIN_TOKEN
    }

    fn config(&self) -> Value {
        json!({})
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(300).unwrap()
    }

    /// There is no before: a token is made when it begins.
    fn wrong_times(&self) -> Vec<Timestamp> {
        vec![Timestamp::from_second(600).unwrap()]
    }

    fn limit(&self) -> Option<usize> {
        Some(512)
    }

    fn prove(&self, login: &Transcript) -> Sent {
        payload(&self.token, login)
    }

    fn forge(&self, login: &Transcript) -> Sent {
        payload(&self.stranger, login)
    }

    fn world(&self, _: &Transcript) -> World {
        let store = MemoryStore::default();
        assert!(at_once(store.add_join_token(&self.record)).unwrap());
        World::default().store(store)
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.token.expose().to_owned()]
    }
}
