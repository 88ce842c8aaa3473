//! An agent, one message at a time, so that a test can bend any of them.

use assay_common::login::{Direction, LoginKeys, Transcript, challenge_message, quote_nonce};
use assay_common::method::tpm_ek::{EkChallenge, EkPayload, EkResponse};
use assay_common::method::tpm_quote::{QuotePayload, QuoteRequest};
use assay_common::policy::AttestorKind;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    AgentMessage, BlobRef, Challenge, DenyCode, Grant, Hello, Item, Items, MAX_AGENT_MESSAGE,
    Proofs, SealedGrant, SvidGrant, VerifierMessage, decode,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::fake_tpm::FakeTpm;

pub(crate) const EK: AttestorKind = AttestorKind::TPM_EK;
pub(crate) const QUOTE: AttestorKind = AttestorKind::TPM_QUOTE;

/// A challenge, taken out of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) login_id: [u8; 16],
    pub(crate) round: u8,
    pub(crate) server_nonce: [u8; 32],
    pub(crate) items: Vec<(AttestorKind, Vec<u8>)>,
}

impl Asked {
    pub(crate) fn item(&self, kind: AttestorKind) -> &[u8] {
        &self
            .items
            .iter()
            .find(|(k, _)| *k == kind)
            .expect("asked for")
            .1
    }

    pub(crate) fn kinds(&self) -> Vec<AttestorKind> {
        self.items.iter().map(|(kind, _)| *kind).collect()
    }
}

/// A grant, taken out of its message and opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) session_id: [u8; 16],
    pub(crate) issued_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) spiffe_id: String,
    pub(crate) secret: [u8; 32],
    /// What a grant of version 2 adds: from when on to renew, over which nonce, and the SVID.
    pub(crate) renewal: Option<(u64, [u8; 32], Vec<u8>)>,
}

/// A verifier's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Asked(Asked),
    Granted(Opened),
    Denied(DenyCode, String),
}

/// One login of one agent.
pub(crate) struct Agent {
    pub(crate) cluster: String,
    pub(crate) methods: Vec<u8>,
    pub(crate) nonce: [u8; 32],
    pub(crate) transcript: Transcript,
    pub(crate) keys: Option<LoginKeys>,
    pub(crate) versions: VersionRange,
    pub(crate) verifier_key: Vec<u8>,
    /// Its share of a session key; empty where a TPM opens a secret.
    pub(crate) share: Vec<u8>,
}

