//! `tpm_quote`: what the node booted, by PCR values under the AK that `tpm_ek` binds in the same login.
//!
//! Round 1: the verifier sends [`QuoteRequest`], the agent answers with [`QuotePayload`]. The quote's
//! `qualifyingData` is [`crate::login::quote_nonce`] of the transcript. From protocol version 3 on a node
//! that keeps an event log answers with a [`MeasuredQuote`]: the same, and the log.

use serde::{Deserialize, Serialize};

use crate::protocol::{BlobRef, DecodeError, MAX_BLOBS, MessageReader, ReadFields, decode};

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

/// The first protocol version in which a login's quote may be a [`MeasuredQuote`].
pub const LOG_SINCE: u8 = 3;
/// The number of the blob with the event log. The DevID certificates have the same, and travel with an earlier message: a
/// quote is asked for once the attestation key is there.
pub const LOG_BLOB: u8 = MAX_BLOBS as u8 - 1;

/// A quote, and what explains the values it speaks about (protocol version 3). A node without a log sends a [`QuotePayload`]
/// in any version.
///
/// The quote of a renewal stays a [`QuotePayload`]: its PCRs must have the values of the login's, whose log was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredQuote<'a> {
    /// The quote.
    #[serde(borrow)]
    pub quote: QuotePayload<'a>,
    /// A [`Log`](crate::measurement::Log), sent ahead.
    pub log: BlobRef,
}

impl<'a> QuotePayload<'a> {
    /// Reads a quote, and the log behind it if there is one.
    ///
    /// Which of the two shapes came makes no difference to what is proven: an answer without a log is one without a log, and
    /// whoever could cut it off would break the transcript.
    ///
    /// # Errors
    /// [`DecodeError`], also when anything else follows.
    pub fn decode_any(payload: &'a [u8]) -> Result<(Self, Option<BlobRef>), DecodeError> {
        match decode(payload) {
            Ok(quote) => Ok((quote, None)),
            Err(_) => {
                let measured: MeasuredQuote<'_> = decode(payload)?;
                Ok((measured.quote, Some(measured.log)))
            }
        }
    }
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
