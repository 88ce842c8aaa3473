//! PCR values and a quote that agree.
//!
//! A quote carries only a digest over the PCRs, so the values are read besides. Between reading and
//! quoting a PCR may move; then the digest doesn't fit and both are done again. Whether the quote is
//! worth anything is for the verifier to judge; this only makes sure that it gets matching parts.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::PcrSelection;
use sha2::{Digest, Sha256, Sha384};

use super::{Ak, KeyError};
use crate::fmt::warning;
use crate::tpm::{Attested, Tpm, TpmTransport};

/// Attempts before the PCRs count as never at rest.
const ATTEMPTS: u8 = 4;

/// A quote and the values that it speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgreedQuote<'t, 'v> {
    /// Attestation and signature as the TPM returned them.
    pub quote: Attested<'t>,
    /// The values, one after the other, in selection order, ascending within a bank.
    pub values: &'v [u8],
}

/// Reads the PCRs of `selections` into `values` and has `ak` sign over them and `qualifying_data`.
///
/// `values` takes 32 bytes for each SHA-256 PCR, 48 for SHA-384, 20 for SHA-1.
///
/// # Errors
/// [`KeyError::Disagree`] when the PCRs moved in each of four attempts; [`KeyError::Tpm`] otherwise.
pub fn quote<'t, 'v, T: TpmTransport>(
    tpm: &'t mut Tpm<T>,
    ak: &Ak,
    qualifying_data: &[u8],
    selections: &[PcrSelection],
    values: &'v mut [u8],
) -> Result<AgreedQuote<'t, 'v>, KeyError> {
    for _ in 0..ATTEMPTS {
        let len = tpm.pcr_read(selections, values)?.len;
        let read = values.get(..len).unwrap_or_default();
        let attest = tpm.quote(ak.handle(), qualifying_data, selections)?.attest;
        if ends_with_digest(attest, ak.template().hash(), read)? {
            return Ok(AgreedQuote {
                quote: tpm.last_attested()?,
                values: values.get(..len).unwrap_or_default(),
            });
        }
        warning!("a PCR moved between reading and quoting");
    }
    Err(KeyError::Disagree)
}

/// True when `attest` ends with the `TPM2B_DIGEST` of `values`, as the attestation of a quote does
/// (`[TPM2.0 1.85 Part 2]` 10.12.1, TPMS_QUOTE_INFO: pcrDigest is its last field).
fn ends_with_digest(attest: &[u8], hash: AlgId, values: &[u8]) -> Result<bool, KeyError> {
    let matches = |digest: &[u8]| {
        let head = attest.len().checked_sub(digest.len());
        let parts = head.and_then(|head| attest.split_at_checked(head));
        parts.is_some_and(|(head, tail)| {
            tail == digest && head.ends_with(&(digest.len() as u16).to_be_bytes())
        })
    };
    match hash {
        AlgId::SHA256 => Ok(matches(&Sha256::digest(values))),
        AlgId::SHA384 => Ok(matches(&Sha384::digest(values))),
        _ => Err(KeyError::UnknownHash),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn agreement_is_judged_by_the_last_field() {
        let values = [1; 64];
        let digest = Sha256::digest(values);
        let attest = [&[0xFF, 0x54][..], &[0, 32], &digest].concat();
        assert!(ends_with_digest(&attest, AlgId::SHA256, &values).unwrap());
        assert!(!ends_with_digest(&attest, AlgId::SHA256, &[2; 64]).unwrap());
        let wrong_length = [&[0xFF, 0x54][..], &[0, 33], &digest].concat();
        assert!(!ends_with_digest(&wrong_length, AlgId::SHA256, &values).unwrap());
        assert!(!ends_with_digest(&[], AlgId::SHA256, &values).unwrap());
        let digest = Sha384::digest(values);
        let attest = [&[0, 48][..], &digest].concat();
        assert!(ends_with_digest(&attest, AlgId::SHA384, &values).unwrap());
        assert_eq!(
            ends_with_digest(&attest, AlgId::SM3_256, &values),
            Err(KeyError::UnknownHash)
        );
    }
}
