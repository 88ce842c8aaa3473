//! `ssh_pop`: `ssh-keygen` certifies a host's key that is made here, since it lends nobody a signature over bytes of his own.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::method::possession::digest;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::ssh_pop::payload::MAX_PAYLOAD;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conformance::{Method, Sent};
use crate::swtpm::run;

const AGENT_NONCE: [u8; 32] = [7; 32];

pub(super) struct Host {
    key: Ed25519KeyPair,
    stranger: Ed25519KeyPair,
    certificate: String,
    authority: String,
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

impl Host {
    pub(super) fn new() -> Self {
        let key_pair = key(1);
        let mut blob = Vec::new();
        for part in [&b"ssh-ed25519"[..], key_pair.public_key().as_ref()] {
            blob.extend_from_slice(&(part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        let folder = tempfile::tempdir().unwrap();
        let line = format!("ssh-ed25519 {}\n", STANDARD.encode(blob));
        std::fs::write(folder.path().join("host.pub"), line).unwrap();
        let keygen = |args: &[&str]| drop(run("ssh-keygen", args, folder.path(), &[]));
        keygen(&["-q", "-N", "", "-t", "ed25519", "-f", "ca"]);
        let validity = "20250101000000Z:20350101000000Z";
        keygen(&[
            "-q",
            "-s",
            "ca",
            "-h",
            "-I",
            "rack 7",
            "-n",
            "node7.example.org",
            "-z",
            "7",
            "-V",
            validity,
            "host.pub",
        ]);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let certificate = read("host-cert.pub");
        Self {
            key: key_pair,
            stranger: key(2),
            certificate: certificate.split(' ').nth(1).unwrap().trim().to_owned(),
            authority: read("ca.pub").trim().to_owned(),
        }
    }

    fn sent(&self, key: &Ed25519KeyPair, login: &Transcript) -> Sent {
        let verifier = proof_nonce(AttestorKind::SSH_POP, login);
        let signature = key.sign(&digest(&verifier, &AGENT_NONCE));
        let payload = json!({
            "Certificate": self.certificate,
            "Response": {
                "Nonce": STANDARD.encode(AGENT_NONCE),
                "Signature": {
                    "Format": "ssh-ed25519",
                    "Blob": STANDARD.encode(signature.as_ref()),
                },
            },
        });
        Sent::payload(payload.to_string())
    }
}

impl Method for Host {
    fn kind(&self) -> AttestorKind {
        AttestorKind::SSH_POP
    }

    fn config(&self) -> Value {
        json!({"certAuthorities": [self.authority]})
    }

    fn now(&self) -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    /// The second before, and the first that is over.
    fn wrong_times(&self) -> Vec<Timestamp> {
        ["2024-12-31T23:59:59Z", "2035-01-01T00:00:00Z"]
            .map(|time| time.parse().unwrap())
            .to_vec()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, login: &Transcript) -> Sent {
        self.sent(&self.key, login)
    }

    fn forge(&self, login: &Transcript) -> Sent {
        self.sent(&self.stranger, login)
    }
}
