//! What a reset of the TPM changes.

use assay_common::measurement::Witness;
use assay_common::tpm::handle::Handle;

use crate::tpm::{Malformed, Tpm, TpmError, TpmTransport};

/// An HMAC key: the quickest object to make, since no prime is searched for and no point multiplied. Type, name algorithm;
/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, sign; no policy; HMAC with SHA-256; no unique.
const TEMPLATE: [u8; 16] = [
    0x00, 0x08, 0x00, 0x0B, 0x00, 0x04, 0x00, 0x72, 0x00, 0x00, 0x00, 0x05, 0x00, 0x0B, 0x00, 0x00,
];

/// Where a TPM stands between two resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// resetCount.
    pub reset_count: u32,
    /// restartCount: a restart sets PCRs back as well, and leaves the other two.
    pub restart_count: u32,
    /// The null hierarchy's.
    pub witness: Witness,
}

impl At {
    /// Asks the TPM. Needs room for one object, which is gone afterwards.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn read<T: TpmTransport>(tpm: &mut Tpm<T>) -> Result<Self, TpmError> {
        let clock = tpm.read_clock()?.clock_info;
        Ok(Self {
            reset_count: clock.reset_count,
            restart_count: clock.restart_count,
            witness: witness(tpm)?,
        })
    }
}

/// The Name of the null hierarchy's primary by a fixed template.
///
/// # Errors
/// [`TpmError`]; [`Malformed::TooLong`] or [`Malformed::Truncated`] for a Name that is not of SHA-256.
pub fn witness<T: TpmTransport>(tpm: &mut Tpm<T>) -> Result<Witness, TpmError> {
    let created = tpm.create_primary(Handle::NULL, &[&TEMPLATE])?;
    let handle = created.handle;
    let name: Option<[u8; Witness::LEN]> = created.name.try_into().ok();
    tpm.flush(handle)?;
    name.map(Witness).ok_or(Malformed::Truncated.into())
}
