//! The TPM's evidence: `tpm_ek` and `tpm_quote`.
//!
//! EK and AK are made when `tpm_ek` is asked for and stay loaded until the login ends, however it ends, so a login
//! needs two of the three object slots that the smallest chips have.

mod errors;
mod identity;
mod quote;

use assay_common::login::LoginKeys;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, TroubleCode};

use super::{EvidenceError, EvidenceSource, Request};
use crate::keys::{Ak, Ek};
use crate::link::BlobSink;
use crate::tpm::{Start, Tpm, TpmTransport};

/// A TPM as a source of evidence.
#[derive(Debug)]
pub struct TpmEvidence<T> {
    tpm: Tpm<T>,
    keys: Option<LoadedKeys>,
    start: Option<Start>,
}

/// The keys of the login under way.
#[derive(Debug)]
struct LoadedKeys {
    ek: Ek,
    ak: Ak,
}

impl<T: TpmTransport> TpmEvidence<T> {
    /// Evidence from the TPM behind `transport`. Sends nothing yet.
    pub fn new(transport: T) -> Self {
        Self {
            tpm: Tpm::new(transport),
            keys: None,
            start: None,
        }
    }

    /// The command layer, for counters and bring-up.
    pub const fn tpm(&mut self) -> &mut Tpm<T> {
        &mut self.tpm
    }

    /// How the TPM was found when the last login began.
    pub const fn start(&self) -> Option<Start> {
        self.start
    }

    /// Says which command an error belongs to.
    fn blame(&self, error: impl Into<EvidenceError>) -> EvidenceError {
        EvidenceError {
            command: self.tpm.last_command(),
            ..error.into()
        }
    }

    fn unload(&mut self) {
        if let Some(LoadedKeys { ek, ak }) = self.keys.take() {
            // A TPM that has lost them already says so; either way they are gone. What a silent TPM keeps is
            // flushed by the next start.
            let _ = ak.flush(&mut self.tpm);
            let _ = ek.flush(&mut self.tpm);
        }
    }
}

impl<T: TpmTransport> EvidenceSource for TpmEvidence<T> {
    fn kinds(&self) -> AttestorSet {
        AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_QUOTE)
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        self.keys = None;
        self.start = Some(self.tpm.start().map_err(|error| self.blame(error))?);
        Ok(())
    }

    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        self.tpm.random(out).map_err(|error| self.blame(error))
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        match (request.kind, request.round) {
            (AttestorKind::TPM_EK, 0) => self.identify(request, blobs, out).map(|()| None),
            (AttestorKind::TPM_EK, _) => self.activate(request, out).map(Some),
            (AttestorKind::TPM_QUOTE, _) => self.quote(request, out).map(|()| None),
            _ => Err(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST)),
        }
    }

    fn end(&mut self) {
        self.unload();
    }
}
