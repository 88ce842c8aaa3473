//! What becomes of a login when one method breaks between the offer and the proof.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use assay_common::login::{Direction, LoginKeys, Transcript, svid_key_nonce, svid_key_possession};
use assay_common::method::svid_key::{Held, SvidKeyPayload, SvidKeyRequest};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, TroubleCode, decode, encode};
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Request};
use assay_firmware::link::{BlobSink, LinkError};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::Evidence;
use crate::finding::Finding;
use crate::method::{Method, MethodError, Offer, Proof, ProofRequest};
use crate::tpm::TpmSource;

const SOUND: AttestorKind = AttestorKind::JOIN_TOKEN;
const BROKEN: AttestorKind = AttestorKind::EXTENSION;

/// A method that proves until a round.
#[derive(Debug)]
struct Until(AttestorKind, u8);

impl Method for Until {
    fn kind(&self) -> AttestorKind {
        self.0
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        match request.round < self.1 {
            true => Ok(vec![self.0.0; 3].into()),
            false => Err(MethodError::new("broken", "mend it")),
        }
    }

    fn show(&self) -> Result<Offer, MethodError> {
        Ok(Offer::default())
    }

    fn doctor(&self) -> Vec<Finding> {
        Vec::new()
    }
}

struct NoBlobs;

impl BlobSink for NoBlobs {
    fn chunk(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), LinkError> {
        Err(LinkError)
    }
}

/// A TPM that is there, and has nothing of what is offered of it.
#[derive(Debug, Default)]
struct Unequipped(Vec<MethodError>);

impl EvidenceSource for Unequipped {
    fn kinds(&self) -> AttestorSet {
        AttestorSet::EMPTY.with(AttestorKind::TPM_EK)
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        self.0 = vec![MethodError::new("no certificate", "name one")];
        Ok(())
    }

    fn random(&mut self, _: &mut [u8; 32]) -> Result<(), EvidenceError> {
        Ok(())
    }

    fn prove(
        &mut self,
        _: &Request<'_>,
        _: &mut dyn BlobSink,
        _: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        Err(EvidenceError::new(TroubleCode::METHOD))
    }

    fn renew(&mut self, _: &[u8; 32], _: &mut MessageWriter<'_>) -> Result<(), EvidenceError> {
        Err(EvidenceError::new(TroubleCode::METHOD))
    }

    fn end(&mut self) {}
}

impl TpmSource for Unequipped {
    fn take_troubles(&mut self) -> Vec<MethodError> {
        core::mem::take(&mut self.0)
    }
}

fn evidence(methods: Vec<Until>) -> Evidence {
    let methods = methods.into_iter().map(|one| Box::new(one) as _);
    let mut evidence = Evidence::new(methods.collect());
    evidence.begin().unwrap();
    evidence
}

fn requests<'a>(
    kinds: &'a [AttestorKind],
    round: u8,
    transcript: &'a Transcript,
) -> impl Iterator<Item = Request<'a>> {
    kinds.iter().map(move |kind| Request {
        kind: *kind,
        version: 3,
        round,
        payload: &[],
        transcript,
    })
}

fn answering(
    evidence: &mut Evidence,
    kinds: &[AttestorKind],
    round: u8,
) -> Result<Vec<AttestorKind>, EvidenceError> {
    let transcript = Transcript::new();
    let answered = evidence.answering(&mut requests(kinds, round, &transcript), &mut NoBlobs);
    answered.map(|set| set.iter().collect())
}

#[test]
fn a_method_that_breaks_is_left_out_and_the_others_are_proven() {
    let mut evidence = evidence(vec![Until(BROKEN, 0), Until(SOUND, 1)]);
    let asked = [SOUND, BROKEN, AttestorKind::SVID_KEY];
    let answered = answering(&mut evidence, &asked, 0).unwrap();
    let expected: AttestorSet = [SOUND, AttestorKind::SVID_KEY].into_iter().collect();
    assert_eq!(answered, expected.iter().collect::<Vec<_>>());
    assert_eq!(evidence.proven(), AttestorSet::EMPTY.with(SOUND));
    // What was made is what is written.
    let transcript = Transcript::new();
    let request = requests(&[SOUND], 0, &transcript).next().unwrap();
    let mut room = [0; 8];
    let mut out = MessageWriter::new(&mut room);
    evidence.prove(&request, &mut NoBlobs, &mut out).unwrap();
    assert_eq!(out.finish().unwrap(), [SOUND.0; 3]);
    let troubles = evidence.take_troubles();
    let told: Vec<_> = troubles
        .iter()
        .map(|trouble| (trouble.source.as_str(), trouble.error.hint.as_str()))
        .collect();
    assert_eq!(told, [("extension", "mend it")]);
    assert_eq!(evidence.left_out().unwrap().code, TroubleCode::METHOD);
}

