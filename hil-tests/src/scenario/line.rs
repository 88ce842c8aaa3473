//! A serial line in memory: what the agent writes goes frame by frame to a peer, what the peer answers comes back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use assay_common::protocol::{FrameDecoder, FrameError, FrameKind, MAX_AGENT_PACKET, write_frame};
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

struct Shared<P> {
    to_agent: VecDeque<u8>,
    decoder: FrameDecoder<MAX_AGENT_PACKET>,
    peer: P,
    noise: Option<Noise>,
    bytes: u64,
}

/// The agent's end. Clones share the line.
pub struct Line<P>(Rc<RefCell<Shared<P>>>);

impl<P> Clone for Line<P> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<P: Peer> Line<P> {
    /// A quiet line to `peer`.
    pub fn new(peer: P) -> Self {
        Self(Rc::new(RefCell::new(Shared {
            to_agent: VecDeque::new(),
            decoder: FrameDecoder::new(),
            peer,
            noise: None,
            bytes: 0,
        })))
    }

    /// Disturbs the line from now on.
    pub fn disturb(&self, noise: Noise) {
        self.0.borrow_mut().noise = Some(noise);
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
        Ok(!self.0.borrow().to_agent.is_empty())
    }
}

impl<P: Peer> Write for Line<P> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let line = &mut *self.0.borrow_mut();
        let mut sent = bytes.to_vec();
        if let Some(noise) = &mut line.noise {
            noise(false, &mut sent);
        }
        line.bytes += sent.len() as u64;
        for byte in sent {
            let Some(frame) = line.decoder.push(byte) else {
                continue;
            };
            let answers = match frame {
                Ok(kind) => line.peer.frame(kind, line.decoder.body()),
                Err(error) => {
                    line.peer.damaged(error);
                    continue;
                }
            };
            for answer in answers {
                let mut wire = Vec::with_capacity(answer.len() + 16);
                let written = write_frame::<Infallible>(FrameKind::MESSAGE, &answer, &mut |part| {
                    wire.extend_from_slice(part);
                    Ok(())
                });
                written.unwrap_or_else(|never| match never {});
                if let Some(noise) = &mut line.noise {
                    noise(true, &mut wire);
                }
                line.bytes += wire.len() as u64;
                line.to_agent.extend(wire);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
