//! Chapter 18: what the TPM signs about itself.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{MAX_BANKS, PcrSelection};

use super::exchange::{AUTH, AUTH_AREA, HANDLE, HEADER, MAKING_ROOM};
use super::op::Op;
use super::pcr::put_selections;
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

const QUOTE: Op = Op::new(0x158, DurationClass::Crypto).authorized(1);

/// Longest `qualifyingData`: a `TPMT_HA` with SHA-512.
const MAX_QUALIFYING: usize = 66;

const _: () = assert!(
    HEADER + HANDLE + AUTH_AREA + AUTH + (2 + MAX_QUALIFYING) + 2 + 4 + MAX_BANKS * 6
        <= COMMAND_MAX - MAKING_ROOM
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
        let x = self.begin(QUOTE, &[key, Handle::PW]);
        x.put_tpm2b(qualifying_data);
        x.put_u16(AlgId::NULL.0);
        put_selections(x, selections);
        self.run();
        self.read_quote()
    }

    /// The quote of the last command again, for a caller that looked at it and let go of it.
    pub(crate) fn last_quote(&mut self) -> Result<Quote<'_>, TpmError> {
        self.exchange.open();
        self.read_quote()
    }

    fn read_quote(&mut self) -> Result<Quote<'_>, TpmError> {
        let x = &mut self.exchange;
        let attest = x.tpm2b(usize::MAX);
        let signature = x.rest();
        if signature.len() == 0 {
            x.fail(Malformed::Truncated.into());
        }
        self.finish()?;
        Ok(Quote {
            attest: self.exchange.part(attest),
            signature: self.exchange.part(signature),
        })
    }
}
