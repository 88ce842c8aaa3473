//! Grants of version 2 and their renewals, message by message.

use assay_common::login::{RenewDigest, challenge_message, renewal_nonce};
use assay_common::protocol::{
    AgentMessage, Challenge, Denied, DenyCode, Renew, Renewal, SignedRenewal, VerifierMessage,
    decode, encode,
};

use super::states::{answered, ignored, opened, over};
use super::verifier::{RENEWAL, Source, Verifier, key, message, record, renewed, signed};
use crate::agent::{Answer, Failure, Opening, ProtocolError, Refusal, Renewing, Term, Waiting};
use crate::evidence::EvidenceError;
use assay_common::protocol::TroubleCode;

/// Up to the last proofs of a login by version 2.
fn proven(record: &[u8]) -> (Verifier, Waiting<'_>) {
    let (mut verifier, mut waiting) = opened(record);
    verifier.version = 2;
    answered(&mut verifier, &mut waiting, 0);
    answered(&mut verifier, &mut waiting, 1);
    (verifier, waiting)
}

/// The term of a granted session.
fn term(record: &[u8]) -> Term {
    let (verifier, mut waiting) = proven(record);
    let grant = verifier.svid_grant(&|_| {});
    match waiting.handle(&grant) {
        Ok(Answer::Granted(session)) => *session.term(),
        _ => panic!("refused"),
    }
}

/// A renewal asked for, with the message that asks.
fn asked<'r>(record: &'r [u8], agent_nonce: u8, source: &mut Source) -> (Vec<u8>, Renewing<'r>) {
    let mut out = [0; 512];
    let opening = Opening::new(record).unwrap();
    let (renew, renewing) = opening
        .renew(term(record), [agent_nonce; 32], source, &mut out)
        .unwrap();
    (renew.to_vec(), renewing)
}

fn refused(renewing: &Renewing<'_>, answer: &[u8]) -> Refusal {
    renewing.handle(answer).unwrap_err()
}

#[test]
fn a_grant_of_version_2_comes_with_an_svid_and_with_its_renewal() {
    let record = record(1);
    let (verifier, mut waiting) = proven(&record);
    let grant = verifier.svid_grant(&|_| {});
    let Ok(Answer::Granted(session)) = waiting.handle(&grant) else {
        panic!("refused")
    };
    assert_eq!(session.svid(), b"svid 1");
    assert_eq!(session.secret(), &[0xAB; 32]);
    let term = session.term();
    assert_eq!((term.session_id, term.renewal_nonce), ([9; 16], [0x4E; 32]));
    assert_eq!((term.lifetime_s, term.renew_in_s), (3_600, Some(1_800)));
}

#[test]
fn a_grant_need_not_offer_renewal() {
    let record = record(1);
    let (verifier, mut waiting) = proven(&record);
    let grant = verifier.svid_grant(&|granted| granted.renew_after = 0);
    let Ok(Answer::Granted(session)) = waiting.handle(&grant) else {
        panic!("refused")
    };
    assert_eq!(session.term().renew_in_s, None);
}

#[test]
fn a_grant_of_version_2_with_a_broken_tag_is_ignored() {
    let record = record(1);
    let (verifier, mut waiting) = proven(&record);
    let grant = verifier.svid_grant(&|_| {});
    let VerifierMessage::SvidGranted(mut sealed) = decode(&grant).unwrap() else {
        panic!()
    };
    sealed.tag[31] ^= 1;
    let forged = message(&VerifierMessage::SvidGranted(sealed));
    let refusal = ignored(waiting.handle(&forged));
    assert_eq!(refusal, ProtocolError::Grant.into());
    assert!(waiting.handle(&grant).is_ok(), "it changed nothing");
}

#[test]
fn each_version_has_its_own_kind_of_grant() {
    let record = record(1);
    let (verifier, mut waiting) = proven(&record);
    let old = ignored(waiting.handle(&verifier.grant()));
    assert_eq!(old, ProtocolError::Grant.into());

    let (mut verifier, mut waiting) = opened(&record);
    answered(&mut verifier, &mut waiting, 0);
    answered(&mut verifier, &mut waiting, 1);
    let new = ignored(waiting.handle(&verifier.svid_grant(&|_| {})));
    assert_eq!(new, ProtocolError::Grant.into());
}

