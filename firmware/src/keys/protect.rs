//! The beginning of a guarded bus: the EK, the Name it must have, and the session with its owner.

use super::{Ek, EkIndices, KeyError};
use crate::crypto::hash::Hash;
use crate::tpm::{PublicHead, Tpm, TpmError, TpmTransport};
use assay_common::tpm::public::templates::EkTemplate;

/// Longest public area of an EK that a session can be salted to: RSA-2048 with a SHA-384 policy.
const MAX_PUBLIC: usize = 336;

/// Makes the EK, checks it against the Name that the node was provisioned with, and starts the session that guards all that
/// follows ([`Tpm::protect`]). Nothing else is asked of the TPM before but which NV indices it has and what is in those that
/// its EK is made from.
///
/// Without a Name, `pinned` is empty, the session is with whoever answered: a TPM, or somebody who was between processor and
/// TPM from the start. The verifier judges the EK that it is shown in either case.
///
/// # Errors
/// [`KeyError::OtherEk`] for another EK than the pinned one; as [`Ek::create`] and [`Tpm::protect`].
#[inline(never)]
pub fn protect<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    pinned: &[u8],
) -> Result<(Ek, EkIndices), KeyError> {
    let indices = EkIndices::read(tpm)?;
    let mut public = heapless::Vec::<u8, MAX_PUBLIC>::new();
    let ek = Ek::create(tpm, &indices, &EkTemplate::ALL, &mut |area| {
        public.clear();
        // One that does not fit is none that a session can be salted to, and so is an empty one.
        let _ = public.extend_from_slice(area);
    })?;
    let result = check(&public, pinned).and_then(|()| Ok(tpm.protect(ek.handle(), &public)?));
    match result {
        Ok(()) => Ok((ek, indices)),
        Err(error) => {
            tpm.clean_up(ek.handle());
            Err(error)
        }
    }
}

/// Whether a public area has the pinned Name.
fn check(public: &[u8], pinned: &[u8]) -> Result<(), KeyError> {
    if pinned.is_empty() {
        return Ok(());
    }
    let head = PublicHead::read(public)?;
    let hash = Hash::of(head.name_alg).ok_or(TpmError::NoSession)?;
    let name = pinned.split_first_chunk::<2>();
    let is_it = name.is_some_and(|(alg, digest)| {
        *alg == head.name_alg.0.to_be_bytes() && hash.digest(&[public]).is(digest)
    });
    if is_it {
        Ok(())
    } else {
        Err(KeyError::OtherEk)
    }
}
