//! Evidence: one source per group of methods, asked by the agent and by nothing else.
//!
//! A source knows its methods' payloads and where they come from; it knows nothing of states, frames or the
//! order of a login. [`tpm`] is the source for `tpm_ek`, `tpm_quote` and the SVID key.

pub mod tpm;

use assay_common::identity::Pins;
use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, Trouble, TroubleCode};

use crate::link::BlobSink;

/// One method's part of a challenge.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub kind: AttestorKind,
    /// The login's protocol version: which shape the answer has.
    pub version: u8,
    /// The challenge's round: 0 asks for a payload, later rounds ask about it.
    pub round: u8,
    /// The method's own data.
    pub payload: &'a [u8],
    /// The login so far, this challenge included. Whatever is signed is bound to it.
    pub transcript: &'a Transcript,
}

/// Why a source has no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EvidenceError {
    /// The cause, as it is reported.
    pub code: TroubleCode,
    /// A TPM_RC or another number that the code explains.
    pub detail: u32,
    /// The TPM command that was running, 0 for none.
    pub command: u32,
}

impl EvidenceError {
    /// A cause without a number.
    #[must_use]
    pub const fn new(code: TroubleCode) -> Self {
        Self {
            code,
            detail: 0,
            command: 0,
        }
    }

    /// The report for the line.
    #[must_use]
    pub const fn trouble(self, attempt: u32, retry_in_ms: u32) -> Trouble {
        Trouble {
            code: self.code,
            detail: self.detail,
            command: self.command,
            attempt,
            retry_in_ms,
        }
    }
}

impl core::fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{} (detail {:#x}, command {:#x})",
            self.code, self.detail, self.command
        )
    }
}

impl core::error::Error for EvidenceError {}

/// What a node brings to a login that nobody on the bus to its TPM can choose.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// What its record ties it to.
    pub pins: Pins<'a>,
    /// Noise of the board.
    pub noise: &'a [u8],
    /// Numbers that are never all the same again: boots, attempts, microseconds.
    pub counts: [u64; 3],
}

/// A source of proofs.
pub trait EvidenceSource {
    /// The methods it can prove on this node.
    fn kinds(&self) -> AttestorSet;

    /// Takes what the node brings to the login that [`begin`](Self::begin) makes ready for. Thrown away as it is, which is
    /// for sources that talk to nobody over a bus.
    fn prepare(&mut self, own: &Own<'_>) {
        let _ = own;
    }

    /// Makes ready for a login: whatever an earlier one left behind is gone afterwards.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] when the source cannot be used now.
    fn begin(&mut self) -> Result<(), EvidenceError>;

    /// Fills in 32 bytes nobody can foresee.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`]; the bytes are not to be used then.
    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError>;

    /// Which items of a challenge are answered; asked once for each challenge, before anything is written. A verifier takes an
    /// item that is left out for a method that is not proven, and decides by the others: on a host, where methods stand
    /// beside one another, one that is broken need not end the login. A board's stand on one another, and it answers all.
    ///
    /// A source that can tell only by trying has its proofs ready when [`prove`](Self::prove) is called for each of the
    /// answered; long fields go to `blobs` then.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] when nothing is left that a verifier could decide by.
    #[cfg(feature = "host")]
    fn answering(
        &mut self,
        requests: &mut dyn Iterator<Item = Request<'_>>,
        blobs: &mut dyn BlobSink,
    ) -> Result<AttestorSet, EvidenceError> {
        let _ = blobs;
        Ok(requests.map(|request| request.kind).collect())
    }

    /// Appends the method's payload or response to `out`; long fields go to `blobs` first.
    ///
    /// Returns the login's keys when the request was a credential and the source opened it.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`]; what was appended is thrown away with the whole message.
    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError>;

    /// Appends a quote by the kept AK for the renewal of a session: a `tpm_quote` payload over the PCRs that
    /// [`prove`](Self::prove) was asked for last, or over none, with this `qualifyingData`.
    ///
    /// A source without quotes has no renewal, which is what this does as it is.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`]; what was appended is thrown away with the whole message, and the session with it.
    fn renew(
        &mut self,
        qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        let _ = (qualifying_data, out);
        Err(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST))
    }

    /// Ends a login that was granted: what its session needs stays until [`end`](Self::end) or the next
    /// [`begin`](Self::begin). Nothing stays as it is.
    fn keep(&mut self) {
        self.end();
    }

    /// Ends a login or a session, however it went: nothing of it stays in the source.
    fn end(&mut self);
}
