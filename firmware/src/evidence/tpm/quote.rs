//! `tpm_quote`: PCR values and the quote over them.

use assay_common::login::quote_nonce;
use assay_common::method::tpm_quote::{MAX_BANKS, QuoteRequest};
use assay_common::protocol::{MessageWriter, TroubleCode, read};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};

use super::{ProofError, TpmEvidence};
use crate::evidence::{EvidenceError, Request};
use crate::keys::quote;
use crate::tpm::TpmTransport;

impl<T: TpmTransport> TpmEvidence<T> {
    /// Quotes what the verifier asks for, bound to this login, and writes a `QuotePayload`.
    pub(super) fn quote(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let wanted: QuoteRequest =
            read(request.payload).map_err(|_| ProofError::new(TroubleCode::PROTOCOL))?;
        let unsupported = EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST);
        let Some(ak) = &self.ak else {
            return Err(ProofError::Other(unsupported));
        };
        let mut selections = heapless::Vec::<PcrSelection, MAX_BANKS>::new();
        let mut room = 0;
        for bank in &wanted.banks {
            let selection = PcrSelection {
                bank: AlgId(bank.bank),
                mask: PcrMask(bank.pcrs),
            };
            // A bank of unknown digest length is one this agent cannot read out either.
            let Some(digest) = selection.bank.digest_len() else {
                return Err(ProofError::Other(EvidenceError {
                    detail: bank.bank.into(),
                    ..unsupported
                }));
            };
            room += digest * bank.pcrs.count_ones() as usize;
            // The request has no more banks than this.
            let _ = selections.push(selection);
        }

        // Never what the verifier alone chose: the agent's own nonce is in the transcript.
        let nonce = quote_nonce(request.transcript);
        let field = out.begin();
        let Some(values) = out.spare(room) else {
            // The message is too long, which its end reports.
            return Ok(());
        };
        let values = quote(&mut self.tpm, ak, &nonce, &selections, values)?
            .values
            .len();
        out.advance(values);
        out.end(field);
        // The response is still in its buffer: nothing was sent since.
        let quote = self.tpm.last_quote()?;
        out.bytes(quote.attest);
        out.bytes(quote.signature);
        Ok(())
    }
}
