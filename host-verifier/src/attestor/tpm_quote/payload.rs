//! The agent's bytes and the request they answer, read once.

use assay_common::{
    method::tpm_quote::{BankRequest, QuotePayload, QuoteRequest},
    protocol::{BlobRef, MAX_VERIFIER_MESSAGE},
    tpm::{
        alg::AlgId,
        pcr::{PcrMask, PcrSelection},
    },
};

/// Reads the answer of a login: a [`QuotePayload`], and the event log that a node names behind it. `None` when it is neither
/// with a log nor without one, whole.
#[must_use]
pub fn parse(payload: &[u8]) -> Option<(QuotePayload<'_>, Option<BlobRef>)> {
    QuotePayload::decode_any(payload).ok()
}

/// Reads a [`QuotePayload`], as a renewal has it; nothing may follow it. `None` when it is not one whole message.
#[must_use]
pub fn parse_bare(payload: &[u8]) -> Option<QuotePayload<'_>> {
    match postcard::take_from_bytes(payload) {
        Ok((payload, [])) => Some(payload),
        _ => None,
    }
}

/// Reads back a request that [`encode_request`] wrote. `None` when it is not one.
#[must_use]
pub fn parse_request(request: &[u8]) -> Option<Vec<PcrSelection>> {
    let (request, []) = postcard::take_from_bytes::<QuoteRequest>(request).ok()? else {
        return None;
    };
    let banks = request.banks.iter();
    Some(
        banks
            .map(|bank| PcrSelection::new(AlgId(bank.bank), PcrMask(bank.pcrs)))
            .collect(),
    )
}

/// Writes a request. `None` when it asks for more banks than one quote has.
#[must_use]
pub fn encode_request(selection: &[PcrSelection]) -> Option<Vec<u8>> {
    let mut request = QuoteRequest {
        banks: Default::default(),
    };
    for bank in selection {
        request
            .banks
            .push(BankRequest {
                bank: bank.bank.0,
                pcrs: bank.mask.0,
            })
            .ok()?;
    }
    let mut buffer = [0; MAX_VERIFIER_MESSAGE];
    let written = postcard::to_slice(&request, &mut buffer).ok()?;
    Some(written.to_vec())
}

/// Adds `wish` to a request: one quote serves several policies.
pub fn fold(so_far: &mut Vec<PcrSelection>, wish: PcrSelection) {
    match so_far.iter_mut().find(|bank| bank.bank == wish.bank) {
        Some(bank) => bank.mask = PcrMask(bank.mask.0 | wish.mask.0),
        None => so_far.push(wish),
    }
}
