//! `x509pop` by keys and certificates of openssl, with an intermediate.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::method::possession::{digest, nonces};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::x509pop::payload::MAX_PAYLOAD;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::tpm::{not_valid, valid};
use crate::conformance::{Method, Sent};
use crate::pki::{CA, Pki};

const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    extendedKeyUsage=clientAuth\nsubjectAltName=URI:x509pop://example.org/rack/7";
const AGENT_NONCE: [u8; 32] = [7; 32];

pub(super) struct Certified {
    kind: &'static str,
    /// PKCS#8.
    key: Vec<u8>,
    stranger: Vec<u8>,
    chain: [Vec<u8>; 2],
    anchor: String,
}

impl Certified {
    /// With a key of this kind, as [`Pki::key`] names it.
    pub(super) fn new(kind: &'static str) -> Self {
        let pki = Pki::new();
        pki.root("root", "p256", CA);
        let middle = pki.issue("middle", "root", CA);
        let leaf = pki.issue_as("node", "node7", kind, "middle", LEAF, "-sha256");
        pki.key("stranger", kind);
        let key = |name: &str| {
            let pem = std::fs::read_to_string(pki.path(&format!("{name}.key"))).unwrap();
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            STANDARD.decode(body).unwrap()
        };
        Self {
            kind,
            key: key("node"),
            stranger: key("stranger"),
            chain: [leaf.der().to_vec(), middle.der().to_vec()],
            anchor: String::from_utf8(pki.pem("root")).unwrap(),
        }
    }

    fn sent(&self, key: &[u8], login: &Transcript) -> Sent {
        let verifier = proof_nonce(AttestorKind::X509POP, login);
        let both = nonces(&verifier, &AGENT_NONCE);
        let nonce = STANDARD.encode(AGENT_NONCE);
        let random = SystemRandom::new();
        let response = match self.kind {
            "p256" => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).unwrap();
                let signature = key.sign(&random, &both).unwrap();
                let (r, s) = signature.as_ref().split_at(32);
                json!({"ecdsa_signature": {"nonce": nonce, "r": number(r), "s": number(s)}})
            }
            "rsa2048" => {
                let key = RsaKeyPair::from_pkcs8(key).unwrap();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PSS_SHA256, &random, &both, &mut signature)
                    .unwrap();
                json!({"rsa_signature": {"nonce": nonce, "signature": STANDARD.encode(signature)}})
            }
            _ => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).unwrap();
                let signature = key.sign(&digest(&verifier, &AGENT_NONCE));
                let signature = STANDARD.encode(signature.as_ref());
                json!({"ed25519_signature": {"nonce": nonce, "signature": signature}})
            }
        };
        let certificates = self.chain.each_ref().map(|der| STANDARD.encode(der));
        let payload = json!({"certificates": certificates, "response": response});
        Sent::payload(payload.to_string())
    }
}

/// As the shortest big-endian bytes.
fn number(padded: &[u8]) -> String {
    let zeros = padded.iter().take_while(|byte| **byte == 0).count();
    STANDARD.encode(&padded[zeros..])
}

impl Method for Certified {
    fn kind(&self) -> AttestorKind {
        AttestorKind::X509POP
    }

    fn way(&self) -> &'static str {
        self.kind
    }

    fn config(&self) -> Value {
        json!({"caBundle": [self.anchor], "trustDomain": "example.org"})
    }

    fn now(&self) -> Timestamp {
        valid()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid()
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
