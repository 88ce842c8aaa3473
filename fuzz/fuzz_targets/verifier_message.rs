//! The node's side of a login and of a renewal against any verifier: whoever lacks the pinned key and the activated secret
//! brings no session about and makes none longer, and a message that is not authentic changes nothing.
//!
//! The input is a list of messages: a byte that says who speaks, a length in two bytes, the bytes. A stranger's message
//! is taken as it is. What the pinned verifier says is the input too, but signed, or sealed, as it would: so the parsers
//! behind the signature are reached. A session that can be renewed is, with what is left of the input.
#![no_main]

use std::sync::OnceLock;

use assay_common::identity::Provisioning;
use assay_common::login::{Direction, LoginKeys, RenewDigest, Transcript};
use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::method::tpm_ek::EkChallenge;
use assay_common::method::tpm_quote::QuoteRequest;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{
    MAX_AGENT_MESSAGE, MAX_VERIFIER_MESSAGE, MessageWriter, SealedGrant, SignedChallenge,
    SignedRenewal, TroubleCode, VerifierMessage, decode, encode,
};
use assay_firmware::agent::{Answer, Failure, Opening, Refusal, Term, Waiting};
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Request};
use assay_firmware::link::{BlobSink, LinkError};
use assay_firmware::platform::BoardInfo;
use assay_host_verifier::login::ChallengeKey;
use libfuzzer_sys::fuzz_target;

const BOARD: BoardInfo = BoardInfo {
    name: "fuzz",
    version: "0",
};
const SECRET: [u8; 32] = [0x5E; 32];

/// Who speaks. 0 is a stranger: the body as it is.
const PINNED_CHALLENGE: u8 = 1;
const PINNED_GRANT: u8 = 2;
const PINNED_SVID_GRANT: u8 = 3;
/// Signed for the renewal that the node has asked for.
const PINNED_RENEWAL: u8 = 4;
/// A grant under other keys than those that the TPM opened.
const STRANGE_GRANT: u8 = 5;
const SPEAKERS: u8 = 6;

fuzz_target!(|data: &[u8]| {
    let (key, record) = pinned();
    let opening = Opening::new(record).expect("a provisioned node");
    let mut out = [0; MAX_AGENT_MESSAGE];
    let methods = AttestorSet::EMPTY
        .with(AttestorKind::TPM_EK)
        .with(AttestorKind::TPM_QUOTE)
        .with(AttestorKind::SVID_KEY);
    let (hello, mut waiting) = opening
        .hello([7; 32], methods, &[], BOARD, &mut out)
        .expect("fits");
    let mut transcript = Transcript::new().then(Direction::Agent, hello);
    let mut source = Source { opened: false };
    let mut rest = data;
    while let Some((who, body)) = next(&mut rest) {
        let sealed = |secret| {
            let tag = LoginKeys::new(secret).grant_tag(&transcript, body);
            SealedGrant { body, tag }
        };
        let message = match who {
            PINNED_CHALLENGE => {
                let Ok(signature) = key.sign(&transcript, body) else {
                    return;
                };
                encoded(&VerifierMessage::Challenge(SignedChallenge {
                    body,
                    signature: &signature,
                }))
            }
            PINNED_GRANT => encoded(&VerifierMessage::Granted(sealed(SECRET))),
            PINNED_SVID_GRANT => encoded(&VerifierMessage::SvidGranted(sealed(SECRET))),
            STRANGE_GRANT => encoded(&VerifierMessage::SvidGranted(sealed([0; 32]))),
            _ => body.to_vec(),
        };
        if message.is_empty() {
            continue;
        }
        match said(&mut waiting, &mut source, &message, who) {
            Said::Proofs(proofs) => {
                transcript = transcript
                    .then(Direction::Verifier, &message)
                    .then(Direction::Agent, &proofs);
            }
            Said::Term(term) => return renew(key, record, term, rest),
            Said::Nothing if !authentic(&message, key, &transcript) => {}
            Said::Nothing => return,
        }
    }
});

/// Who speaks next, and what.
fn next<'d>(rest: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let ([who, high, low], after) = rest.split_first_chunk::<3>()?;
    let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
    let (body, after) = after.split_at(len);
    *rest = after;
    Some((who % SPEAKERS, body))
}

/// Renews a session again and again, as long as there is input.
fn renew(key: &ChallengeKey, record: &[u8], mut term: Term, mut rest: &[u8]) {
    let mut out = [0; MAX_AGENT_MESSAGE];
    while term.renew_in_s.is_some() {
        let opening = Opening::new(record).expect("a provisioned node");
        let source = &mut Source { opened: true };
        let (asked, renewing) = opening
            .renew(term, [7; 32], source, &mut out)
            .expect("fits");
        let digest = RenewDigest::of(asked);
        let Some((who, body)) = next(&mut rest) else {
            return;
        };
        let message = if who == PINNED_RENEWAL {
            let Ok(signature) = key.sign_renewal(&digest, body) else {
                return;
            };
            encoded(&VerifierMessage::Renewed(SignedRenewal {
                body,
                signature: &signature,
            }))
        } else {
            body.to_vec()
        };
        match renewing.handle(&message) {
            Ok(renewed) => {
                assert_eq!(who, PINNED_RENEWAL, "renewed by somebody else");
                assert_eq!(renewed.term().session_id, term.session_id);
                term = *renewed.term();
            }
            Err(Refusal::Over(_)) => return,
            Err(Refusal::Ignored(_)) => {}
        }
    }
}

