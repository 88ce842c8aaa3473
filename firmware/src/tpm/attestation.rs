//! Chapter 18: what the TPM signs about itself.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{MAX_BANKS, PcrSelection, PcrSelections};

use super::call::{AUTH, AUTH_AREA, Auth, HANDLE, HEADER, Op};
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

const QUOTE: Op = Op::new(0x158, DurationClass::Crypto);

/// Longest `qualifyingData`: a `TPMT_HA` with SHA-512.
const MAX_QUALIFYING: usize = 66;

const _: () = assert!(
    HEADER + HANDLE + AUTH_AREA + AUTH + (2 + MAX_QUALIFYING) + 2 + 4 + MAX_BANKS * 6
        <= COMMAND_MAX
);

/// A quote as the TPM made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote<'a> {
    /// `TPMS_ATTEST`, without length.
    pub attest: &'a [u8],
    /// `TPMT_SIGNATURE`.
    pub signature: &'a [u8],
}

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_Quote` (18.4) by a restricted signing key with an empty password, in the key's own
    /// scheme.
    ///
    /// # Errors
    /// [`TpmError::Lost`] when the key isn't loaded any more.
    pub fn quote(
        &mut self,
        key: Handle,
        qualifying_data: &[u8],
        selections: &[PcrSelection],
    ) -> Result<Quote<'_>, TpmError> {
        self.call(QUOTE, &[key], &[Auth::Empty], &|w| {
            w.tpm2b(qualifying_data);
            w.u16(AlgId::NULL.0);
            PcrSelections::encode(selections, w);
        })?;
        self.last_quote()
    }

    /// The quote of the last command again, for a caller that looked at it and let go of it.
    pub(crate) fn last_quote(&self) -> Result<Quote<'_>, TpmError> {
        let mut reply = self.last_reply(QUOTE, 1)?;
        let attest = reply.params.tpm2b()?;
        let signature = reply.params.rest();
        if signature.is_empty() {
            return Err(Malformed::Truncated.into());
        }
        Ok(Quote { attest, signature })
    }
}
