//! `extension`: a webhook that knows one proof. What the proof is, is its own matter.

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::extension::webhook::MAX_PROOF;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conformance::world::ok;
use crate::conformance::{Method, Sent, World};

pub(super) struct Extension;

const PROOF: &str = "rack 7, unit 12: 5f1e0c4ab7";
const URL: &str = "https://webhook.example.org/attest";

fn settings(url: &str) -> Value {
    json!({"webhookURL": url, "maxRetries": 0})
}

impl Method for Extension {
    fn kind(&self) -> AttestorKind {
        AttestorKind::EXTENSION
    }

    fn config(&self) -> Value {
        settings(URL)
    }

    fn now(&self) -> Timestamp {
        super::tpm::valid()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PROOF)
    }

    fn is_opaque(&self) -> bool {
        true
    }

    fn prove(&self, _: &Transcript) -> Sent {
        Sent::payload(PROOF)
    }

    fn forge(&self, _: &Transcript) -> Sent {
        Sent::payload("rack 7, unit 12: 0000000000")
    }

    /// The webhook does not mind blanks at the end.
    fn world(&self, _: &Transcript) -> World {
        World::default().page(|request| {
            if request.url != URL {
                return None;
            }
            let question: Value = serde_json::from_slice(&request.body).unwrap();
            let proof = STANDARD.decode(question["proof"].as_str().unwrap());
            Some(ok(
                match proof.unwrap().trim_ascii_end() == PROOF.as_bytes() {
                    true => {
                        let attributes = json!({"rack": "7", "unit": "12"});
                        json!({"allow": true, "attributes": attributes, "identity": "rack7"})
                    }
                    false => json!({"allow": false, "reason": "unknown"}),
                }
                .to_string(),
            ))
        })
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        Some(settings("https://webhook.example.com/attest"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![PROOF.to_owned()]
    }
}
