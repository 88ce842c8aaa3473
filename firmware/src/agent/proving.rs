//! The verifier has asked; the agent collects what it asks for.

use assay_common::login::{Direction, Transcript};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, Challenge, Item, MessageWriter, TroubleCode};

use super::waiting::{Keys, Waiting};
use super::{Failure, ProtocolError};
use crate::evidence::{EvidenceError, EvidenceSource, Request};
use crate::link::BlobSink;

/// An authentic challenge, not answered yet.
#[derive(Debug)]
pub struct Proving<'w, 'p, 'm> {
    waiting: &'w mut Waiting<'p>,
    transcript: Transcript,
    challenge: Challenge<'m>,
}

impl<'w, 'p, 'm> Proving<'w, 'p, 'm> {
    pub(super) const fn new(
        waiting: &'w mut Waiting<'p>,
        transcript: Transcript,
        challenge: Challenge<'m>,
    ) -> Self {
        Self {
            waiting,
            transcript,
            challenge,
        }
    }

    /// The challenge's round.
    #[must_use]
    pub const fn round(&self) -> u8 {
        self.challenge.round
    }

    const fn request<'a>(&'a self, item: &Item<'a>) -> Request<'a> {
        Request {
            kind: item.kind,
            version: self.challenge.version,
            round: self.challenge.round,
            payload: item.payload,
            transcript: &self.transcript,
        }
    }

    #[cfg(feature = "host")]
    fn requests(&self) -> impl Iterator<Item = Request<'_>> {
        self.challenge.items.iter().map(|item| self.request(item))
    }

    /// Collects every proof asked for and writes the answer to `out`; long fields go to `blobs` on the way. The agent
    /// then waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Failure::Evidence`] when a proof cannot be made, [`ProtocolError::TooLong`] when they do not fit.
    // Apart from the caller, whose frame lies under the deepest stack of a login: the check of a signature.
    #[inline(never)]
    pub fn prove<'o>(
        self,
        source: &mut dyn EvidenceSource,
        blobs: &mut dyn BlobSink,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Failure> {
        let mut writer = MessageWriter::new(out);
        writer.byte(AgentMessage::PROOFS);
        writer.raw(&self.challenge.login_id);
        writer.byte(self.challenge.round);
        // The number of items stands before the first, so what a host leaves out is known by now. A board answers all.
        #[cfg(feature = "host")]
        let answered = source.answering(&mut self.requests(), blobs)?;
        #[cfg(not(feature = "host"))]
        let count = self.challenge.items.len();
        #[cfg(feature = "host")]
        let count = self
            .requests()
            .filter(|request| answered.contains(request.kind))
            .count();
        writer.number(count as u32);
        let mut keys = Keys::default();
        for item in &self.challenge.items {
            if !source.kinds().contains(item.kind) {
                let code = TroubleCode::UNSUPPORTED_REQUEST;
                return Err(EvidenceError {
                    code,
                    detail: item.kind.0.into(),
                    command: 0,
                }
                .into());
            }
            #[cfg(feature = "host")]
            if !answered.contains(item.kind) {
                continue;
            }
            let request = self.request(item);
            writer.byte(item.kind.0);
            let field = writer.begin();
            let opened = source.prove(&request, blobs, &mut writer)?;
            let slot = match item.kind {
                AttestorKind::SESSION_KEY => &mut keys.shared,
                #[cfg(feature = "host")]
                AttestorKind::TPM_DEVID => &mut keys.devid,
                _ => &mut keys.activated,
            };
            *slot = opened.or(slot.take());
            writer.end(field);
        }
        let message = writer.finish().map_err(|_| ProtocolError::TooLong)?;
        let transcript = self.transcript.then(Direction::Agent, message);
        self.waiting.sent(transcript, keys);
        Ok(message)
    }
}
