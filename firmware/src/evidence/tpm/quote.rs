//! `tpm_quote`: PCR values and the quote over them; and the same again when a session is renewed.

use assay_common::login::quote_nonce;
use assay_common::method::tpm_quote::{LOG_BLOB, LOG_SINCE, MAX_BANKS, QuoteRequest};
use assay_common::protocol::{BlobRef, MAX_CHUNK, MessageWriter, TroubleCode, WriteFields, read};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};

use sha2::{Digest, Sha256};

use super::{ProofError, TpmEvidence};
use crate::evidence::{EvidenceError, Request};
use crate::keys::quote;
use crate::link::BlobSink;
use crate::tpm::TpmTransport;

/// What was last asked to be quoted, in this order.
pub(super) type Selections = heapless::Vec<PcrSelection, MAX_BANKS>;

impl<T: TpmTransport> TpmEvidence<T> {
    /// Quotes what the verifier asks for, bound to this login, and writes a `QuotePayload`, or from protocol version 3 on a
    /// `MeasuredQuote`, whose log goes ahead.
    pub(super) fn quote(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let wanted: QuoteRequest =
            read(request.payload).map_err(|_| ProofError::new(TroubleCode::PROTOCOL))?;
        self.selections.clear();
        for bank in &wanted.banks {
            let selection = PcrSelection {
                bank: AlgId(bank.bank),
                mask: PcrMask(bank.pcrs),
            };
            // A bank of unknown digest length is one this agent cannot read out either.
            if selection.bank.digest_len().is_none() {
                return Err(ProofError::Other(EvidenceError {
                    detail: bank.bank.into(),
                    ..EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST)
                }));
            }
            // The request has no more banks than this.
            let _ = self.selections.push(selection);
        }
        // Never what the verifier alone chose: the agent's own nonce is in the transcript.
        self.quote_selected(&quote_nonce(request.transcript), out)?;
        // Still the last response. A message that is too long has no quote, and is never sent.
        #[cfg(feature = "secure-bus")]
        if let Ok(quote) = self.tpm.last_attested() {
            self.quoted = Sha256::digest(quote.attest).into();
        }
        let log = self.boot.as_ref().and_then(|own| own.boot.log());
        if let Some(log) = log.filter(|_| request.version >= LOG_SINCE) {
            send(log, blobs)?.write_fields(out);
        }
        Ok(())
    }

    /// Quotes what was asked for last, with this `qualifyingData`, and writes a `QuotePayload`.
    pub(super) fn quote_selected(
        &mut self,
        nonce: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let Some(ak) = &self.ak else {
            return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        let digests = self.selections.iter().map(|selection| {
            let digest = selection.bank.digest_len().unwrap_or_default();
            digest * selection.mask.0.count_ones() as usize
        });
        let room = digests.sum();
        let field = out.begin();
        let Some(values) = out.spare(room) else {
            // The message is too long, which its end reports.
            return Ok(());
        };
        let values = quote(&mut self.tpm, ak, nonce, &self.selections, values)?
            .values
            .len();
        out.advance(values);
        out.end(field);
        // The response is still in its buffer: nothing was sent since.
        let quote = self.tpm.last_attested()?;
        out.bytes(quote.attest);
        out.bytes(quote.signature);
        Ok(())
    }
}

/// Sends an event log ahead of the message that names it.
fn send(log: &[u8], blobs: &mut dyn BlobSink) -> Result<BlobRef, ProofError> {
    let mut offset = 0;
    for piece in log.chunks(MAX_CHUNK) {
        let sent = blobs.chunk(LOG_BLOB, offset, piece);
        sent.map_err(|_| ProofError::new(TroubleCode::LINK))?;
        offset += piece.len() as u32;
    }
    Ok(BlobRef {
        blob: LOG_BLOB,
        len: offset,
        sha256: Sha256::digest(log).into(),
    })
}
