//! What happens on the line between node and verifier: lost, doubled, damaged, reordered, late, replayed and foreign
//! frames. Nothing of it may lead to a wrong session, and when it ends, the node logs in by itself.

mod chunks;
mod frames;
mod replays;
mod silence;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use assay_common::protocol::{
    AgentMessage, Chunk, DenyCode, FrameKind, TroubleCode, decode, encode,
};
use assay_firmware::agent::Failure;
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::scenario::line::{Frame, Meddler, Toward};
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{Loopback, LoopbackNode};
use assay_host_verifier::login::ChallengeKey;
use assay_spi_tpm::Config;
use assay_spi_tpm::chip::Personality;

use crate::loopback::{loopback, tpm};

/// Longest that an attempt takes whatever is on the line: hellos for a minute, and half a minute for each answer.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(200);

/// A chain certificate as well, so that several long fields are on their way.
fn on_a_line<R>(work: impl FnOnce(&mut Loopback) -> R) -> R {
    let recipe = Recipe {
        chain: true,
        ..Recipe::with([EkKind::P256])
    };
    let (folder, tpm) = tpm(&recipe);
    let mut loopback = loopback(&tpm, &folder, Config::chip(Personality::SLB9672), true);
    work(&mut loopback)
}

/// The frames of a clean login, in the order in which they were sent.
fn recorded(loopback: &Loopback, node: &mut LoopbackNode<'_>) -> Vec<Frame> {
    let tape = Rc::new(RefCell::new(Vec::new()));
    let pen = Rc::clone(&tape);
    loopback.line.meddle(Box::new(move |frame| {
        pen.borrow_mut().push(frame.clone());
        vec![frame]
    }));
    let result = node.attempt();
    loopback.line.calm();
    let steps = loopback.line.with_peer(|verifier| verifier.steps.clone());
    result.unwrap_or_else(|failure| panic!("{failure:?}, {steps:?}"));
    tape.take()
}

/// One attempt with `meddler` on the line.
fn meddled(
    loopback: &Loopback,
    node: &mut LoopbackNode<'_>,
    meddler: Meddler,
) -> Result<(), Failure> {
    loopback.line.meddle(meddler);
    let result = attempt(loopback, node);
    loopback.line.calm();
    result
}

/// One attempt. Whatever it ends with, sessions are for this node's EK, and both sides mean the same one.
fn attempt(loopback: &Loopback, node: &mut LoopbackNode<'_>) -> Result<(), Failure> {
    let started = loopback.elapsed();
    let result = node.attempt();
    let took = loopback.elapsed() - started;
    assert!(took < ATTEMPT_LIMIT, "{took:?}");
    loopback.line.with_peer(|verifier| {
        let mut holders: Vec<_> = verifier.nodes().map(|node| node.ek_hash.clone()).collect();
        holders.dedup();
        assert!(holders.len() <= 1, "{holders:?}");
        if let Ok(granted) = &result {
            assert_eq!(
                granted.session_id,
                verifier.last_granted().unwrap().session.id.0
            );
        }
    });
    match result {
        Ok(_) => Ok(()),
        Err((failure, wait_ms)) => {
            loopback.wait(Duration::from_millis(wait_ms.into()));
            Err(failure)
        }
    }
}

/// The node logs in now, or after one more wait: an answer that was on its way may have cost the first attempt.
fn recovers(loopback: &Loopback, node: &mut LoopbackNode<'_>, after: &str) {
    if let Err(first) = attempt(loopback, node) {
        attempt(loopback, node)
            .unwrap_or_else(|failure| panic!("{after}: {first}, then {failure}"));
    }
}

/// A meddler that treats the `n`-th frame of an attempt, from 0, in a way of its own.
fn at(n: usize, treat: impl Fn(Frame) -> Vec<Frame> + 'static) -> Meddler {
    let mut seen = 0;
    Box::new(move |frame| {
        seen += 1;
        if seen == n + 1 {
            treat(frame)
        } else {
            vec![frame]
        }
    })
}

fn is_chunk(frame: &Frame) -> bool {
    frame.kind == FrameKind::CHUNK
}

fn is_proofs(frame: &Frame, round: u8) -> bool {
    frame.toward == Toward::Verifier
        && frame.kind == FrameKind::MESSAGE
        && matches!(decode(&frame.body), Ok(AgentMessage::Proofs(ref proofs)) if proofs.round == round)
}
