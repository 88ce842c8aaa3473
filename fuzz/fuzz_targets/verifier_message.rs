//! The node's side of a login against any verifier: whoever lacks the pinned key and the activated secret brings no
//! session about, and a message that is not authentic changes nothing.
//!
//! The input is a list of messages: a byte that says who speaks, a length in two bytes, the bytes. A stranger's message
//! is taken as it is. What the pinned verifier says is the input too, but signed, or sealed, as it would: so the parsers
//! behind the signature are reached.
#![no_main]

use std::sync::OnceLock;

use assay_common::identity::Provisioning;
use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::method::tpm_ek::EkChallenge;
use assay_common::method::tpm_quote::QuoteRequest;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{
    MAX_AGENT_MESSAGE, MAX_VERIFIER_MESSAGE, MessageWriter, SealedGrant, SignedChallenge,
    TroubleCode, VerifierMessage, decode, encode,
};
use assay_firmware::agent::{Answer, Failure, Opening, Refusal, Waiting};
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

/// Who speaks.
const STRANGER: u8 = 0;
const PINNED_CHALLENGE: u8 = 1;
/// Any other number is a grant under other keys than those that the TPM opened.
const PINNED_GRANT: u8 = 2;

fuzz_target!(|data: &[u8]| {
    let (key, record) = pinned();
    let opening = Opening::new(record).expect("a provisioned node");
    let mut out = [0; MAX_AGENT_MESSAGE];
    let methods = AttestorSet::EMPTY
        .with(AttestorKind::TPM_EK)
        .with(AttestorKind::TPM_QUOTE);
    let (hello, mut waiting) = opening
        .hello([7; 32], methods, BOARD, &mut out)
        .expect("fits");
    let mut transcript = Transcript::new().then(Direction::Agent, hello);
    let mut source = Source { opened: false };
    let mut rest = data;
    while let Some(([who, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (body, after) = after.split_at(len);
        rest = after;
        let message = match who % 4 {
            STRANGER => body.to_vec(),
            PINNED_CHALLENGE => {
                let Ok(signature) = key.sign(&transcript, body) else {
                    return;
                };
                encoded(&VerifierMessage::Challenge(SignedChallenge {
                    body,
                    signature: &signature,
                }))
            }
            kind => {
                let secret = if kind == PINNED_GRANT {
                    SECRET
                } else {
                    [0; 32]
                };
                let tag = LoginKeys::new(secret).grant_tag(&transcript, body);
                encoded(&VerifierMessage::Granted(SealedGrant { body, tag }))
            }
        };
        if message.is_empty() {
            continue;
        }
        match said(&mut waiting, &mut source, &message, who % 4) {
            Some(proofs) => {
                transcript = transcript
                    .then(Direction::Verifier, &message)
                    .then(Direction::Agent, &proofs);
            }
            None if !authentic(&message, key, &transcript) => {}
            None => return,
        }
    }
});

/// One message; the proofs it was answered with.
fn said(
    waiting: &mut Waiting<'_>,
    source: &mut Source,
    message: &[u8],
    who: u8,
) -> Option<Vec<u8>> {
    match waiting.handle(message) {
        Ok(Answer::Asked(proving)) => {
            assert_eq!(
                who, PINNED_CHALLENGE,
                "a challenge that the pinned key did not sign"
            );
            let mut out = [0; MAX_AGENT_MESSAGE];
            proving
                .prove(source, &mut NoBlobs, &mut out)
                .ok()
                .map(<[u8]>::to_vec)
        }
        Ok(Answer::Granted(session)) => {
            assert_eq!(who, PINNED_GRANT, "a session without the activated secret");
            assert!(source.opened, "a session without a credential");
            assert!(
                session
                    .spiffe_id()
                    .as_str()
                    .starts_with("spiffe://example.org/")
            );
            None
        }
        Err(Refusal::Over(Failure::NoAnswer | Failure::Link)) => panic!("a message is no silence"),
        Err(_) => None,
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

    fn end(&mut self) {}
}

struct NoBlobs;

impl BlobSink for NoBlobs {
    fn chunk(&mut self, _blob: u8, _offset: u32, _bytes: &[u8]) -> Result<(), LinkError> {
        Ok(())
    }
}
