//! What the agent asks of a cloud, against stand-ins that are as strict as the clouds are: its methods alone, without a
//! verifier.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod aws;
mod azure;
mod google;
mod misbehaviour;
mod process;
mod sts;

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_agent::method::registry::deserialize_config;
use assay_host_agent::method::{Method, MethodError, ProofRequest, Surroundings};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The nonce of a login, of which the first half travels.
const NONCE: [u8; 32] = [0xAB; 32];

fn nonce() -> String {
    "ab".repeat(16)
}

/// A method with these settings; it is quick to give up.
fn method(kind: AttestorKind, mut config: Value) -> Box<dyn Method> {
    let settings = config.as_object_mut().unwrap();
    settings.entry("timeout").or_insert("5s".into());
    settings.entry("retryDelay").or_insert("1ms".into());
    let config = deserialize_config(kind, config).unwrap();
    let around = Surroundings {
        kind,
        base: std::path::Path::new("/nonexistent"),
        cluster: "lab",
        trust_domain: "example.org",
    };
    config.build(&around).unwrap()
}

/// The payload of a login that asks with `request`.
fn prove(method: &mut dyn Method, request: &[u8]) -> Result<Vec<u8>, MethodError> {
    let transcript = Transcript::new();
    let request = ProofRequest {
        round: 0,
        payload: request,
        transcript: &transcript,
        nonce: &NONCE,
    };
    method.prove(&request).map(|proof| proof.payload)
}

fn proven(method: &mut dyn Method) -> Value {
    serde_json::from_slice(&prove(method, b"").unwrap()).unwrap()
}

/// The claims of a token that nobody verifies here.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The header of such a token.
fn header(token: &str) -> Value {
    let part = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// It fails with these words, and this hint.
fn fails(method: &mut dyn Method, what: &str, hint: &str) {
    let error = prove(method, b"").unwrap_err();
    assert!(error.what.contains(what), "{}\nwanted: {what}", error.what);
    assert!(error.hint.contains(hint), "{}\nwanted: {hint}", error.hint);
}