/// What came of a message.
enum Said {
    Proofs(Vec<u8>),
    Term(Term),
    Nothing,
}

/// One message.
fn said(waiting: &mut Waiting<'_>, source: &mut Source, message: &[u8], who: u8) -> Said {
    match waiting.handle(message) {
        Ok(Answer::Asked(proving)) => {
            assert_eq!(
                who, PINNED_CHALLENGE,
                "a challenge that the pinned key did not sign"
            );
            let mut out = [0; MAX_AGENT_MESSAGE];
            let proofs = proving.prove(source, &mut NoBlobs, &mut out);
            proofs.map_or(Said::Nothing, |proofs| Said::Proofs(proofs.to_vec()))
        }
        Ok(Answer::Granted(session)) => {
            assert!(
                matches!(who, PINNED_GRANT | PINNED_SVID_GRANT),
                "a session without the activated secret"
            );
            assert!(source.opened, "a session without a credential");
            assert!(
                session
                    .spiffe_id()
                    .as_str()
                    .starts_with("spiffe://example.org/")
            );
            Said::Term(*session.term())
        }
        Err(Refusal::Over(Failure::NoAnswer | Failure::Link)) => panic!("a message is no silence"),
        Err(_) => Said::Nothing,
    }
}

/// Whether the message may have ended the login: a denial, or the pinned verifier's.
fn authentic(message: &[u8], key: &ChallengeKey, transcript: &Transcript) -> bool {
    match decode::<VerifierMessage<'_>>(message) {
        Ok(VerifierMessage::Denied(_)) => true,
        Ok(VerifierMessage::Challenge(signed)) => {
            assay_firmware::agent::PinnedKey::from_sec1(key.public())
                .is_ok_and(|key| key.check(transcript, signed.body, signed.signature).is_ok())
        }
        Ok(VerifierMessage::Granted(sealed) | VerifierMessage::SvidGranted(sealed)) => {
            LoginKeys::new(SECRET)
                .check_grant(transcript, sealed.body, &sealed.tag)
                .is_ok()
        }
        // A renewal is no answer in a login.
        Ok(VerifierMessage::Renewed(_)) | Err(_) => false,
    }
}

fn encoded(message: &VerifierMessage<'_>) -> Vec<u8> {
    encode(message, &mut [0; MAX_VERIFIER_MESSAGE])
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}

fn pinned() -> &'static (ChallengeKey, Vec<u8>) {
    static PINNED: OnceLock<(ChallengeKey, Vec<u8>)> = OnceLock::new();
    PINNED.get_or_init(|| {
        let key = ChallengeKey::generate().expect("a key");
        let mut record = vec![0; 512];
        let node = Provisioning {
            cluster: "lab",
            trust_domain: "example.org",
            verifier_key: key.public(),
        };
        let len = node.write(&mut record).expect("fits");
        record.truncate(len);
        (key, record)
    })
}

/// Reads requests as the TPM's source does, and has no TPM.
struct Source {
    opened: bool,
}

impl EvidenceSource for Source {
    fn kinds(&self) -> AttestorSet {
        AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_QUOTE)
            .with(AttestorKind::SVID_KEY)
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        Ok(())
    }

    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        out.fill(0x33);
        Ok(())
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        _blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        let malformed = |_| EvidenceError::new(TroubleCode::PROTOCOL);
        out.raw(b"proof");
        match (request.kind, request.round) {
            (AttestorKind::SVID_KEY, _) => {
                decode::<SvidKeyRequest<'_>>(request.payload).map_err(malformed)?;
                Ok(None)
            }
            (_, 0) => Ok(None),
            (AttestorKind::TPM_EK, _) => {
                decode::<EkChallenge<'_>>(request.payload).map_err(malformed)?;
                self.opened = true;
                Ok(Some(LoginKeys::new(SECRET)))
            }
            _ => {
                decode::<QuoteRequest>(request.payload).map_err(malformed)?;
                Ok(None)
            }
        }
    }

    fn renew(
        &mut self,
        _qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        out.raw(b"quote");
        Ok(())
    }

    fn end(&mut self) {}
}

struct NoBlobs;

impl BlobSink for NoBlobs {
    fn chunk(&mut self, _blob: u8, _offset: u32, _bytes: &[u8]) -> Result<(), LinkError> {
        Ok(())
    }
}
