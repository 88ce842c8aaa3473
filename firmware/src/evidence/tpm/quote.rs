//! `tpm_quote`: PCR values and the quote over them.

use assay_common::login::quote_nonce;
use assay_common::method::tpm_quote::{MAX_BANKS, QuoteRequest};
use assay_common::protocol::{MessageWriter, TroubleCode, decode};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};

use super::TpmEvidence;
use crate::evidence::{EvidenceError, Request};
use crate::keys::quote;
use crate::tpm::TpmTransport;

impl<T: TpmTransport> TpmEvidence<T> {
    /// Quotes what the verifier asks for, bound to this login, and writes a `QuotePayload`.
    pub(super) fn quote(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        let protocol = EvidenceError::new(TroubleCode::PROTOCOL);
        let wanted: QuoteRequest = decode(request.payload).map_err(|_| protocol)?;
        let keys = self
            .keys
            .as_ref()
            .ok_or(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST))?;
        let mut selections = heapless::Vec::<PcrSelection, MAX_BANKS>::new();
        let mut room = 0;
        for bank in &wanted.banks {
            let selection = PcrSelection {
                bank: AlgId(bank.bank),
                mask: PcrMask(bank.pcrs),
            };
            // A bank of unknown digest length is one this agent cannot read out either.
            let digest = selection.bank.digest_len().ok_or(EvidenceError {
                detail: bank.bank.into(),
                ..EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST)
            })?;
            room += digest * bank.pcrs.count_ones() as usize;
            // The request has no more banks than this.
            let _ = selections.push(selection);
        }

        // Never what the verifier alone chose: the agent's own nonce is in the transcript.
        let nonce = quote_nonce(request.transcript);
        let field = out.begin();
        let mut quoted = Ok(());
        let tpm = &mut self.tpm;
        out.fill::<core::convert::Infallible>(room, |values| {
            Ok(match quote(tpm, &keys.ak, &nonce, &selections, values) {
                Ok(agreed) => agreed.values.len(),
                Err(error) => {
                    quoted = Err(error);
                    0
                }
            })
        })
        .unwrap_or_else(|never| match never {});
        quoted.map_err(|error| self.blame(error))?;
        out.end(field);
        // The response is still in its buffer: nothing was sent since.
        let quote = self.tpm.last_quote().map_err(|error| self.blame(error))?;
        out.bytes(quote.attest);
        out.bytes(quote.signature);
        Ok(())
    }
}
