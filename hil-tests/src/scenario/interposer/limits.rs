//! What sessions cannot do: a node that has nothing which the attacker does not have can be worked out by him.

use std::collections::VecDeque;

use anyhow::{Result, anyhow};
use assay_common::protocol::FrameKind;
use assay_spi_tpm::clock::VirtualClock;

use assay_spi_tpm::{BackendError, TpmBackend};

use super::bench::{Bench, GOOD, login, node};
use super::eavesdropper::Eavesdropper;
use crate::scenario::line::{Frame, Toward};
use crate::scenario::loopback::Guards;

/// A TPM out of a recording: gives each response to the command that it was given to, in order, and to no other.
struct Recorded(VecDeque<(Vec<u8>, Vec<u8>)>);

impl TpmBackend for Recorded {
    fn execute(&mut self, command: &[u8], _locality: u8) -> Result<Vec<u8>, BackendError> {
        match self.0.pop_front() {
            Some((expected, response)) if expected == command => Ok(response),
            _ => Err(BackendError::Script("another command".to_owned())),
        }
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Whether a twin of the node, run by somebody who has listened to its bus and its line, comes to the same session, and so
/// to its keys.
///
/// The twin has the node's record but for the secret in it, and no noise: what its owner can read and guess. It is run on
/// the recording; with the first byte that it says differently it is on its own, and gets no answer.
///
/// # Errors
///
/// Failures of the bench, and a node that does not log in.
pub fn twin_has_session(bench: &mut Bench, guards: &Guards) -> Result<bool> {
    let (loopback, journal) = bench.power_on(Box::new(|turn| turn.pass()), Some(guards))?;
    let ear = Eavesdropper::on(&loopback.line, loopback.tpm.with(|model| model.clock()));
    let granted = login(&mut node(&loopback)?, GOOD);
    granted.map_err(|failure| anyhow!("the node does not log in: {failure}"))?;

    let exchanges = journal.snapshot().exchanges.into_iter();
    let tpm = Recorded(exchanges.map(|one| (one.command, one.response)).collect());
    let known = Guards {
        // The twin need not hold to a pin, and a node with a pin and nothing of its own does not log in.
        ek_name: Vec::new(),
        secret: Vec::new(),
        has_noise: false,
        ..guards.clone()
    };
    let twin = bench.loopback(tpm, VirtualClock::new(), Some(&known))?;
    let mut said = VecDeque::from(ear.to_agent());
    twin.line.meddle(Box::new(move |frame| {
        let asks = frame.toward == Toward::Verifier && frame.kind == FrameKind::MESSAGE;
        let answer = asks.then(|| said.pop_front()).flatten();
        let answer = answer.map(|body| Frame::message(Toward::Agent, body));
        answer.into_iter().collect()
    }));
    Ok(login(&mut node(&twin)?, GOOD).is_ok())
}
