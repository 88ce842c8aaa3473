//! Sessions in the run loop: renewed while they live, and what ends that.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::protocol::{
    AgentMessage, Denied, DenyCode, FrameKind, TroubleCode, VerifierMessage, decode,
};

use super::loops::{Clock, Peer, Serial, Setup, frame, node, observed};
use super::verifier::{EK, RENEWAL, Source, Verifier, key, message, record, renewed};
use crate::agent::{Failure, Renewed, Session};
use crate::evidence::EvidenceError;
use crate::run::{Granted, Node, Observer};

const FIRST: Granted = Granted {
    session_id: [9; 16],
    lifetime_s: 3_600,
    renew_in_s: Some(1_800),
    has_svid: true,
};

/// What a verifier of version 2 does with a renewal: its frames.
type Renewals = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

/// What was said to a verifier, by name.
type Heard = Rc<RefCell<Vec<&'static str>>>;

fn granted_renewal(renew: &[u8]) -> Vec<u8> {
    frame(&renewed(&key(1), renew, &RENEWAL))
}

fn denying(code: DenyCode) -> Renewals {
    Box::new(move |_| {
        frame(&message(&VerifierMessage::Denied(Denied {
            code,
            reason: "",
            retry_after_s: 0,
        })))
    })
}

/// A verifier that grants by version 2 and does with renewals as it is told.
fn verifier(mut renewals: Renewals) -> (Peer, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let mut verifier: Option<Verifier> = None;
    let mut round = 0;
    let peer = move |kind, body: &[u8]| {
        if kind != FrameKind::MESSAGE {
            return Vec::new();
        }
        let message = decode(body).unwrap();
        hears.borrow_mut().push(match message {
            AgentMessage::Hello(_) => "hello",
            AgentMessage::Proofs(_) => "proofs",
            AgentMessage::Trouble(_) => "trouble",
            AgentMessage::Renew(_) => "renew",
        });
        let answer = match message {
            AgentMessage::Hello(_) => {
                round = 0;
                let fresh = verifier.insert(Verifier::after_hello(body));
                fresh.version = 2;
                fresh.challenge(0, &[EK])
            }
            AgentMessage::Proofs(_) => {
                let verifier = verifier.as_mut().unwrap();
                verifier.received(body);
                round += 1;
                if round == 2 {
                    verifier.svid_grant(&|_| {})
                } else {
                    verifier.challenge(round, &[EK])
                }
            }
            AgentMessage::Renew(_) => return renewals(body),
            AgentMessage::Trouble(_) => return Vec::new(),
        };
        verifier.as_mut().unwrap().sent(&answer);
        frame(&answer)
    };
    (Box::new(peer), heard)
}

/// A node whose session was just granted; what it says from then on is heard.
fn granted(record: &[u8], renewals: Renewals) -> (Setup, Node<'_, Clock, Serial, Source>, Heard) {
    let (peer, heard) = verifier(renewals);
    let (setup, mut node) = node(record, Source::default(), peer);
    assert_eq!(node.attempt(), Ok(FIRST));
    heard.borrow_mut().clear();
    (setup, node, heard)
}

#[test]
fn a_session_is_renewed_in_one_round_trip() {
    let record = record(1);
    let (_, mut node, heard) = granted(&record, Box::new(granted_renewal));
    for _ in 0..3 {
        assert_eq!(node.attempt(), Ok(FIRST));
    }
    assert_eq!(*heard.borrow(), ["renew"; 3]);
    // The key stays in the TPM from the grant on.
    let source = node.source_mut();
    assert_eq!((source.begun, source.kept, source.ended), (1, 1, 0));
    // Each with the nonce that came last, and none twice.
    let [first, second, third] = source.quoted[..] else {
        panic!()
    };
    assert!(first != second && second != third);
}

#[test]
fn the_node_rests_until_the_session_may_be_renewed() {
    assert_eq!(FIRST.rest_ms(), 1_800_000);
    let without = Granted {
        renew_in_s: None,
        ..FIRST
    };
    assert_eq!(without.rest_ms(), 2_700_000);
    // A time that no counter holds ends in a login, not in a rest without end.
    let never = Granted {
        renew_in_s: Some(u64::MAX),
        lifetime_s: u64::MAX,
        ..FIRST
    };
    assert_eq!(never.rest_ms(), u32::MAX);
}

#[test]
fn a_verifier_that_wants_renewals_without_end_is_kept_waiting() {
    let record = record(1);
    let at_once = |renew: &[u8]| {
        let now = assay_common::protocol::Renewal {
            renew_after: RENEWAL.issued_at,
            ..RENEWAL
        };
        frame(&renewed(&key(1), renew, &now))
    };
    let (setup, mut node, heard) = granted(&record, Box::new(at_once));
    let before = setup.now_ms();
    for _ in 0..10 {
        node.turn();
    }
    assert_eq!(*heard.borrow(), ["renew"; 10]);
    assert!(setup.now_ms() - before >= 10_000);
}

#[test]
fn a_session_that_is_gone_is_followed_by_a_login_at_once() {
    let record = record(1);
    let (setup, mut node, heard) = granted(&record, denying(DenyCode::LOGIN_REQUIRED));
    let before = setup.now_ms();
    assert_eq!(node.attempt(), Ok(FIRST));
    assert_eq!(*heard.borrow(), ["renew", "hello", "proofs", "proofs"]);
    assert_eq!(setup.now_ms(), before);
}

