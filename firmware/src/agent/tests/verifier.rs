//! A verifier and an evidence source for tests: the protocol's rules, and the means to break each.

use assay_common::identity::{Pins, Provisioning};
use assay_common::login::{
    Direction, LoginKeys, RenewDigest, Transcript, challenge_message, renewal_message,
};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::message::Items;
use assay_common::protocol::{
    AgentMessage, Challenge, Grant, Item, MessageWriter, Proofs, Renewal, SealedGrant,
    SignedChallenge, SignedRenewal, SvidGrant, TroubleCode, VerifierMessage, decode, encode,
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
    pinned_record(seed, &Pins::default())
}

/// One that ties the node to something.
pub(super) fn pinned_record(seed: u8, pins: &Pins<'_>) -> Vec<u8> {
    let point = key(seed).verifying_key().to_sec1_point(false);
    let record = Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: point.as_bytes(),
    };
    let mut out = vec![0; 512];
    let len = record.write_pinned(pins, &mut out).unwrap();
    out.truncate(len);
    out
}

/// What a verifier keeps of one login.
pub(super) struct Verifier {
    pub(super) key: SigningKey,
    pub(super) transcript: Transcript,
    pub(super) login_id: [u8; 16],
    pub(super) version: u8,
}

impl Verifier {
    pub(super) fn after_hello(hello: &[u8]) -> Self {
        assert!(matches!(decode(hello), Ok(AgentMessage::Hello(_))));
        Self {
            key: key(1),
            transcript: Transcript::new().then(Direction::Agent, hello),
            login_id: [7; 16],
            version: 1,
        }
    }

    pub(super) fn challenge(&self, round: u8, items: &[Item<'_>]) -> Vec<u8> {
        self.sign(&Challenge {
            version: self.version,
            login_id: self.login_id,
            round,
            server_nonce: [round; 32],
            items: Items::from_slice(items).unwrap(),
        })
    }

    pub(super) fn sign(&self, challenge: &Challenge<'_>) -> Vec<u8> {
        let mut body = [0; 1024];
        let body = encode(challenge, &mut body).unwrap();
        let signature = signed(&self.key, challenge_message(&self.transcript, body));
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
        let grant = self.grant_for(spiffe_id, issued_at, expires_at);
        let keys = LoginKeys::new(SECRET);
        let mut body = [0; 512];
        let body = encode(&grant, &mut body).unwrap();
        let tag = keys.grant_tag(&self.transcript, body);
        message(&VerifierMessage::Granted(SealedGrant { body, tag }))
    }

    pub(super) fn grant_for<'g>(
        &self,
        spiffe_id: &'g str,
        issued_at: u64,
        expires_at: u64,
    ) -> Grant<'g> {
        let keys = LoginKeys::new(SECRET);
        Grant {
            session_id: [9; 16],
            issued_at,
            expires_at,
            spiffe_id,
            sealed_secret: keys.seal_secret(&self.transcript, &[0xAB; 32]),
        }
    }

    /// A grant of version 2, after `change`.
    pub(super) fn svid_grant(&self, change: &dyn Fn(&mut SvidGrant<'_>)) -> Vec<u8> {
        let grant = self.grant_for("spiffe://example.org/node/1", 1_000, 4_600);
        let mut granted = with_svid(grant);
        change(&mut granted);
        let mut body = [0; 512];
        let body = encode(&granted, &mut body).unwrap();
        let tag = LoginKeys::new(SECRET).grant_tag(&self.transcript, body);
        message(&VerifierMessage::SvidGranted(SealedGrant { body, tag }))
    }
}

/// What version 2 grants: renewed in half an hour, and with an SVID.
pub(super) fn with_svid(grant: Grant<'_>) -> SvidGrant<'_> {
    SvidGrant {
        grant,
        renew_after: grant.issued_at + 1_800,
        renewal_nonce: [0x4E; 32],
        svid: b"svid 1",
    }
}

/// What the session of [`with_svid`] is renewed to.
pub(super) const RENEWAL: Renewal<'static> = Renewal {
    session_id: [9; 16],
    issued_at: 2_800,
    expires_at: 6_400,
    renew_after: 4_600,
    renewal_nonce: [0x4F; 32],
    svid: b"svid 2",
};

/// `renewal` as the answer to `renew`, signed with `key`.
pub(super) fn renewed(key: &SigningKey, renew: &[u8], renewal: &Renewal<'_>) -> Vec<u8> {
    let mut body = [0; 1024];
    let body = encode(renewal, &mut body).unwrap();
    let asked = RenewDigest::of(renew);
    let signature = signed(key, renewal_message(&asked, body));
    message(&VerifierMessage::Renewed(SignedRenewal {
        body,
        signature: &signature.to_bytes(),
    }))
}

pub(super) fn signed(key: &SigningKey, parts: [&[u8]; 3]) -> Signature {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    key.sign_prehash(&hash.finalize()).unwrap()
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
    pub(super) kept: u32,
    pub(super) randoms: u8,
    pub(super) fail: Option<EvidenceError>,
    pub(super) fail_renewal: Option<EvidenceError>,
    /// What was to be quoted in renewals.
    pub(super) quoted: Vec<[u8; 32]>,
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
        // Never the same twice.
        self.randoms += 1;
        out.fill(self.randoms);
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

    fn renew(
        &mut self,
        qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        self.quoted.push(*qualifying_data);
        out.raw(b"quote");
        self.fail_renewal.map_or(Ok(()), Err)
    }

    fn keep(&mut self) {
        self.kept += 1;
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