#[test]
fn the_version_does_not_change_within_a_login() {
    let record = record(1);
    for (first, then) in [(2, 1), (1, 2)] {
        let (mut verifier, mut waiting) = opened(&record);
        verifier.version = first;
        answered(&mut verifier, &mut waiting, 0);
        verifier.version = then;
        let failure = over(waiting.handle(&verifier.challenge(1, &[])));
        assert_eq!(failure, ProtocolError::Version.into(), "{first} to {then}");
    }
}

#[test]
fn a_session_is_renewed_while_it_lasts() {
    let record = record(1);
    for (renew_after, accepted) in [
        (999, false),
        (1_000, true),
        (4_600, true),
        (4_601, false),
        (u64::MAX, false),
    ] {
        let (verifier, mut waiting) = proven(&record);
        let grant = verifier.svid_grant(&|granted| granted.renew_after = renew_after);
        let result = waiting.handle(&grant);
        if accepted {
            assert!(matches!(result, Ok(Answer::Granted(_))), "{renew_after}");
        } else {
            assert_eq!(
                over(result),
                ProtocolError::Lifetime.into(),
                "{renew_after}"
            );
        }
    }
}

#[test]
fn a_renewal_asks_with_both_nonces_in_the_quote() {
    let record = record(1);
    let mut source = Source::default();
    let (renew, _) = asked(&record, 0x77, &mut source);
    let renew: AgentMessage<'_> = decode(&renew).unwrap();
    let expected = Renew {
        session_id: [9; 16],
        agent_nonce: [0x77; 32],
        quote: b"quote",
    };
    assert_eq!(renew, AgentMessage::Renew(expected));
    let nonce = renewal_nonce(&[9; 16], &[0x4E; 32], &[0x77; 32]);
    assert_eq!(source.quoted, [nonce]);
}

#[test]
fn without_a_quote_there_is_no_renewal() {
    let record = record(1);
    let lost = EvidenceError::new(TroubleCode::TPM_RESET);
    let mut source = Source {
        fail_renewal: Some(lost),
        ..Source::default()
    };
    let opening = Opening::new(&record).unwrap();
    let mut out = [0; 512];
    let failure = opening.renew(term(&record), [1; 32], &mut source, &mut out);
    assert_eq!(failure.unwrap_err(), Failure::Evidence(lost));
}

#[test]
fn a_renewed_session_has_a_new_term_and_a_new_svid() {
    let record = record(1);
    let (renew, renewing) = asked(&record, 1, &mut Source::default());
    let answer = renewed(&key(1), &renew, &RENEWAL);
    let renewed = renewing.handle(&answer).unwrap();
    assert_eq!(renewed.svid(), b"svid 2");
    let term = renewed.term();
    assert_eq!((term.session_id, term.renewal_nonce), ([9; 16], [0x4F; 32]));
    assert_eq!((term.lifetime_s, term.renew_in_s), (3_600, Some(1_800)));
}

#[test]
fn a_renewal_signed_by_another_key_is_ignored() {
    let record = record(1);
    let (renew, renewing) = asked(&record, 1, &mut Source::default());
    let forged = renewed(&key(2), &renew, &RENEWAL);
    let untrusted = Refusal::Ignored(Failure::UntrustedVerifier);
    assert_eq!(refused(&renewing, &forged), untrusted);
}

#[test]
fn a_renewal_whose_body_was_changed_is_ignored() {
    let record = record(1);
    let (renew, renewing) = asked(&record, 1, &mut Source::default());
    let answer = renewed(&key(1), &renew, &RENEWAL);
    let VerifierMessage::Renewed(SignedRenewal { signature, .. }) = decode(&answer).unwrap() else {
        panic!()
    };
    let longer = Renewal {
        expires_at: RENEWAL.expires_at + 1,
        ..RENEWAL
    };
    let mut body = [0; 512];
    let body = encode(&longer, &mut body).unwrap();
    let forged = message(&VerifierMessage::Renewed(SignedRenewal { body, signature }));
    let untrusted = Refusal::Ignored(Failure::UntrustedVerifier);
    assert_eq!(refused(&renewing, &forged), untrusted);
}

