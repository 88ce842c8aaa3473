//! The run loop over a line and a clock that tests hold in their hands.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use assay_common::protocol::{
    AgentMessage, Denied, DenyCode, FrameDecoder, FrameKind, TroubleCode, VerifierMessage, decode,
    write_frame,
};
use embedded_io::{ErrorType, Read, ReadReady, Write};

use super::verifier::{BOARD, EK, Source, Verifier, message, record};
use crate::agent::Failure;
use crate::evidence::EvidenceError;
use crate::platform::Platform;
use crate::run::{Granted, Node, Observer, Timing};

/// What the other end does with each frame of the agent: the bytes to put on the line.
pub(super) type Peer = Box<dyn FnMut(FrameKind, &[u8]) -> Vec<u8>>;

pub(super) struct Line {
    to_agent: VecDeque<u8>,
    decoder: FrameDecoder<4096>,
    frames: Vec<(u8, Vec<u8>)>,
    peer: Peer,
    /// Put on the line each time it runs dry, one frame per millisecond of the agent's waiting.
    chatter: Vec<u8>,
    quiet: bool,
}

#[derive(Clone)]
pub(super) struct Serial(Rc<RefCell<Line>>);

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
        out[0] = self.0.borrow_mut().to_agent.pop_front().unwrap();
        Ok(1)
    }
}