#[test]
fn a_tpm_that_has_lost_the_key_is_followed_by_a_login_at_once() {
    let record = record(1);
    let (_, mut node, heard) = granted(&record, Box::new(granted_renewal));
    node.source_mut().fail_renewal = Some(EvidenceError::new(TroubleCode::TPM_RESET));
    assert_eq!(node.attempt(), Ok(FIRST));
    assert_eq!(*heard.borrow(), ["hello", "proofs", "proofs"]);
}

#[test]
fn a_verifier_that_breaks_the_protocol_is_asked_for_a_login() {
    let record = record(1);
    let other = |renew: &[u8]| {
        let other = assay_common::protocol::Renewal {
            session_id: [8; 16],
            ..RENEWAL
        };
        frame(&renewed(&key(1), renew, &other))
    };
    let (_, mut node, heard) = granted(&record, Box::new(other));
    assert_eq!(node.attempt(), Ok(FIRST));
    assert_eq!(*heard.borrow(), ["renew", "hello", "proofs", "proofs"]);
}

#[test]
fn a_renewal_whose_answer_was_lost_is_repeated_byte_for_byte() {
    let record = record(1);
    let mut asked: Vec<Vec<u8>> = Vec::new();
    let deaf_at_first = move |renew: &[u8]| {
        asked.push(renew.to_vec());
        assert_eq!(asked[0], renew);
        if asked.len() < 4 {
            Vec::new()
        } else {
            granted_renewal(renew)
        }
    };
    let (_, mut node, heard) = granted(&record, Box::new(deaf_at_first));
    assert_eq!(node.attempt(), Ok(FIRST));
    assert_eq!(*heard.borrow(), ["renew"; 4]);
    assert_eq!(node.source_mut().quoted.len(), 1, "one quote for all");
}

#[test]
fn a_forged_renewal_does_not_end_the_wait_for_the_true_one() {
    let record = record(1);
    let both = |renew: &[u8]| {
        let forged = frame(&renewed(&key(2), renew, &RENEWAL));
        [forged, granted_renewal(renew)].concat()
    };
    let (_, mut node, heard) = granted(&record, Box::new(both));
    assert_eq!(node.attempt(), Ok(FIRST));
    assert_eq!(*heard.borrow(), ["renew"]);
}

#[test]
fn a_verifier_that_is_away_is_asked_again_until_a_login_must_begin() {
    let record = record(1);
    for (renewals, failure) in [
        (
            Box::new(|_: &[u8]| Vec::new()) as Renewals,
            Failure::NoAnswer,
        ),
        (
            denying(DenyCode::UNAVAILABLE),
            Failure::Denied {
                code: DenyCode::UNAVAILABLE,
                retry_after_s: 0,
            },
        ),
    ] {
        let (setup, mut node, heard) = granted(&record, renewals);
        let from = setup.now_ms();
        // Three quarters of an hour, and the last attempt to its end.
        while !heard.borrow().contains(&"hello") {
            let before = setup.now_ms();
            if before - from < 2_600_000 {
                assert_eq!(node.attempt().unwrap_err().0, failure);
                node.turn();
            } else {
                node.turn();
            }
            assert!(setup.now_ms() > before || heard.borrow().contains(&"hello"));
        }
        let waited = setup.now_ms() - from;
        assert!((2_700_000..8_000_000).contains(&waited), "{waited}");
        assert_eq!(node.source_mut().begun, 2);
    }
}

#[test]
fn a_grant_without_renewal_and_svid_leaves_nothing_in_the_source() {
    let record = record(1);
    let (_, mut node) = node(&record, Source::default(), super::loops::granting(b""));
    assert!(node.attempt().is_ok());
    let source = node.source_mut();
    assert_eq!((source.kept, source.ended), (0, 1));
}

#[test]
fn every_svid_is_shown_to_the_observer() {
    struct Seen(Vec<(&'static str, Vec<u8>)>);
    impl Observer for &mut Seen {
        fn granted(&mut self, session: &Session<'_>) {
            self.0.push(("granted", session.svid().to_vec()));
        }
        fn renewed(&mut self, renewed: &Renewed<'_>) {
            self.0.push(("renewed", renewed.svid().to_vec()));
        }
    }
    let record = record(1);
    let mut seen = Seen(Vec::new());
    let (peer, _) = verifier(Box::new(granted_renewal));
    let (_, mut node) = observed(&record, Source::default(), peer, &mut seen);
    assert_eq!(node.attempt(), Ok(FIRST));
    assert_eq!(node.attempt(), Ok(FIRST));
    drop(node);
    let expected = [
        ("granted", b"svid 1".to_vec()),
        ("renewed", b"svid 2".to_vec()),
    ];
    assert_eq!(seen.0, expected);
}

#[test]
fn a_renewal_without_a_session_asks_for_a_login() {
    let record = record(1);
    let (peer, heard) = verifier(Box::new(granted_renewal));
    let (_, mut node) = node(&record, Source::default(), peer);
    let failure = Failure::Denied {
        code: DenyCode::LOGIN_REQUIRED,
        retry_after_s: 0,
    };
    assert_eq!(node.renew(), Err(failure));
    assert!(heard.borrow().is_empty());
}
