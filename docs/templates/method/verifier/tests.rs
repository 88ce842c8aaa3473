//! One test per check; what holds for every method is the conformance suite's.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use assay_common::{
    login::{Direction, LoginKeys, Transcript, proof_nonce},
    policy::AttestorKind,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::verify::message;
use crate::{
    attestor::{AttestError, Claims, Facts, Judged, LoginContext, registry},
    blobs::Blobs,
    crypto::sha256,
};

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn login(hello: &[u8]) -> Transcript {
    Transcript::new().then(Direction::Agent, hello)
}

fn payload(login: &Transcript) -> String {
    let nonce = proof_nonce(AttestorKind::RAW_KEY, login);
    let key = key();
    json!({
        "publicKey": STANDARD.encode(key.public_key().as_ref()),
        "signature": STANDARD.encode(key.sign(&message(&nonce)).as_ref()),
    })
    .to_string()
}

/// Through the registry, as a policy reads it.
fn judge(hash: &str, login: &Transcript, payload: &str) -> Result<Claims, AttestError> {
    let config = json!({"allowedHashes": [hash]});
    let config = registry::deserialize_config(AttestorKind::RAW_KEY, config).unwrap();
    let attestor = config.build(Path::new("")).unwrap();
    let context = LoginContext {
        now: jiff::Timestamp::UNIX_EPOCH,
        transcript: login,
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    match attestor.judge(&context, payload.as_bytes())? {
        Judged::Proven(claims) => Ok(*claims),
        other => unreachable!("{other:?}"),
    }
}

fn hash() -> String {
    hex::encode(sha256(&[key().public_key().as_ref()]))
}

#[test]
fn the_holder_of_a_listed_key_is_let_in() {
    let login = login(b"hello");
    let claims = judge(&hash(), &login, &payload(&login)).unwrap();
    assert_eq!(claims.facts.identity, Some(hash()));
    let shown: Vec<String> = claims.attributes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [format!("raw_key:raw_key.hash={:?}", hash())]);
}

#[test]
fn a_proof_is_of_one_login() {
    let replayed = payload(&login(b"hello"));
    let refused = judge(&hash(), &login(b"another"), &replayed).unwrap_err();
    assert_eq!(refused.check, "raw-key-signature");
}

#[test]
fn a_key_that_is_not_listed_is_refused() {
    let login = login(b"hello");
    let refused = judge(&"00".repeat(32), &login, &payload(&login)).unwrap_err();
    assert_eq!(refused.check, "raw-key-not-allowed");
}

#[test]
fn an_empty_list_is_a_mistake() {
    let config = json!({"allowedHashes": []});
    let config = registry::deserialize_config(AttestorKind::RAW_KEY, config).unwrap();
    let wrong = config.build(Path::new("")).unwrap_err();
    assert_eq!(wrong.field, "allowedHashes");
}
