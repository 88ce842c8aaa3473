//! The states, message by message.

use assay_common::policy::AttestorKind;
use assay_common::protocol::message::Items;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    Challenge, Denied, DenyCode, Item, SignedChallenge, TroubleCode, VerifierMessage, decode,
};

use super::verifier::{BOARD, EK, NoBlobs, QUOTE, Source, Verifier, key, message, record};
use crate::agent::{Answer, Failure, MAX_ROUNDS, Opening, ProtocolError, Refusal, Waiting};
use crate::evidence::EvidenceSource;

/// Up to the hello.
pub(super) fn opened(record: &[u8]) -> (Verifier, Waiting<'_>) {
    let mut out = [0; 2048];
    let opening = Opening::new(record).unwrap();
    let (hello, waiting) = opening
        .hello([0x33; 32], Source::default().kinds(), &[], BOARD, &mut out)
        .unwrap();
    (Verifier::after_hello(hello), waiting)
}

/// One more challenge answered.
pub(super) fn answered(verifier: &mut Verifier, waiting: &mut Waiting<'_>, round: u8) {
    let challenge = verifier.challenge(round, &[EK]);
    let Ok(Answer::Asked(proving)) = waiting.handle(&challenge) else {
        panic!("refused")
    };
    verifier.sent(&challenge);
    let mut out = [0; 2048];
    let proofs = proving
        .prove(&mut Source::default(), &mut NoBlobs, &mut out)
        .unwrap();
    verifier.received(proofs);
}

pub(super) fn over(result: Result<Answer<'_, '_, '_>, Refusal>) -> Failure {
    match result {
        Err(Refusal::Over(failure)) => failure,
        Err(Refusal::Ignored(failure)) => panic!("ignored: {failure}"),
        Ok(_) => panic!("accepted"),
    }
}

pub(super) fn ignored(result: Result<Answer<'_, '_, '_>, Refusal>) -> Failure {
    match result {
        Err(Refusal::Ignored(failure)) => failure,
        Err(Refusal::Over(failure)) => panic!("over: {failure}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn a_login_ends_with_the_session_that_was_granted() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    answered(&mut verifier, &mut waiting, 1);
    let grant = verifier.grant();
    let Ok(Answer::Granted(session)) = waiting.handle(&grant) else {
        panic!("refused")
    };
    assert_eq!(session.id(), &[9; 16]);
    assert_eq!(session.spiffe_id().as_str(), "spiffe://example.org/node/1");
    assert_eq!(session.lifetime_s(), 3_600);
    assert_eq!(session.secret(), &[0xAB; 32]);
}

#[test]
fn a_challenge_of_another_key_is_ignored() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    verifier.key = key(2);
    assert_eq!(
        ignored(waiting.handle(&verifier.challenge(0, &[EK]))),
        Failure::UntrustedVerifier
    );
}

#[test]
fn a_challenge_of_another_login_is_ignored() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    verifier.sent(b"something that was never said");
    assert_eq!(
        ignored(waiting.handle(&verifier.challenge(0, &[EK]))),
        Failure::UntrustedVerifier
    );
}

#[test]
fn a_replayed_first_challenge_is_ignored_in_the_second_round() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    let first = verifier.challenge(0, &[EK]);
    answered(&mut verifier, &mut waiting, 0);
    assert_eq!(ignored(waiting.handle(&first)), Failure::UntrustedVerifier);
}

#[test]
fn a_challenge_with_any_bit_changed_is_not_accepted() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    let challenge = verifier.challenge(0, &[EK]);
    for bit in 0..challenge.len() * 8 {
        let mut bad = challenge.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match waiting.handle(&bad) {
            Err(Refusal::Ignored(_)) => {}
            Err(Refusal::Over(failure)) => {
                // Only the first byte can turn it into another message.
                assert!(bit < 8, "bit {bit}: {failure}");
                waiting = opened(&record).1;
            }
            Ok(_) => panic!("bit {bit} accepted"),
        }
    }
}

#[test]
fn a_signature_of_the_wrong_length_is_ignored() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    let challenge = verifier.challenge(0, &[EK]);
    let VerifierMessage::Challenge(signed) = decode(&challenge).unwrap() else {
        panic!()
    };
    for len in [0, 63] {
        let short = message(&VerifierMessage::Challenge(SignedChallenge {
            body: signed.body,
            signature: &signed.signature[..len],
        }));
        let refusal = waiting.handle(&short).unwrap_err();
        assert_eq!(refusal, Refusal::Ignored(Failure::UntrustedVerifier));
    }
    assert!(
        waiting.handle(&challenge).is_ok(),
        "forgeries change nothing"
    );
}

#[test]
fn a_message_cut_at_any_byte_is_ignored() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    let challenge = verifier.challenge(0, &[EK]);
    for cut in 0..challenge.len() {
        ignored(waiting.handle(&challenge[..cut]));
    }
}