#[test]
fn what_becomes_of_each_proof_is_counted() {
    let proofs = super::Proofs::default();
    let mut evidence = evidence(vec![Until(BROKEN, 0), Until(SOUND, 1)]).counted(proofs.clone());
    let line = |kind: AttestorKind, outcome: &str, count: u32| {
        let line = format!("{{attestor_type=\"{kind}\",outcome=\"{outcome}\"}} {count}\n");
        proofs.render().contains(&line)
    };
    assert!(line(SOUND, "success", 0) && line(BROKEN, "failed", 0));
    answering(&mut evidence, &[SOUND, BROKEN], 0).unwrap();
    assert!(line(SOUND, "success", 1) && line(SOUND, "failed", 0));
    assert!(line(BROKEN, "success", 0) && line(BROKEN, "failed", 1));
}

#[test]
fn a_login_with_nothing_left_to_prove_ends() {
    let mut evidence = evidence(vec![Until(BROKEN, 0)]);
    let asked = [BROKEN, AttestorKind::SESSION_KEY, AttestorKind::SVID_KEY];
    assert!(answering(&mut evidence, &asked, 0).is_err());
    assert_eq!(evidence.take_troubles().len(), 1);
}

/// What a method proved in the first round counts for nothing when it cannot answer in the second.
#[test]
fn a_method_that_breaks_later_is_not_proven() {
    let mut evidence = evidence(vec![Until(BROKEN, 1), Until(SOUND, 1)]);
    assert!(answering(&mut evidence, &[SOUND, BROKEN], 0).is_ok());
    let answered = answering(&mut evidence, &[BROKEN], 1).unwrap();
    assert_eq!(answered, [], "the verifier decides by the other");
    assert_eq!(evidence.proven(), AttestorSet::EMPTY.with(SOUND));
    let mut alone = self::evidence(vec![Until(BROKEN, 1)]);
    assert!(answering(&mut alone, &[BROKEN], 0).is_ok());
    assert!(answering(&mut alone, &[BROKEN], 1).is_err());
}

#[test]
fn a_proof_is_written_once_and_only_when_it_was_made() {
    let mut evidence = evidence(vec![Until(SOUND, 1)]);
    let transcript = Transcript::new();
    let request = requests(&[SOUND], 0, &transcript).next().unwrap();
    let write = |evidence: &mut Evidence| {
        let mut room = [0; 8];
        let mut out = MessageWriter::new(&mut room);
        evidence.prove(&request, &mut NoBlobs, &mut out).is_ok()
    };
    assert!(!write(&mut evidence));
    answering(&mut evidence, &[SOUND], 0).unwrap();
    assert!(write(&mut evidence));
    assert!(!write(&mut evidence));
}

/// The key's signature over this login goes with its request, for a verifier that reads it; one of before gets none.
#[test]
fn a_key_in_memory_signs_the_login() {
    let transcript = Transcript::new().then(Direction::Verifier, b"asked");
    let ask = |algorithms: &[u8]| {
        let mut evidence = evidence(vec![Until(SOUND, 1)]);
        let (mut asked, mut room) = ([0; 8], [0; 512]);
        let request = Request {
            kind: AttestorKind::SVID_KEY,
            version: 3,
            round: 0,
            payload: encode(&SvidKeyRequest { algorithms }, &mut asked).unwrap(),
            transcript: &transcript,
        };
        let mut out = MessageWriter::new(&mut room);
        evidence.prove(&request, &mut NoBlobs, &mut out).unwrap();
        let public = evidence.svid_key().unwrap().public().to_vec();
        (public, out.finish().unwrap().to_vec())
    };
    let (public, answer) = ask(&[1, 2, SvidKeyRequest::POSSESSION]);
    let Held::Signed(signature) = decode::<SvidKeyPayload<'_>>(&answer).unwrap().held else {
        unreachable!("it was asked to sign");
    };
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public);
    let over = |transcript: &Transcript| svid_key_possession(&svid_key_nonce(transcript)).concat();
    key.verify(&over(&transcript), signature).unwrap();
    assert!(key.verify(&over(&Transcript::new()), signature).is_err());
    let (_, answer) = ask(&[1, 2]);
    assert_eq!(
        decode::<SvidKeyPayload<'_>>(&answer).unwrap().held,
        Held::Unshown
    );
}

/// The TPM answers, and yet nobody is troubled with a login that has nothing to offer.
#[test]
fn a_tpm_without_what_is_offered_of_it_is_not_ready() {
    let devid = AttestorSet::EMPTY.with(AttestorKind::TPM_DEVID);
    let with = |methods: Vec<Until>, offered| {
        let methods = methods.into_iter().map(|one| Box::new(one) as _);
        Evidence::new(methods.collect()).with_tpm(Box::<Unequipped>::default(), offered)
    };
    let mut alone = with(Vec::new(), devid);
    assert!(alone.begin().is_err());
    let told = alone.take_troubles().into_iter();
    let told: Vec<_> = told.map(|trouble| trouble.error.what).collect();
    assert_eq!(told, ["no certificate"]);
    let mut beside = with(vec![Until(SOUND, 1)], devid);
    beside.begin().unwrap();
    assert_eq!(beside.offered(), ["join_token"]);
    // What the TPM has is offered all the same.
    let mut more = with(Vec::new(), devid.with(AttestorKind::TPM_EK));
    more.begin().unwrap();
    assert_eq!(more.offered(), ["tpm_ek"]);
}
