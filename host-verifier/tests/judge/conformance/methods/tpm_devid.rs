//! `tpm_devid` with keys in software: what no TPM is needed for is judged before a TPM is challenged.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::method::tpm_devid::{CERTIFICATES_BLOB, DevidPayload, possession_message};
use assay_common::method::tpm_ek::EkPayload;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{BlobRef, Chunk, MAX_CHUNK};
use assay_common::tpm::attest::{Attested, CertifyInfo};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::name::Name;
use assay_common::tpm::public::Public;
use assay_host_verifier::attestor::tpm_devid::verify::DEVID_ATTRIBUTES;
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::crypto::sha256;
use assay_host_verifier::tpm::key::public_key;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::tpm::{not_valid, valid};
use crate::conformance::{Method, Sent};
use crate::ek;
use crate::pki::{CA, Pki};
use crate::soft::{PROPER, SoftKey, Stated, Statement};

const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature";

pub(super) struct Devid {
    ak: SoftKey,
    device: SoftKey,
    stranger: SoftKey,
    certificate: Vec<u8>,
    anchor: String,
}

/// The device key's public area.
fn public(key: &SoftKey) -> Vec<u8> {
    key.stating(Stated {
        attributes: DEVID_ATTRIBUTES.union(ObjectAttributes::USER_WITH_AUTH),
        ..PROPER
    })
}

fn pem(public: &[u8]) -> String {
    let key = public_key(&Public::parse(public).unwrap()).unwrap();
    let body = STANDARD.encode(key.spki_der());
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

impl Devid {
    pub(super) fn new() -> Self {
        let device = SoftKey::new();
        let pki = Pki::new();
        pki.root("owner", "p256", CA);
        let certified = pki.certify("devid", pem(&public(&device)).as_bytes(), "owner", LEAF);
        Self {
            ak: SoftKey::new(),
            device,
            stranger: SoftKey::new(),
            certificate: certified.der().to_vec(),
            anchor: String::from_utf8(pki.pem("owner")).unwrap(),
        }
    }

    fn sent(&self, holder: &SoftKey, login: &Transcript) -> Sent {
        let nonce = proof_nonce(AttestorKind::TPM_DEVID, login);
        let devid_public = public(&self.device);
        let name = Name::of(&Public::parse(&devid_public).unwrap()).unwrap();
        let statement = Statement {
            nonce: nonce.to_vec(),
            ..Statement::proper(&self.ak)
        };
        let attest = statement.with(&Attested::Certify(CertifyInfo {
            name: name.as_bytes(),
            qualified_name: name.as_bytes(),
        }));
        let payload = DevidPayload {
            endorsement: EkPayload {
                ek_public: &ek::keys().ek_ecc,
                ak_public: &self.ak.public,
                ek_certificate: None,
                ek_chain: Default::default(),
            },
            devid_certificates: BlobRef {
                blob: CERTIFICATES_BLOB,
                len: self.certificate.len() as u32,
                sha256: sha256(&[&self.certificate]),
            },
            devid_public: &devid_public,
            attest: &attest,
            attest_signature: &self.ak.sign(&attest),
            possession: &holder.sign(&possession_message(&nonce).concat()),
        };
        let payload = postcard::to_slice(&payload, &mut [0; 4096])
            .unwrap()
            .to_vec();
        let mut blobs = Blobs::default();
        for (i, bytes) in self.certificate.chunks(MAX_CHUNK).enumerate() {
            let chunk = Chunk {
                blob: CERTIFICATES_BLOB,
                offset: (i * MAX_CHUNK) as u32,
                bytes,
            };
            blobs.add(&chunk).unwrap();
        }
        Sent { payload, blobs }
    }
}

impl Method for Devid {
    fn kind(&self) -> AttestorKind {
        AttestorKind::TPM_DEVID
    }

    fn config(&self) -> Value {
        let ek = ek::hash_of(&ek::keys().ek_ecc);
        json!({"devidCAs": [self.anchor], "allowedHashes": [ek]})
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

    fn prove(&self, login: &Transcript) -> Sent {
        self.sent(&self.device, login)
    }

    fn attestation_key(&self) -> Option<&[u8]> {
        Some(&self.ak.public)
    }

    /// All of it but the device's key.
    fn forge(&self, login: &Transcript) -> Sent {
        self.sent(&self.stranger, login)
    }
}