#[test]
fn a_version_that_was_not_offered_ends_the_login() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    let challenge = verifier.sign(&Challenge {
        version: VersionRange::OURS.max + 1,
        login_id: [7; 16],
        round: 0,
        server_nonce: [0; 32],
        items: Items::new(),
    });
    assert_eq!(
        over(waiting.handle(&challenge)),
        ProtocolError::Version.into()
    );
}

#[test]
fn a_round_out_of_order_ends_the_login() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    assert_eq!(
        over(waiting.handle(&verifier.challenge(1, &[EK]))),
        ProtocolError::Round.into()
    );
}

#[test]
fn a_verifier_that_never_stops_asking_is_refused() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    for round in 0..MAX_ROUNDS {
        answered(&mut verifier, &mut waiting, round);
    }
    let more = verifier.challenge(MAX_ROUNDS, &[EK]);
    assert_eq!(over(waiting.handle(&more)), ProtocolError::Round.into());
}

#[test]
fn a_login_id_that_changes_ends_the_login() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    verifier.login_id = [8; 16];
    assert_eq!(
        over(waiting.handle(&verifier.challenge(1, &[EK]))),
        ProtocolError::Login.into()
    );
}

#[test]
fn a_method_that_was_not_offered_is_reported_by_number() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    let challenge = verifier.challenge(0, &[EK, QUOTE]);
    let Ok(Answer::Asked(proving)) = waiting.handle(&challenge) else {
        panic!("refused")
    };
    let failure = proving
        .prove(&mut Source::default(), &mut NoBlobs, &mut [0; 2048])
        .unwrap_err();
    let Failure::Evidence(error) = failure else {
        panic!("{failure}")
    };
    assert_eq!(error.code, TroubleCode::UNSUPPORTED_REQUEST);
    assert_eq!(error.detail, u32::from(AttestorKind::TPM_QUOTE.0));
}

#[test]
fn proofs_that_do_not_fit_are_not_sent_in_part() {
    let record = record(1);
    let (verifier, mut waiting) = opened(&record);
    let long = [1; 500];
    let challenge = verifier.challenge(
        0,
        &[Item {
            kind: AttestorKind::TPM_EK,
            payload: &long,
        }],
    );
    let Ok(Answer::Asked(proving)) = waiting.handle(&challenge) else {
        panic!("refused")
    };
    let failure = proving
        .prove(&mut Source::default(), &mut NoBlobs, &mut [0; 400])
        .unwrap_err();
    assert_eq!(failure, ProtocolError::TooLong.into());
}

#[test]
fn a_grant_before_a_credential_was_opened_is_ignored() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    assert_eq!(
        ignored(waiting.handle(&verifier.grant())),
        ProtocolError::Grant.into()
    );
}

#[test]
fn a_grant_of_another_login_is_ignored() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    answered(&mut verifier, &mut waiting, 1);
    verifier.sent(b"never said");
    assert_eq!(
        ignored(waiting.handle(&verifier.grant())),
        ProtocolError::Grant.into()
    );
}

#[test]
fn a_grant_for_another_trust_domain_ends_the_login() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    answered(&mut verifier, &mut waiting, 1);
    let grant = verifier.grant_of("spiffe://example.com/node/1", 1, 2);
    assert_eq!(over(waiting.handle(&grant)), ProtocolError::Identity.into());
}

#[test]
fn a_grant_that_ends_before_it_begins_ends_the_login() {
    let record = record(1);
    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    answered(&mut verifier, &mut waiting, 1);
    let grant = verifier.grant_of("spiffe://example.org/node/1", 2, 1);
    assert_eq!(over(waiting.handle(&grant)), ProtocolError::Lifetime.into());
}

#[test]
fn a_denial_ends_the_login_with_its_category() {
    let record = record(1);
    let (_, mut waiting) = opened(&record);
    let denied = Denied {
        code: DenyCode::REFUSED,
        reason: "no",
        retry_after_s: 5,
    };
    let failure = over(waiting.handle(&message(&VerifierMessage::Denied(denied))));
    assert_eq!(
        failure,
        Failure::Denied {
            code: DenyCode::REFUSED,
            retry_after_s: 5
        }
    );
}

#[test]
fn a_node_without_a_record_does_not_open() {
    assert!(matches!(
        Opening::new(&[0xFF; 64]),
        Err(Failure::NotProvisioned(_))
    ));
}

#[test]
fn a_record_with_a_point_off_the_curve_does_not_open() {
    let mut bad = record(1);
    let provisioning = assay_common::identity::Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: &[4; 65],
    };
    provisioning.write(&mut bad).unwrap();
    assert_eq!(Opening::new(&bad).unwrap_err(), Failure::UntrustedVerifier);
}
