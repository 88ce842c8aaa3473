//! The beginning of a login over a guarded bus: the pinned EK, the session, and where random numbers come from.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::identity::Pins;
use assay_common::protocol::TroubleCode;
use assay_common::tpm::name::Name;
use assay_common::tpm::public::Public;
use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Own};
use assay_firmware::keys::{KeyError, protect};
use assay_firmware::tpm::{TpmError, TransportError};

use crate::bytes::{response, tpm2b};
use crate::scripted::code;
use crate::swtpm::{Bus, Interposer};

const GET_RANDOM: u32 = 0x17B;
const START_AUTH_SESSION: u32 = 0x176;
const CREATE_PRIMARY: u32 = 0x131;
const FLUSH_CONTEXT: u32 = 0x165;

fn plain() -> Bus {
    Bus::with(Rc::new(RefCell::new(())))
}

fn own<'a>(ek_name: &'a [u8], secret: &'a [u8], noise: &'a [u8]) -> Own<'a> {
    Own {
        pins: Pins { ek_name, secret },
        noise,
        counts: [1, 2, 3],
    }
}

/// The Name of the EK that a node without a certificate makes.
fn ek_name(bus: &Bus) -> Vec<u8> {
    let mut tpm = bus.tpm();
    tpm.start().unwrap();
    let (ek, public) = super::ek(&mut tpm, EkTemplate::L2);
    ek.flush(&mut tpm).unwrap();
    let name = Name::of(&Public::parse(&public).unwrap()).unwrap();
    name.as_bytes().to_vec()
}

fn codes(bus: &Bus) -> Vec<u32> {
    let crossed = bus.crossed.borrow();
    crossed.iter().map(|(command, _)| code(command)).collect()
}

#[test]
fn the_tpm_that_a_node_was_provisioned_with_is_the_only_one_it_talks_to() {
    let bus = plain();
    let name = ek_name(&bus);
    let mut tpm = bus.tpm();
    tpm.start().unwrap();
    let (ek, _) = protect(&mut tpm, &name).unwrap();
    assert!(tpm.is_protected());
    ek.flush(&mut tpm).unwrap();
    tpm.unprotect().unwrap();

    let mut other_digest = name.clone();
    *other_digest.last_mut().unwrap() ^= 1;
    let mut other_hash = name.clone();
    other_hash[1] = 0x0C;
    for other in [
        &other_digest[..],
        &other_hash,
        &name[..33],
        &name[..2],
        &[0],
    ] {
        bus.crossed.borrow_mut().clear();
        let refused = protect(&mut tpm, other).map(drop);
        assert_eq!(refused, Err(KeyError::OtherEk), "{other:x?}");
        // Made, looked at, thrown away: no random number was asked for, no session begun.
        let sent = codes(&bus);
        assert_eq!(sent[sent.len() - 2..], [CREATE_PRIMARY, FLUSH_CONTEXT]);
        assert!(!sent.contains(&START_AUTH_SESSION) && !sent.contains(&GET_RANDOM));
        assert!(!tpm.is_protected());
        assert_eq!(tpm.loaded(), 0);
    }
}

#[test]
fn a_login_with_another_tpm_ends_before_it_begins_and_says_so() {
    let name = ek_name(&plain());
    let bus = plain();
    let mut source = TpmEvidence::new(bus.clone());
    source.prepare(&own(&name, &[7; 32], &[]));
    let refused = source.begin().unwrap_err();
    assert_eq!(refused.code, TroubleCode::TPM_REPLACED);
    // Nor does it do so the next time.
    assert_eq!(source.begin(), Err(refused));
    // The same node without a pin takes any.
    source.prepare(&own(&[], &[7; 32], &[]));
    source.begin().unwrap();
    source.end();
    assert_eq!(source.tpm().loaded(), 0);
    assert!(!source.tpm().is_protected());
}

#[test]
fn the_random_numbers_of_a_login_never_cross_the_bus() {
    let bus = plain();
    let mut source = TpmEvidence::new(bus.clone());
    source.prepare(&own(&[], &[7; 32], &[]));
    source.begin().unwrap();
    let (mut first, mut second) = ([0; 32], [0; 32]);
    let before = bus.sent();
    source.random(&mut first).unwrap();
    source.random(&mut second).unwrap();
    assert_ne!(first, second);
    assert_eq!(bus.sent(), before);
    assert!(!bus.has_told(&first[..16]) && !bus.has_told(&second[..16]));
}

/// Answers every request for random numbers that nothing guards with numbers of their own.
#[derive(Default)]
struct Chooser {
    salts: Vec<Vec<u8>>,
}

impl Interposer for Chooser {
    fn command(&mut self, command: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        match (code(&command), &command[..2]) {
            (GET_RANDOM, [0x80, 0x01]) => {
                let len = usize::from(command[11]);
                Err(response(0x8001, 0, &tpm2b(&vec![0x66; len])))
            }
            (START_AUTH_SESSION, _) => {
                self.salts.push(command[36..36 + 68].to_vec());
                Ok(command)
            }
            _ => Ok(command),
        }
    }

    fn response(&mut self, _: &[u8], response: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        Ok(response)
    }
}