#[test]
fn the_answer_to_an_earlier_renewal_is_ignored() {
    let record = record(1);
    let (earlier, first) = asked(&record, 1, &mut Source::default());
    let answer = renewed(&key(1), &earlier, &RENEWAL);
    assert!(first.handle(&answer).is_ok());
    let (_, second) = asked(&record, 2, &mut Source::default());
    let untrusted = Refusal::Ignored(Failure::UntrustedVerifier);
    assert_eq!(refused(&second, &answer), untrusted);
}

#[test]
fn a_signature_for_a_challenge_does_not_renew() {
    let record = record(1);
    let (renew, renewing) = asked(&record, 1, &mut Source::default());
    let mut body = [0; 512];
    let body = encode(&RENEWAL, &mut body).unwrap();
    // The pieces of the right message behind the label of a challenge.
    let digest = RenewDigest::of(&renew);
    let transcript = assay_common::login::Transcript::default();
    let [label, ..] = challenge_message(&transcript, body);
    let signature = signed(&key(1), [label, digest.as_bytes(), body]).to_bytes();
    let forged = message(&VerifierMessage::Renewed(SignedRenewal {
        body,
        signature: &signature,
    }));
    let untrusted = Refusal::Ignored(Failure::UntrustedVerifier);
    assert_eq!(refused(&renewing, &forged), untrusted);
}

#[test]
fn the_renewal_of_another_session_is_refused() {
    let record = record(1);
    let (renew, renewing) = asked(&record, 1, &mut Source::default());
    let other = Renewal {
        session_id: [8; 16],
        ..RENEWAL
    };
    let answer = renewed(&key(1), &renew, &other);
    let failure = ProtocolError::Session.into();
    assert_eq!(refused(&renewing, &answer), Refusal::Over(failure));
}

#[test]
fn a_term_that_goes_backwards_is_refused() {
    let record = record(1);
    for wrong in [
        // Begins before the one it renews.
        Renewal {
            issued_at: 999,
            ..RENEWAL
        },
        // Ends before it begins.
        Renewal {
            expires_at: 2_799,
            renew_after: 0,
            ..RENEWAL
        },
        // Renewed before it begins, and after it has ended.
        Renewal {
            renew_after: 2_799,
            ..RENEWAL
        },
        Renewal {
            renew_after: 6_401,
            ..RENEWAL
        },
    ] {
        let (renew, renewing) = asked(&record, 1, &mut Source::default());
        let answer = renewed(&key(1), &renew, &wrong);
        let failure = ProtocolError::Lifetime.into();
        assert_eq!(
            refused(&renewing, &answer),
            Refusal::Over(failure),
            "{wrong:?}"
        );
    }
}

#[test]
fn nothing_else_answers_a_renewal() {
    let record = record(1);
    let (renew, renewing) = asked(&record, 1, &mut Source::default());
    let (verifier, _) = proven(&record);
    let malformed = Refusal::Ignored(ProtocolError::Malformed.into());
    let challenge = verifier.sign(&Challenge {
        version: 2,
        login_id: [7; 16],
        round: 0,
        server_nonce: [0; 32],
        items: Default::default(),
    });
    for message in [challenge, verifier.grant(), verifier.svid_grant(&|_| {})] {
        assert_eq!(refused(&renewing, &message), malformed);
    }
    let answer = renewed(&key(1), &renew, &RENEWAL);
    for cut in 0..answer.len() {
        assert_eq!(refused(&renewing, &answer[..cut]), malformed, "{cut}");
    }
    let denied = message(&VerifierMessage::Denied(Denied {
        code: DenyCode::LOGIN_REQUIRED,
        reason: "",
        retry_after_s: 0,
    }));
    let failure = Failure::Denied {
        code: DenyCode::LOGIN_REQUIRED,
        retry_after_s: 0,
    };
    assert_eq!(refused(&renewing, &denied), Refusal::Over(failure));
}

#[test]
fn a_renewal_answers_no_login() {
    let record = record(1);
    let (_, mut waiting) = proven(&record);
    let (renew, _) = asked(&record, 1, &mut Source::default());
    let answer = renewed(&key(1), &renew, &RENEWAL);
    let refusal = ignored(waiting.handle(&answer));
    assert_eq!(refusal, ProtocolError::Malformed.into());
}