impl ReadReady for Serial {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        let line = &mut *self.0.borrow_mut();
        if line.to_agent.is_empty() && !line.chatter.is_empty() {
            // Every other look finds nothing, so that the agent rests and its time passes.
            line.quiet = !line.quiet;
            if !line.quiet {
                line.to_agent.extend(line.chatter.iter());
            }
        }
        Ok(!line.to_agent.is_empty())
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let line = &mut *self.0.borrow_mut();
        for byte in bytes {
            if let Some(frame) = line.decoder.push(*byte) {
                let kind = frame.unwrap();
                line.frames.push((kind.0, line.decoder.body().to_vec()));
                let answer = (line.peer)(kind, line.decoder.body());
                line.to_agent.extend(answer);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Time passes only when the agent rests.
pub(super) struct Clock {
    us: Rc<RefCell<u64>>,
    kicks: Rc<RefCell<u32>>,
    /// When the board was told to restart, ms.
    restarts: Rc<RefCell<Vec<u64>>>,
    /// Bytes of noise that the board has.
    noise: Rc<RefCell<usize>>,
}

impl Platform for Clock {
    fn now_us(&mut self) -> u64 {
        *self.us.borrow()
    }

    fn idle(&mut self) {
        *self.us.borrow_mut() += 1_000;
    }

    fn kick_watchdog(&mut self) {
        *self.kicks.borrow_mut() += 1;
    }

    fn noise(&mut self, _: &mut [u8; 32]) -> usize {
        *self.noise.borrow()
    }

    fn restart(&mut self) {
        self.restarts.borrow_mut().push(*self.us.borrow() / 1_000);
    }
}

pub(super) struct Setup {
    line: Rc<RefCell<Line>>,
    kicks: Rc<RefCell<u32>>,
    us: Rc<RefCell<u64>>,
    pub(super) restarts: Rc<RefCell<Vec<u64>>>,
    pub(super) noise: Rc<RefCell<usize>>,
}

impl Setup {
    /// The agent's time.
    pub(super) fn now_ms(&self) -> u64 {
        *self.us.borrow() / 1_000
    }
}

pub(super) fn node<'r>(
    record: &'r [u8],
    source: Source,
    peer: Peer,
) -> (Setup, Node<'r, Clock, Serial, Source>) {
    observed(record, source, peer, ())
}

pub(super) fn observed<'r, O: Observer>(
    record: &'r [u8],
    source: Source,
    peer: Peer,
    observer: O,
) -> (Setup, Node<'r, Clock, Serial, Source, O>) {
    let line = Rc::new(RefCell::new(Line {
        to_agent: VecDeque::new(),
        decoder: FrameDecoder::new(),
        frames: Vec::new(),
        peer,
        chatter: Vec::new(),
        quiet: false,
    }));
    let kicks = Rc::new(RefCell::new(0));
    let restarts = Rc::<RefCell<Vec<u64>>>::default();
    let us = Rc::<RefCell<u64>>::default();
    let noise = Rc::<RefCell<usize>>::default();
    let clock = Clock {
        us: us.clone(),
        kicks: kicks.clone(),
        restarts: restarts.clone(),
        noise: noise.clone(),
    };
    let node = Node::observed(
        clock,
        Serial(line.clone()),
        source,
        record,
        BOARD,
        Timing::default(),
        observer,
    );
    let setup = Setup {
        line,
        kicks,
        us,
        restarts,
        noise,
    };
    (setup, node)
}

pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame::<Infallible>(FrameKind::MESSAGE, body, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    out
}

/// A challenge that nobody signed; refused by its length, so that a test can afford thousands.
fn forgery() -> Vec<u8> {
    let signed = assay_common::protocol::SignedChallenge {
        body: b"x",
        signature: &[1; 63],
    };
    frame(&message(&VerifierMessage::Challenge(signed)))
}

/// A verifier that grants; `between` goes onto the line before each of its answers.
pub(super) fn granting(between: &'static [u8]) -> Peer {
    let mut verifier: Option<Verifier> = None;
    let mut round = 0;
    Box::new(move |kind, body| {
        if kind != FrameKind::MESSAGE {
            return Vec::new();
        }
        let answer = match decode(body).unwrap() {
            AgentMessage::Hello(_) => {
                round = 0;
                let fresh = verifier.insert(Verifier::after_hello(body));
                fresh.challenge(0, &[EK])
            }
            AgentMessage::Proofs(_) => {
                let verifier = verifier.as_mut().unwrap();
                verifier.received(body);
                round += 1;
                if round == 2 {
                    verifier.grant()
                } else {
                    verifier.challenge(round, &[EK])
                }
            }
            AgentMessage::Trouble(_) | AgentMessage::Renew(_) => return Vec::new(),
        };
        verifier.as_mut().unwrap().sent(&answer);
        [between, &frame(&answer)].concat()
    })
}

fn troubles(setup: &Setup) -> Vec<TroubleCode> {
    let line = setup.line.borrow();
    let messages = line.frames.iter().filter(|(kind, _)| *kind == 1);
    messages
        .filter_map(|(_, body)| match decode(body).unwrap() {
            AgentMessage::Trouble(trouble) => Some(trouble.code),
            _ => None,
        })
        .collect()
}

pub(super) const GRANTED: Granted = Granted {
    session_id: [9; 16],
    lifetime_s: 3_600,
    renew_in_s: None,
    has_svid: false,
};

#[test]
fn a_login_goes_through_and_blobs_travel_before_the_proofs() {
    let record = record(1);
    let (setup, mut node) = node(&record, Source::default(), granting(b""));
    assert_eq!(node.login(), Ok(GRANTED));
    let kinds: Vec<u8> = setup
        .line
        .borrow()
        .frames
        .iter()
        .map(|(kind, _)| *kind)
        .collect();
    assert_eq!(kinds, [1, 2, 1, 2, 1]);
}

#[test]
fn garbage_before_every_answer_is_survived() {
    let record = record(1);
    let (_, mut node) = node(
        &record,
        Source::default(),
        granting(b"\x05garbage\x00\x00\xFF\x01"),
    );
    assert_eq!(node.login(), Ok(GRANTED));
}

#[test]
fn forgeries_before_every_answer_are_survived() {
    let record = record(1);
    let forged = frame(&message(&VerifierMessage::Challenge(
        assay_common::protocol::SignedChallenge {
            body: b"x",
            signature: &[1; 64],
        },
    )));
    let (_, mut node) = node(&record, Source::default(), granting(forged.leak()));
    assert_eq!(node.login(), Ok(GRANTED));
}

#[test]
fn a_forgery_does_not_shorten_the_wait_for_a_slow_verifier() {
    let record = record(1);
    let mut inner = granting(b"");
    let mut hellos = 0;
    // Answers the first hello with a forgery and, seven repetitions later, with the truth.
    let slow = move |kind, body: &[u8]| {
        hellos += 1;
        if hellos == 1 {
            return forgery();
        }
        if hellos < 8 {
            Vec::new()
        } else {
            inner(kind, body)
        }
    };
    let (_, mut node) = node(&record, Source::default(), Box::new(slow));
    assert_eq!(node.login(), Ok(GRANTED));
}

#[test]
fn forgeries_without_end_do_not_hold_a_login_for_ever() {
    let record = record(1);
    let (setup, mut node) = node(&record, Source::default(), Box::new(|_, _| Vec::new()));
    // A forgery is on the line whenever the agent looks.
    setup.line.borrow_mut().chatter = forgery();
    let (failure, _) = node.attempt().unwrap_err();
    assert_eq!(failure, Failure::UntrustedVerifier);
    assert_eq!(troubles(&setup), [TroubleCode::UNTRUSTED_VERIFIER]);
}

#[test]
fn the_hello_is_repeated_until_somebody_listens() {
    let record = record(1);
    let mut inner = granting(b"");
    let mut heard = 0;
    let deaf_at_first = move |kind, body: &[u8]| {
        heard += 1;
        if heard < 4 {
            Vec::new()
        } else {
            inner(kind, body)
        }
    };
    let (setup, mut node) = node(&record, Source::default(), Box::new(deaf_at_first));
    assert_eq!(node.login(), Ok(GRANTED));
    let line = setup.line.borrow();
    assert_eq!(line.frames[0], line.frames[3], "the same hello");
    assert!(
        *setup.kicks.borrow() > 1_000,
        "the watchdog is kept quiet while waiting"
    );
}

#[test]
fn a_silent_host_is_given_up_in_time_and_reported() {
    let record = record(1);
    let (setup, mut node) = node(&record, Source::default(), Box::new(|_, _| Vec::new()));
    let (failure, wait_ms) = node.attempt().unwrap_err();
    assert_eq!(failure, Failure::NoAnswer);
    assert!((1_000..=1_250).contains(&wait_ms), "{wait_ms}");
    assert_eq!(troubles(&setup), [TroubleCode::NO_ANSWER]);
}

#[test]
fn a_verifier_that_falls_silent_in_the_middle_is_given_up_in_time() {
    let record = record(1);
    let mut inner = granting(b"");
    let mut heard = 0;
    let stops = move |kind, body: &[u8]| {
        heard += 1;
        if heard > 1 {
            Vec::new()
        } else {
            inner(kind, body)
        }
    };
    let (_, mut node) = node(&record, Source::default(), Box::new(stops));
    assert_eq!(node.login(), Err(Failure::NoAnswer));
}

#[test]
fn a_wrong_key_is_reported_as_such_and_not_as_silence() {
    let record = record(2);
    let (setup, mut node) = node(&record, Source::default(), granting(b""));
    assert_eq!(node.attempt().unwrap_err().0, Failure::UntrustedVerifier);
    assert_eq!(troubles(&setup), [TroubleCode::UNTRUSTED_VERIFIER]);
}

#[test]
fn the_wait_doubles_up_to_its_limit_and_starts_again_after_a_success() {
    let record = record(1);
    let fail = Some(EvidenceError::new(TroubleCode::TPM_ABSENT));
    let (setup, mut node) = node(
        &record,
        Source {
            fail,
            ..Source::default()
        },
        granting(b""),
    );
    let waits: Vec<u32> = (0..9).map(|_| node.attempt().unwrap_err().1).collect();
    for (n, wait) in waits.iter().enumerate() {
        let base = (1_000u32 << n).min(60_000);
        assert!(
            (base..=base + base / 4).contains(wait),
            "attempt {n}: {wait}"
        );
    }
    assert!(
        troubles(&setup)
            .iter()
            .all(|code| *code == TroubleCode::TPM_ABSENT)
    );
    node.source_mut().fail = None;
    assert!(node.attempt().is_ok());
    node.source_mut().fail = Some(EvidenceError::new(TroubleCode::TPM_ABSENT));
    assert!(node.attempt().unwrap_err().1 <= 1_250);
}

#[test]
fn a_denial_may_ask_for_a_longer_wait_but_not_for_ever() {
    let record = record(1);
    for (asked_s, at_least, at_most) in [
        (0, 1_000, 1_250),
        (30, 30_000, 37_500),
        (u32::MAX, 900_000, 1_125_000),
    ] {
        let denied = Denied {
            code: DenyCode::OVERLOADED,
            reason: "",
            retry_after_s: asked_s,
        };
        let answer = frame(&message(&VerifierMessage::Denied(denied)));
        let (setup, mut node) = node(
            &record,
            Source::default(),
            Box::new(move |_, _| answer.clone()),
        );
        let wait_ms = node.attempt().unwrap_err().1;
        assert!(
            (at_least..=at_most).contains(&wait_ms),
            "{asked_s} s: {wait_ms} ms"
        );
        assert!(
            troubles(&setup).is_empty(),
            "the verifier knows that it denied"
        );
    }
}

#[test]
fn a_node_without_a_record_says_so_and_touches_no_tpm() {
    let (setup, mut node) = node(&[0xFF; 64], Source::default(), granting(b""));
    assert!(node.attempt().is_err());
    assert_eq!(troubles(&setup), [TroubleCode::NOT_PROVISIONED]);
    assert_eq!(node.source_mut().begun, 0);
}

#[test]
fn the_source_is_cleaned_up_however_a_login_ends() {
    let record = record(1);
    let (_, mut failing) = node(&record, Source::default(), Box::new(|_, _| Vec::new()));
    assert!(failing.login().is_err());
    assert_eq!(
        (failing.source_mut().begun, failing.source_mut().ended),
        (1, 1)
    );
    let (_, mut granted) = node(&record, Source::default(), granting(b""));
    assert!(granted.login().is_ok());
    assert_eq!(
        (granted.source_mut().begun, granted.source_mut().ended),
        (1, 1)
    );
}
