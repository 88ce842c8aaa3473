//! `tpm_ek` by a manufacturer's certificate, and `tpm_quote` by a key that was bound before.

use assay_common::login::{Transcript, quote_nonce};
use assay_common::method::tpm_quote::QuotePayload;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{BoundKey, Facts};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::conformance::{Method, Sent};
use crate::ek;
use crate::quote_rules;
use crate::soft::{SoftKey, Statement};

/// In the validity of whatever the tests certify.
pub(super) fn valid() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(60)
}

/// A day before anything was certified, and two hundred years on.
pub(super) fn not_valid() -> Vec<Timestamp> {
    let day = SignedDuration::from_hours(24);
    [-1, 200 * 365]
        .map(|days| Timestamp::now() + day * days)
        .to_vec()
}

pub(super) struct Ek {
    certificate: Vec<u8>,
    anchor: String,
}

impl Ek {
    pub(super) fn new() -> Self {
        let (_, certificate, anchor) = ek::manufactured();
        Self {
            certificate,
            anchor,
        }
    }

    fn sent(&self, ek: &[u8]) -> Sent {
        let sent = ek::Sent {
            ek: ek.to_vec(),
            ..ek::Sent::with_certificate(&self.certificate)
        };
        let (payload, blobs) = sent.encode();
        Sent { payload, blobs }
    }
}

impl Method for Ek {
    fn kind(&self) -> AttestorKind {
        AttestorKind::TPM_EK
    }

    fn config(&self) -> Value {
        json!({"manufacturerCAs": [self.anchor]})
    }

    fn now(&self) -> Timestamp {
        valid()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid()
    }

    fn limit(&self) -> Option<usize> {
        None
    }

    fn prove(&self, _: &Transcript) -> Sent {
        self.sent(&ek::keys().ek_ecc)
    }

    fn attestation_key(&self) -> Option<&[u8]> {
        Some(&ek::keys().ak)
    }

    /// Somebody's certificate beside another EK.
    fn forge(&self, _: &Transcript) -> Sent {
        self.sent(&ek::keys().ek_rsa)
    }
}

pub(super) struct Quote {
    key: SoftKey,
    stranger: SoftKey,
}

impl Quote {
    pub(super) fn new() -> Self {
        Self {
            key: SoftKey::new(),
            stranger: SoftKey::new(),
        }
    }

    fn quote(&self, signer: &SoftKey, login: &Transcript) -> Sent {
        let statement = Statement {
            nonce: quote_nonce(login).to_vec(),
            ..Statement::proper(&self.key)
        };
        let attest = statement.attest();
        let payload = QuotePayload {
            pcr_values: &statement.values,
            attest: &attest,
            signature: &signer.sign(&attest),
        };
        Sent::payload(&*postcard::to_slice(&payload, &mut [0; 4096]).unwrap())
    }
}

impl Method for Quote {
    fn kind(&self) -> AttestorKind {
        AttestorKind::TPM_QUOTE
    }

    fn config(&self) -> Value {
        quote_rules::good()
    }

    fn now(&self) -> Timestamp {
        valid()
    }

    fn limit(&self) -> Option<usize> {
        None
    }

    fn facts(&self) -> Facts {
        Facts {
            subject: Some("ab".repeat(32)),
            attestation_key: Some(BoundKey {
                public: self.key.public.clone(),
                name: self.key.key().name().unwrap().as_bytes().to_vec(),
            }),
            ..Facts::default()
        }
    }

    fn prove(&self, login: &Transcript) -> Sent {
        self.quote(&self.key, login)
    }

    fn forge(&self, login: &Transcript) -> Sent {
        self.quote(&self.stranger, login)
    }
}
