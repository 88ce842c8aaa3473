//! `mcu_key` by a key of the verifier's own library, in a list of pairs.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::method::mcu_key::{McuKeyPayload, message};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::Facts;
use assay_host_verifier::crypto::sha256;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::tpm::valid;
use crate::conformance::{Method, Sent};

pub(super) struct Mcu {
    key: EcdsaKeyPair,
    stranger: EcdsaKeyPair,
    ek: String,
}

impl Mcu {
    pub(super) fn new() -> Self {
        let key = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            key: key(),
            stranger: key(),
            ek: "ab".repeat(32),
        }
    }
}

fn sent(key: &EcdsaKeyPair, login: &Transcript) -> Sent {
    let nonce = proof_nonce(AttestorKind::MCU_KEY, login);
    let signed = message(&nonce, &[0; 32]).concat();
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    let payload = McuKeyPayload {
        public: key.public_key().as_ref(),
        signature: signature.as_ref(),
    };
    Sent::payload(&*postcard::to_slice(&payload, &mut [0; 256]).unwrap())
}

impl Method for Mcu {
    fn kind(&self) -> AttestorKind {
        AttestorKind::MCU_KEY
    }

    fn config(&self) -> Value {
        let spki = self.key.public_key().as_der().unwrap();
        let hash = hex::encode(sha256(&[spki.as_ref()]));
        json!({"pairs": [{"ekHash": self.ek, "keyHash": hash}]})
    }

    fn now(&self) -> Timestamp {
        valid()
    }

    fn limit(&self) -> Option<usize> {
        None
    }

    fn facts(&self) -> Facts {
        Facts {
            subject: Some(self.ek.clone()),
            ..Facts::default()
        }
    }

    fn prove(&self, login: &Transcript) -> Sent {
        sent(&self.key, login)
    }

    fn forge(&self, login: &Transcript) -> Sent {
        sent(&self.stranger, login)
    }
}
