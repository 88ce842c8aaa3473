//! `tpm_ek` as a login uses it: payload in, challenge out, response in, claims out. EK and AK are those of
//! a TPM that is not ours.

mod proofs;
mod settings;
mod structures;

use std::{path::Path, sync::OnceLock};

use assay_common::{
    login::{Direction, LoginKeys, Transcript},
    method::tpm_ek::{EkChallenge, EkPayload, EkResponse},
    protocol::{BlobRef, Chunk, MAX_CHUNK},
    tpm::{attributes::ObjectAttributes, public::Public},
};
use assay_host_verifier::{
    attestor::{
        AttestError, Attestor, Claims, Facts, Fault, Judged, LoginContext, MethodConfig, Pending,
        tpm_ek::Config,
    },
    blobs::Blobs,
    crypto::HashAlgorithm,
    random::SystemRandom,
    tpm::{Credential, key::public_key},
};
use serde_json::json;

use crate::{
    pki::{CA, EK_EC, EK_RSA, Pki},
    swtpm::{AK_ATTRIBUTES, Swtpm},
};

pub(crate) const SECRET: [u8; 32] = [0x5a; 32];

/// Public areas of one TPM.
pub(crate) struct Keys {
    pub(crate) ek_ecc: Vec<u8>,
    pub(crate) ek_ecc_pem: Vec<u8>,
    pub(crate) ek_rsa: Vec<u8>,
    pub(crate) ek_rsa_pem: Vec<u8>,
    pub(crate) ak: Vec<u8>,
}

/// Made once: creating an RSA key takes a while.
pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let tpm = Swtpm::start();
        for (name, alg) in [("ecc", "ecc"), ("rsa", "rsa")] {
            tpm.tool(&format!("tpm2_createek -Q -G {alg} -c {name}.ctx"));
            tpm.describe(name);
        }
        tpm.primary(
            "ak",
            "e",
            "sha256",
            "ecc256:ecdsa-sha256:null",
            AK_ATTRIBUTES,
        );
        Keys {
            ek_ecc: tpm.public("ecc"),
            ek_ecc_pem: tpm.read("ecc.pem"),
            ek_rsa: tpm.public("rsa"),
            ek_rsa_pem: tpm.read("rsa.pem"),
            ak: tpm.public("ak"),
        }
    })
}

pub(crate) fn hash_of(public: &[u8]) -> String {
    let key = public_key(&Public::parse(public).unwrap()).unwrap();
    hex::encode(key.spki_sha256())
}

/// What an agent sends.
pub(crate) struct Sent {
    pub(crate) ek: Vec<u8>,
    pub(crate) ak: Vec<u8>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Sent {
    pub(crate) fn bare() -> Self {
        Self {
            ek: keys().ek_ecc.clone(),
            ak: keys().ak.clone(),
            certificate: None,
            chain: Vec::new(),
        }
    }

    pub(crate) fn with_certificate(certificate: &[u8]) -> Self {
        Self {
            certificate: Some(certificate.to_vec()),
            ..Self::bare()
        }
    }

    /// The message and the blobs sent ahead of it.
    pub(crate) fn encode(&self) -> (Vec<u8>, Blobs) {
        let mut blobs = Blobs::default();
        let mut number = 0;
        let mut send = |bytes: &[u8]| {
            for (i, chunk) in bytes.chunks(MAX_CHUNK).enumerate() {
                let chunk = Chunk {
                    blob: number,
                    offset: (i * MAX_CHUNK) as u32,
                    bytes: chunk,
                };
                blobs.add(&chunk).unwrap();
            }
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(HashAlgorithm::Sha256.hash(&[bytes]).as_ref());
            let reference = BlobRef {
                blob: number,
                len: bytes.len() as u32,
                sha256,
            };
            number += 1;
            reference
        };
        let mut payload = EkPayload {
            ek_public: &self.ek,
            ak_public: &self.ak,
            ek_certificate: self.certificate.as_deref().map(&mut send),
            ek_chain: Default::default(),
        };
        for certificate in &self.chain {
            payload.ek_chain.push(send(certificate)).unwrap();
        }
        let mut buffer = [0; 4096];
        (
            postcard::to_slice(&payload, &mut buffer).unwrap().to_vec(),
            blobs,
        )
    }
}

/// One login's surroundings.
pub(crate) struct Login {
    pub(crate) transcript: Transcript,
    pub(crate) blobs: Blobs,
    pub(crate) facts: Facts,
    pub(crate) keys: LoginKeys,
    pub(crate) request: Vec<u8>,
    pub(crate) now: jiff::Timestamp,
}

impl Login {
    pub(crate) fn new(blobs: Blobs) -> Self {
        Self {
            transcript: Transcript::new().then(Direction::Agent, b"hello"),
            blobs,
            facts: Facts::default(),
            keys: LoginKeys::new(SECRET),
            request: Vec::new(),
            now: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60),
        }
    }

    pub(crate) fn context(&self) -> LoginContext<'_> {
        LoginContext {
            now: self.now,
            transcript: &self.transcript,
            request: &self.request,
            blobs: &self.blobs,
            facts: &self.facts,
            last_boot: None,
            keys: &self.keys,
        }
    }
}

pub(crate) fn attestor(config: serde_json::Value) -> std::sync::Arc<dyn Attestor> {
    let config: Config = serde_json::from_value(config).unwrap();
    config.build(Path::new("/nonexistent")).unwrap()
}

/// Judges what was sent.
pub(crate) fn judge(
    config: serde_json::Value,
    sent: &Sent,
) -> Result<(Login, Box<dyn Pending>), AttestError> {
    let (payload, blobs) = sent.encode();
    let login = Login::new(blobs);
    match attestor(config).judge(&login.context(), &payload)? {
        Judged::Challenge(pending) => Ok((login, pending)),
        Judged::Proven(_) | Judged::Errand(_) => panic!("proven without a challenge"),
    }
}

/// Judges, and answers the challenge as the right TPM would.
pub(crate) fn claims(config: serde_json::Value, sent: &Sent) -> Result<Claims, AttestError> {
    let (mut login, pending) = judge(config, sent)?;
    let challenge = pending.challenge(&SECRET, &SystemRandom)?;
    login.transcript = login.transcript.then(Direction::Verifier, &challenge);
    let mac = LoginKeys::new(SECRET).proof(&login.transcript);
    let response = postcard::to_slice(&EkResponse { mac }, &mut [0; 64])
        .unwrap()
        .to_vec();
    pending.finish(&login.context(), &response)
}

#[track_caller]
pub(crate) fn refused(config: serde_json::Value, sent: &Sent, check: &str) {
    let error = judge(config, sent).map(drop).unwrap_err();
    assert_eq!(error.check, check, "{error}");
    assert_eq!(error.fault, Fault::Refused, "{error}");
}

pub(crate) fn listed() -> serde_json::Value {
    json!({"allowedHashes": [hash_of(&keys().ek_ecc)]})
}

/// A manufacturer and its certificate for the TPM's P-256 EK.
pub(crate) fn manufactured() -> (Pki, Vec<u8>, String) {
    let pki = Pki::new();
    pki.root("vendor", "p256", CA);
    let certificate = pki.certify("ek", &keys().ek_ecc_pem, "vendor", EK_EC);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    (pki, certificate.der().to_vec(), anchor)
}