#[test]
fn the_salt_cannot_be_foreseen_by_whoever_chooses_the_tpms_numbers() {
    let chooser = Rc::new(RefCell::new(Chooser::default()));
    let bus = Bus::with(chooser.clone());
    let salts = |own: &Own<'_>| {
        let mut source = TpmEvidence::new(bus.clone());
        source.prepare(own);
        source.begin().unwrap();
        source.end();
        chooser.borrow_mut().salts.pop().unwrap()
    };
    let secret = salts(&own(&[], &[1; 32], &[]));
    assert_ne!(secret, salts(&own(&[], &[2; 32], &[])), "by another secret");
    assert_ne!(secret, salts(&own(&[], &[1; 32], &[5; 32])), "by noise");
    let mut next = own(&[], &[1; 32], &[]);
    next.counts[0] += 1;
    assert_ne!(secret, salts(&next), "in another boot");
    // The limit: with the same of everything, and the numbers that somebody chose, it is the same again; without a secret
    // and noise they can compute it.
    assert_eq!(secret, salts(&own(&[], &[1; 32], &[])));
}

/// The node has nothing of its own, and whoever is on the bus chose every number that crossed it in clear: what is left is
/// the number that the TPM gave through the session.
#[test]
fn what_the_tpm_gave_through_the_session_is_in_the_random_numbers() {
    let chooser = Rc::new(RefCell::new(Chooser::default()));
    let bus = Bus::with(chooser.clone());
    let login = || {
        let mut source = TpmEvidence::new(bus.clone());
        source.prepare(&own(&[], &[], &[]));
        source.begin().unwrap();
        let mut random = [0; 32];
        source.random(&mut random).unwrap();
        source.end();
        (chooser.borrow_mut().salts.pop().unwrap(), random)
    };
    let (first, second) = (login(), login());
    // Nothing else differs: the generator was the same up to the session.
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
}

/// Changes one bit of the next clock, or of whatever else it is told.
#[derive(Default)]
struct Once(Option<u32>);

impl Interposer for Once {
    fn response(&mut self, command: &[u8], mut answer: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        if self.0 == Some(code(command)) && command[..2] == [0x80, 0x02] {
            self.0 = None;
            answer[20] ^= 4;
        }
        Ok(answer)
    }
}

#[test]
fn after_a_lie_the_next_login_begins_anew_and_the_lie_is_told() {
    let once = Rc::new(RefCell::new(Once::default()));
    let bus = Bus::with(once.clone());
    let mut source = TpmEvidence::new(bus.clone());
    source.prepare(&own(&[], &[7; 32], &[]));
    once.borrow_mut().0 = Some(GET_RANDOM);
    let told = source.begin().unwrap_err();
    let expected = EvidenceError {
        command: GET_RANDOM,
        ..EvidenceError::new(TroubleCode::TPM_FORGED)
    };
    assert_eq!(told, expected);
    source.begin().unwrap();
    assert_eq!(source.tpm().errors().get(TpmError::Forged.code()), 1);
    assert_eq!(
        source.tpm().loaded(),
        2,
        "EK and session, and nothing of the first attempt"
    );
}

/// The microcontroller's signature is over the quote that went with it, and no other crate is asked to make it.
#[test]
fn the_microcontroller_signs_the_login_and_its_quote() {
    use assay_common::login::{Transcript, proof_nonce};
    use assay_common::method::mcu_key::{McuKeyPayload, message};
    use assay_common::policy::AttestorKind;
    use assay_common::protocol::{MessageWriter, decode};
    use assay_firmware::evidence::Request;
    use assay_firmware::link::{BlobSink, LinkError};
    use p256::ecdsa::signature::Verifier;

    struct NoBlobs;
    impl BlobSink for NoBlobs {
        fn chunk(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), LinkError> {
            panic!("a signature is short")
        }
    }

    let bus = plain();
    let mut source = TpmEvidence::new(bus.clone());
    source.prepare(&own(&[], &[], &[5; 32]));
    assert!(!source.kinds().contains(AttestorKind::MCU_KEY), "no secret");
    source.prepare(&own(&[], &[7; 32], &[]));
    assert!(source.kinds().contains(AttestorKind::MCU_KEY));
    source.begin().unwrap();
    let transcript = Transcript::new();
    let mut sign = |quote: [u8; 32]| {
        let request = Request {
            kind: AttestorKind::MCU_KEY,
            round: 1,
            version: 3,
            payload: &[],
            transcript: &transcript,
        };
        let mut buffer = [0; 256];
        let mut out = MessageWriter::new(&mut buffer);
        source.prove(&request, &mut NoBlobs, &mut out).unwrap();
        let payload = out.finish().unwrap();
        let payload: McuKeyPayload<'_> = decode(payload).unwrap();
        let nonce = proof_nonce(AttestorKind::MCU_KEY, &transcript);
        let signed = message(&nonce, &quote).concat();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(payload.public).unwrap();
        let signature = p256::ecdsa::Signature::from_slice(payload.signature).unwrap();
        key.verify(&signed, &signature).is_ok()
    };
    assert!(sign([0; 32]), "no quote was asked for");
    assert!(!sign([1; 32]));
}
