//! Chapter 18: what the TPM signs about itself.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{MAX_BANKS, PcrSelection};

use super::call::{AUTH, AUTH_AREA, HANDLE, HEADER, Op, end};
use super::pcr::put_selections;
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

static QUOTE: Op = Op::new(0x158, DurationClass::Crypto).authorized(1);

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
        let mut w = self.begin(&QUOTE, &[key, Handle::PW]);
        w.tpm2b(qualifying_data);
        w.u16(AlgId::NULL.0);
        put_selections(selections, &mut w);
        let command = end(w);
        self.run(command).ok()?;
        self.last_quote()
    }

    /// The quote of the last command again, for a caller that looked at it and let go of it.
    pub(crate) fn last_quote(&self) -> Result<Quote<'_>, TpmError> {
        let mut r = self.last_reply();
        let attest = r.tpm2b(usize::MAX);
        let signature = r.rest();
        if signature.is_empty() {
            r.fail(Malformed::Truncated);
        }
        r.finish()?;
        Ok(Quote { attest, signature })
    }
}
