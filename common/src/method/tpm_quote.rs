//! `tpm_quote`: what the node booted, by PCR values under the AK that `tpm_ek` binds in the same login.
//!
//! Round 1: the verifier sends [`QuoteRequest`], the agent answers with [`QuotePayload`]. The quote's
//! `qualifyingData` is [`crate::login::quote_nonce`] of the transcript.

use serde::{Deserialize, Serialize};

use crate::protocol::{MessageReader, ReadFields};

/// Most banks in one quote.
pub const MAX_BANKS: usize = 4;

/// PCRs of one bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BankRequest {
    /// The bank's TPM_ALG_ID.
    pub bank: u16,
    /// Bit n stands for PCR n, n below 24.
    pub pcrs: u32,
}

/// Which PCRs to quote: exactly these, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteRequest {
    /// One entry per bank.
    pub banks: heapless::Vec<BankRequest, MAX_BANKS>,
}

/// The quote and the values it speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotePayload<'a> {
    /// The selected PCRs' values one after the other, in the order of the selection, ascending within a bank. First,
    /// so that a node can read them straight into its send buffer, before the quote that must agree with them.
    pub pcr_values: &'a [u8],
    /// TPMS_ATTEST as the TPM returned it.
    pub attest: &'a [u8],
    /// TPMT_SIGNATURE as the TPM returned it.
    pub signature: &'a [u8],
}

impl ReadFields<'_> for QuoteRequest {
    fn read_fields(r: &mut MessageReader<'_>) -> Self {
        let mut banks = heapless::Vec::new();
        for _ in 0..r.len(MAX_BANKS) {
            let (bank, pcrs) = (r.u16(), r.u32());
            // The length was checked against the same limit.
            let _ = banks.push(BankRequest { bank, pcrs });
        }
        Self { banks }
    }
}
