//! A serial line in memory: what the agent writes goes frame by frame to a peer, what the peer answers comes back.
//!
//! Two ways to disturb it: [`Noise`] changes bytes, a [`Meddler`] whole frames. A meddler is an attacker on the line:
//! it may drop, repeat, change, delay and make up frames in both directions.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use assay_common::protocol::{FrameDecoder, FrameError, FrameKind, MAX_AGENT_PACKET, write_frame};
use assay_spi_tpm::clock::VirtualClock;
use embedded_io::{ErrorType, Read, ReadReady, Write};

/// The other end of a line.
pub trait Peer {
    /// Takes a frame; returns messages to send back.
    fn frame(&mut self, kind: FrameKind, body: &[u8]) -> Vec<Vec<u8>>;

    /// Hears that a frame arrived damaged.
    fn damaged(&mut self, _error: FrameError) {}
}

/// Changes bytes on their way. `to_agent` tells the direction.
pub type Noise = Box<dyn FnMut(bool, &mut Vec<u8>)>;

/// Whom a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// The agent.
    Agent,
    /// The verifier.
    Verifier,
}

/// A frame on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whom it is for.
    pub toward: Toward,
    /// What it carries.
    pub kind: FrameKind,
    /// Its body.
    pub body: Vec<u8>,
    /// How long the line keeps it. Frames for the verifier are never kept.
    pub delay: Duration,
}

impl Frame {
    /// A message that is not delayed.
    #[must_use]
    pub const fn message(toward: Toward, body: Vec<u8>) -> Self {
        Self {
            toward,
            kind: FrameKind::MESSAGE,
            body,
            delay: Duration::ZERO,
        }
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Its bytes on the line.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.body.len().saturating_add(16));
        let written = write_frame::<Infallible>(self.kind, &self.body, &mut |part| {
            wire.extend_from_slice(part);
            Ok(())
        });
        written.unwrap_or_else(|never| match never {});
        wire
    }
}

/// Sees every whole frame and says what goes on in its place.
pub type Meddler = Box<dyn FnMut(Frame) -> Vec<Frame>>;

struct Shared<P> {
    to_agent: VecDeque<u8>,
    /// What the line keeps for the agent, and until when, in nanoseconds.
    kept: Vec<(u64, Vec<u8>)>,
    decoder: FrameDecoder<MAX_AGENT_PACKET>,
    peer: P,
    clock: VirtualClock,
    noise: Option<Noise>,
    meddler: Option<Meddler>,
    bytes: u64,
}

impl<P: Peer> Shared<P> {
    /// What the meddler makes of a frame.
    fn meddle(&mut self, frame: Frame) -> Vec<Frame> {
        match &mut self.meddler {
            Some(meddler) => meddler(frame),
            None => vec![frame],
        }
    }

    /// Passes frames on; those for the verifier may call forth others.
    fn pass(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            match frame.toward {
                Toward::Agent => self.deliver(&frame),
                Toward::Verifier => {
                    for answer in self.peer.frame(frame.kind, &frame.body) {
                        let answers = self.meddle(Frame::message(Toward::Agent, answer));
                        answers.iter().for_each(|answer| self.deliver(answer));
                    }
                }
            }
        }
    }

    fn deliver(&mut self, frame: &Frame) {
        let mut wire = frame.wire();
        if let Some(noise) = &mut self.noise {
            noise(true, &mut wire);
        }
        self.bytes = self.bytes.saturating_add(wire.len() as u64);
        if frame.delay.is_zero() {
            self.to_agent.extend(wire);
        } else {
            let delay = u64::try_from(frame.delay.as_nanos()).unwrap_or(u64::MAX);
            self.kept
                .push((self.clock.now_ns().saturating_add(delay), wire));
        }
    }

    /// Delivers what was kept long enough.
    fn release(&mut self) {
        let now = self.clock.now_ns();
        for (_, wire) in self.kept.extract_if(.., |(until, _)| *until <= now) {
            self.to_agent.extend(wire);
        }
    }
}

/// The agent's end. Clones share the line.
pub struct Line<P>(Rc<RefCell<Shared<P>>>);

impl<P> Clone for Line<P> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<P: Peer> Line<P> {
    /// A quiet line to `peer`, on which no time passes.
    pub fn new(peer: P) -> Self {
        Self::timed(peer, VirtualClock::new())
    }

    /// A quiet line to `peer` that keeps delayed frames by `clock`.
    pub fn timed(peer: P, clock: VirtualClock) -> Self {
        Self(Rc::new(RefCell::new(Shared {
            to_agent: VecDeque::new(),
            kept: Vec::new(),
            decoder: FrameDecoder::new(),
            peer,
            clock,
            noise: None,
            meddler: None,
            bytes: 0,
        })))
    }

    /// Disturbs the line from now on.
    pub fn disturb(&self, noise: Noise) {
        self.0.borrow_mut().noise = Some(noise);
    }

    /// Puts somebody on the line.
    pub fn meddle(&self, meddler: Meddler) {
        self.0.borrow_mut().meddler = Some(meddler);
    }

    /// Ends all disturbance. What is on its way stays there.
    pub fn calm(&self) {
        let line = &mut *self.0.borrow_mut();
        line.noise = None;
        line.meddler = None;
    }

    /// Sends bytes to the agent, now, whatever they are.
    pub fn inject(&self, bytes: &[u8]) {
        self.0.borrow_mut().to_agent.extend(bytes);
    }

    /// Works on the peer.
    pub fn with_peer<R>(&self, work: impl FnOnce(&mut P) -> R) -> R {
        work(&mut self.0.borrow_mut().peer)
    }

    /// Bytes in both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.borrow().bytes
    }
}

impl<P> ErrorType for Line<P> {
    type Error = Infallible;
}

impl<P: Peer> Read for Line<P> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
        let line = &mut *self.0.borrow_mut();
        let mut read = 0;
        for slot in out {
            let Some(byte) = line.to_agent.pop_front() else {
                break;
            };
            *slot = byte;
            read += 1;
        }
        Ok(read)
    }
}

impl<P: Peer> ReadReady for Line<P> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        let line = &mut *self.0.borrow_mut();
        line.release();
        Ok(!line.to_agent.is_empty())
    }
}

impl<P: Peer> Write for Line<P> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let line = &mut *self.0.borrow_mut();
        let mut sent = bytes.to_vec();
        if let Some(noise) = &mut line.noise {
            noise(false, &mut sent);
        }
        line.bytes = line.bytes.saturating_add(sent.len() as u64);
        for byte in sent {
            match line.decoder.push(byte) {
                None => {}
                Some(Ok(kind)) => {
                    let body = line.decoder.body().to_vec();
                    let frame = Frame {
                        kind,
                        ..Frame::message(Toward::Verifier, body)
                    };
                    let frames = line.meddle(frame);
                    line.pass(frames);
                }
                Some(Err(error)) => line.peer.damaged(error),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
