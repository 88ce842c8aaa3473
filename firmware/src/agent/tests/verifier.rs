//! A verifier and an evidence source for tests: the protocol's rules, and the means to break each.

use assay_common::identity::Provisioning;
use assay_common::login::{Direction, LoginKeys, Transcript, challenge_message};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::message::Items;
use assay_common::protocol::{
    AgentMessage, Challenge, Grant, Item, MessageWriter, Proofs, SealedGrant, SignedChallenge,
    TroubleCode, VerifierMessage, decode, encode,
};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};

use crate::evidence::{EvidenceError, EvidenceSource, Request};
use crate::link::{BlobSink, LinkError};
use crate::platform::BoardInfo;

pub(super) const BOARD: BoardInfo = BoardInfo {
    name: "test",
    version: "0",
};
pub(super) const SECRET: [u8; 32] = [0x5E; 32];

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(super) fn record(seed: u8) -> Vec<u8> {
    let point = key(seed).verifying_key().to_sec1_point(false);
    let record = Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: point.as_bytes(),
    };
    let mut out = vec![0; 512];
    let len = record.write(&mut out).unwrap();
    out.truncate(len);
    out
}

/// What a verifier keeps of one login.
pub(super) struct Verifier {
    pub(super) key: SigningKey,
    pub(super) transcript: Transcript,
    pub(super) login_id: [u8; 16],
}

impl Verifier {
    pub(super) fn after_hello(hello: &[u8]) -> Self {
        assert!(matches!(decode(hello), Ok(AgentMessage::Hello(_))));
        Self {
            key: key(1),
            transcript: Transcript::new().then(Direction::Agent, hello),
            login_id: [7; 16],
        }
    }

    pub(super) fn challenge(&self, round: u8, items: &[Item<'_>]) -> Vec<u8> {
        self.sign(&Challenge {
            version: 1,
            login_id: self.login_id,
            round,
            server_nonce: [round; 32],
            items: Items::from_slice(items).unwrap(),
        })
    }

    pub(super) fn sign(&self, challenge: &Challenge<'_>) -> Vec<u8> {
        let mut body = [0; 1024];
        let body = encode(challenge, &mut body).unwrap();
        let mut hash = Sha256::new();
        for part in challenge_message(&self.transcript, body) {
            hash.update(part);
        }
        let signature: Signature = self.key.sign_prehash(&hash.finalize()).unwrap();
        message(&VerifierMessage::Challenge(SignedChallenge {
            body,
            signature: &signature.to_bytes(),
        }))
    }

    pub(super) fn sent(&mut self, message: &[u8]) {
        self.transcript = self.transcript.then(Direction::Verifier, message);
    }

    pub(super) fn received(&mut self, proofs: &[u8]) {
        assert!(matches!(
            decode(proofs),
            Ok(AgentMessage::Proofs(Proofs { .. }))
        ));
        self.transcript = self.transcript.then(Direction::Agent, proofs);
    }

    pub(super) fn grant(&self) -> Vec<u8> {
        self.grant_of("spiffe://example.org/node/1", 1_000, 4_600)
    }

    pub(super) fn grant_of(&self, spiffe_id: &str, issued_at: u64, expires_at: u64) -> Vec<u8> {
        let keys = LoginKeys::new(SECRET);
        let grant = Grant {
            session_id: [9; 16],
            issued_at,
            expires_at,
            spiffe_id,
            sealed_secret: keys.seal_secret(&self.transcript, &[0xAB; 32]),
        };
        let mut body = [0; 512];
        let body = encode(&grant, &mut body).unwrap();
        let tag = keys.grant_tag(&self.transcript, body);
        message(&VerifierMessage::Granted(SealedGrant { body, tag }))
    }
}

pub(super) fn message(message: &VerifierMessage<'_>) -> Vec<u8> {
    let mut out = [0; 1024];
    encode(message, &mut out).unwrap().to_vec()
}

pub(super) const EK: Item<'static> = Item {
    kind: AttestorKind::TPM_EK,
    payload: b"x",
};
pub(super) const QUOTE: Item<'static> = Item {
    kind: AttestorKind::TPM_QUOTE,
    payload: b"y",
};

/// Proves `tpm_ek` with the round number, and opens a credential in round 1.
#[derive(Default)]
pub(super) struct Source {
    pub(super) begun: u32,
    pub(super) ended: u32,
    pub(super) fail: Option<EvidenceError>,
}

impl EvidenceSource for Source {
    fn kinds(&self) -> AttestorSet {
        AttestorSet::EMPTY.with(AttestorKind::TPM_EK)
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        self.begun += 1;
        self.fail.map_or(Ok(()), Err)
    }

    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        out.fill(0x33);
        Ok(())
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        blobs
            .chunk(0, 0, b"blob")
            .map_err(|_| EvidenceError::new(TroubleCode::PROTOCOL))?;
        out.raw(request.payload);
        Ok((request.round == 1).then(|| LoginKeys::new(SECRET)))
    }

    fn end(&mut self) {
        self.ended += 1;
    }
}

/// Keeps nothing.
pub(super) struct NoBlobs;

impl BlobSink for NoBlobs {
    fn chunk(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), LinkError> {
        Ok(())
    }
}
