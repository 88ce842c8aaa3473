//! Chapters 18 and 20: what the TPM signs about itself, and what it signs for others.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{MAX_BANKS, PcrSelection};

use super::exchange::{AUTH, AUTH_AREA, HANDLE, HEADER, MAKING_ROOM, MAX_DIGEST};
use super::op::Op;
use super::pcr::put_selections;
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

const QUOTE: Op = Op::new(0x158, DurationClass::Crypto)
    .authorized(1)
    .hiding_its_command();
const CERTIFY: Op = Op::new(0x148, DurationClass::Crypto).authorized(2);
const SIGN: Op = Op::new(0x15D, DurationClass::Crypto).authorized(1);

/// Longest `qualifyingData`: a `TPMT_HA` with SHA-512.
const MAX_QUALIFYING: usize = 66;

const _: () = assert!(
    HEADER + HANDLE + AUTH_AREA + AUTH + (2 + MAX_QUALIFYING) + 2 + 4 + MAX_BANKS * 6
        <= COMMAND_MAX - MAKING_ROOM
);
const _: () = assert!(
    HEADER + 2 * HANDLE + AUTH_AREA + 2 * AUTH + (2 + MAX_QUALIFYING) + 2
        <= COMMAND_MAX - MAKING_ROOM
);
const _: () = assert!(
    HEADER + HANDLE + AUTH_AREA + AUTH + (2 + MAX_DIGEST) + 4 + (2 + 4 + 2)
        <= COMMAND_MAX - MAKING_ROOM
);

/// A `TPMT_TK_HASHCHECK` that says nothing: `TPM_ST_HASHCHECK`, the null hierarchy, no digest. A key that is not
/// restricted needs no more ([TPM2.0 1.85 Part 3] 20.2).
const NO_TICKET: [u8; 8] = [0x80, 0x24, 0x40, 0x00, 0x00, 0x07, 0, 0];

/// What the TPM attests, as it made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attested<'a> {
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
    ) -> Result<Attested<'_>, TpmError> {
        let x = self.begin(QUOTE, &[key, Handle::PW]);
        x.put_tpm2b(qualifying_data);
        x.put_u16(AlgId::NULL.0);
        put_selections(x, selections);
        self.run();
        self.read_attested()
    }

    /// `TPM2_Certify` (18.2) of `object` by a restricted signing key, both with empty passwords, in the key's own
    /// scheme.
    ///
    /// # Errors
    /// [`TpmError::Lost`] when one of them isn't loaded any more.
    pub fn certify(
        &mut self,
        object: Handle,
        key: Handle,
        qualifying_data: &[u8],
    ) -> Result<Attested<'_>, TpmError> {
        let x = self.begin(CERTIFY, &[object, key, Handle::PW, Handle::PW]);
        x.put_tpm2b(qualifying_data);
        x.put_u16(AlgId::NULL.0);
        self.run();
        self.read_attested()
    }

    /// `TPM2_Sign` (20.2) of a digest by a key that is not restricted, with an empty password. `scheme` is the scheme and
    /// its hash, which must be the key's own where it has one. Returns the `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// [`TpmError::Lost`] when the key isn't loaded any more, [`TpmError::Rc`] with base `SCHEME` when it doesn't sign so.
    pub fn sign(
        &mut self,
        key: Handle,
        digest: &[u8],
        scheme: [AlgId; 2],
    ) -> Result<&[u8], TpmError> {
        let x = self.begin(SIGN, &[key, Handle::PW]);
        x.put_tpm2b(digest);
        for part in scheme {
            x.put_u16(part.0);
        }
        x.put(&NO_TICKET);
        self.run();
        let x = &mut self.exchange;
        let signature = x.rest();
        if signature.len() == 0 {
            x.fail(Malformed::Truncated.into());
        }
        self.finish()?;
        Ok(self.exchange.part(signature))
    }

    /// The attestation of the last command again, for a caller that looked at it and let go of it.
    pub(crate) fn last_attested(&mut self) -> Result<Attested<'_>, TpmError> {
        self.exchange.open();
        self.read_attested()
    }

    fn read_attested(&mut self) -> Result<Attested<'_>, TpmError> {
        let x = &mut self.exchange;
        let attest = x.tpm2b(usize::MAX);
        let signature = x.rest();
        if signature.len() == 0 {
            x.fail(Malformed::Truncated.into());
        }
        self.finish()?;
        Ok(Attested {
            attest: self.exchange.part(attest),
            signature: self.exchange.part(signature),
        })
    }
}
