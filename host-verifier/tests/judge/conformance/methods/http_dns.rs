//! `http_dns`: a host that serves the login's nonce, and a neighbour of it that serves something else.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::http_dns::verify::PATH;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conformance::world::ok;
use crate::conformance::{Method, Sent, World};

pub(super) struct HttpDns;

const HOST: &str = "node7.example.org";
const NEIGHBOUR: &str = "node8.example.org";

fn url(host: &str) -> String {
    format!("http://{host}:8080{PATH}default/challenge")
}

fn payload(host: &str) -> Sent {
    let payload = json!({"hostname": host, "agentname": "default", "port": 8080});
    Sent::payload(payload.to_string())
}

impl Method for HttpDns {
    fn kind(&self) -> AttestorKind {
        AttestorKind::HTTP_DNS
    }

    fn config(&self) -> Value {
        json!({"allowedHostnames": ["*.example.org"]})
    }

    fn now(&self) -> Timestamp {
        super::tpm::valid()
    }

    fn limit(&self) -> Option<usize> {
        Some(512)
    }

    fn prove(&self, _: &Transcript) -> Sent {
        payload(HOST)
    }

    fn forge(&self, _: &Transcript) -> Sent {
        payload(NEIGHBOUR)
    }

    fn world(&self, login: &Transcript) -> World {
        let served = URL_SAFE.encode(proof_nonce(AttestorKind::HTTP_DNS, login));
        World::default()
            .page(move |request| (request.url == url(HOST)).then(|| ok(served.clone())))
            .page(|request| (request.url == url(NEIGHBOUR)).then(|| ok(URL_SAFE.encode([7; 32]))))
    }
}