impl Agent {
    pub(crate) fn new(verifier_key: &[u8]) -> Self {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).unwrap();
        Self {
            cluster: "lab".to_owned(),
            methods: vec![EK.0, QUOTE.0],
            nonce,
            transcript: Transcript::new(),
            keys: None,
            versions: VersionRange::OURS,
            verifier_key: verifier_key.to_vec(),
            share: Vec::new(),
        }
    }

    pub(crate) fn hello(&mut self) -> Vec<u8> {
        let message = encode(&AgentMessage::Hello(self.hello_message()));
        self.said(&message);
        message
    }

    pub(crate) fn hello_message(&self) -> Hello<'_> {
        Hello {
            versions: self.versions,
            cluster: &self.cluster,
            methods: &self.methods,
            agent_nonce: self.nonce,
            key_share: &self.share,
            untrusted_board: "test",
            untrusted_version: "0",
        }
    }

    /// Takes a message into the transcript as sent.
    pub(crate) fn said(&mut self, message: &[u8]) {
        self.transcript = self.transcript.then(Direction::Agent, message);
    }

    /// Reads an answer; checks what an agent has to check.
    pub(crate) fn hear(&mut self, message: &[u8]) -> Answer {
        match decode::<VerifierMessage<'_>>(message).unwrap() {
            VerifierMessage::Challenge(signed) => {
                let signed_text = challenge_message(&self.transcript, signed.body).concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.verifier_key)
                    .verify(&signed_text, signed.signature)
                    .expect("signed by the pinned key over this login");
                self.transcript = self.transcript.then(Direction::Verifier, message);
                let challenge: Challenge<'_> = decode(signed.body).unwrap();
                assert_eq!(challenge.version, self.versions.max);
                let items = challenge
                    .items
                    .iter()
                    .map(|i| (i.kind, i.payload.to_vec()))
                    .collect();
                Answer::Asked(Asked {
                    login_id: challenge.login_id,
                    round: challenge.round,
                    server_nonce: challenge.server_nonce,
                    items,
                })
            }
            VerifierMessage::Granted(sealed) => {
                assert_eq!(self.versions.max, 1);
                self.check(&sealed);
                Answer::Granted(self.open(&decode(sealed.body).unwrap()))
            }
            VerifierMessage::SvidGranted(sealed) => {
                assert!(self.versions.max >= 2);
                self.check(&sealed);
                let granted: SvidGrant<'_> = decode(sealed.body).unwrap();
                Answer::Granted(Opened {
                    renewal: Some((
                        granted.renew_after,
                        granted.renewal_nonce,
                        granted.svid.to_vec(),
                    )),
                    ..self.open(&granted.grant)
                })
            }
            VerifierMessage::Denied(denied) => {
                Answer::Denied(denied.code, denied.reason.to_owned())
            }
            other => panic!("out of turn: {other:?}"),
        }
    }

    fn check(&self, sealed: &SealedGrant<'_>) {
        let keys = self.keys.as_ref().expect("a credential was opened");
        keys.check_grant(&self.transcript, sealed.body, &sealed.tag)
            .unwrap();
    }

    fn open(&self, grant: &Grant<'_>) -> Opened {
        let keys = self.keys.as_ref().expect("a credential was opened");
        Opened {
            session_id: grant.session_id,
            issued_at: grant.issued_at,
            expires_at: grant.expires_at,
            spiffe_id: grant.spiffe_id.to_owned(),
            secret: keys.open_secret(&self.transcript, &grant.sealed_secret),
            renewal: None,
        }
    }

    /// The honest answer to every item.
    pub(crate) fn prove(&mut self, tpm: &FakeTpm, asked: &Asked) -> Vec<(AttestorKind, Vec<u8>)> {
        let prove = |(kind, request): &(AttestorKind, Vec<u8>)| match *kind {
            EK if asked.round == 0 => (EK, ek_payload(tpm)),
            EK => (EK, self.ek_response(tpm, request)),
            QUOTE => (QUOTE, quote_payload(tpm, request, &self.transcript)),
            other => panic!("asked for {other}"),
        };
        asked.items.clone().iter().map(prove).collect()
    }

    /// Opens the credential, keeps the keys, and answers.
    pub(crate) fn ek_response(&mut self, tpm: &FakeTpm, request: &[u8]) -> Vec<u8> {
        let challenge: EkChallenge<'_> = decode(request).unwrap();
        let secret = tpm
            .activate(challenge.credential_blob, challenge.encrypted_secret)
            .expect("made for this TPM and AK");
        let keys = LoginKeys::new(secret);
        let mac = keys.proof(&self.transcript);
        self.keys = Some(keys);
        encode(&EkResponse { mac })
    }

    /// A `Proofs` message, taken into the transcript.
    pub(crate) fn proofs(&mut self, asked: &Asked, items: &[(AttestorKind, Vec<u8>)]) -> Vec<u8> {
        let message = proofs(asked.login_id, asked.round, items);
        self.said(&message);
        message
    }

    /// The honest `Proofs`.
    pub(crate) fn answer(&mut self, tpm: &FakeTpm, asked: &Asked) -> Vec<u8> {
        let items = self.prove(tpm, asked);
        self.proofs(asked, &items)
    }
}

pub(crate) fn proofs(login_id: [u8; 16], round: u8, items: &[(AttestorKind, Vec<u8>)]) -> Vec<u8> {
    let items: Items<'_> = items
        .iter()
        .map(|(kind, payload)| Item {
            kind: *kind,
            payload,
        })
        .collect();
    encode(&AgentMessage::Proofs(Proofs {
        login_id,
        round,
        items,
    }))
}

pub(crate) fn ek_payload(tpm: &FakeTpm) -> Vec<u8> {
    ek_payload_of(&tpm.ek_public(), &tpm.ak_public())
}

pub(crate) fn ek_payload_of(ek_public: &[u8], ak_public: &[u8]) -> Vec<u8> {
    ek_payload_with(ek_public, ak_public, &[])
}

/// With these blobs, numbered from 0, as certificates that may help.
pub(crate) fn ek_payload_with(ek_public: &[u8], ak_public: &[u8], chain: &[&[u8]]) -> Vec<u8> {
    let named = chain.iter().zip(0..).map(|(bytes, blob)| BlobRef {
        blob,
        len: u32::try_from(bytes.len()).unwrap(),
        sha256: assay_host_verifier::crypto::sha256(&[bytes]),
    });
    encode(&EkPayload {
        ek_public,
        ak_public,
        ek_certificate: None,
        ek_chain: named.collect(),
    })
}

pub(crate) fn banks(request: &[u8]) -> Vec<(u16, u32)> {
    let request: QuoteRequest = decode(request).unwrap();
    request
        .banks
        .iter()
        .map(|bank| (bank.bank, bank.pcrs))
        .collect()
}

pub(crate) fn quote_payload(tpm: &FakeTpm, request: &[u8], transcript: &Transcript) -> Vec<u8> {
    quote_payload_with(tpm, &banks(request), &quote_nonce(transcript))
}

pub(crate) fn quote_payload_with(tpm: &FakeTpm, banks: &[(u16, u32)], nonce: &[u8]) -> Vec<u8> {
    let (attest, signature, pcr_values) = tpm.quote(banks, nonce);
    encode(&QuotePayload {
        attest: &attest,
        signature: &signature,
        pcr_values: &pcr_values,
    })
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    assay_common::protocol::encode(value, &mut [0; MAX_AGENT_MESSAGE])
        .unwrap()
        .to_vec()
}
