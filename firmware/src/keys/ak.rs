//! Attestation keys: restricted signing primaries of the endorsement hierarchy.
//!
//! A primary of a fixed template is the same key at every boot, so nothing of it is stored. It must be
//! in the endorsement hierarchy: to keys of others the TPM shows reset count and firmware version only
//! obfuscated (`[TPM2.0 1.85 Part 1]` 33.7). It has noDA, since a key without it makes the TPM write to
//! NV, and ask for a repetition, at its first use after each start.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::{AK_P256, AK_RSA2048};

use super::{KeyError, PublicSink, ek, is_unsupported};
use crate::tpm::{Tpm, TpmError, TpmTransport};

/// Kinds of AK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AkTemplate {
    /// ECDSA over P-256 with SHA-256.
    P256,
    /// RSASSA, 2,048 bits, with SHA-256: for chips without P-256.
    Rsa2048,
}

impl AkTemplate {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::P256, Self::Rsa2048];

    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::P256 => &AK_P256,
            Self::Rsa2048 => &AK_RSA2048,
        }
    }

    /// Hash of its signing scheme, which is also the hash over the PCRs in a quote.
    pub const fn hash(self) -> AlgId {
        match self {
            Self::P256 | Self::Rsa2048 => AlgId::SHA256,
        }
    }
}

/// An attestation key, loaded in the TPM.
#[derive(Debug)]
pub struct Ak {
    template: AkTemplate,
    handle: Handle,
}

impl Ak {
    /// Creates the first of `allowed` that the TPM can do; `public` is given its `TPMT_PUBLIC` as the TPM returned it. It
    /// stays loaded until [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`KeyError::NoTemplate`] when none of them works.
    pub fn create<T: TpmTransport>(
        tpm: &mut Tpm<T>,
        allowed: &[AkTemplate],
        public: PublicSink<'_>,
    ) -> Result<Self, KeyError> {
        for &template in allowed {
            match ek::create(tpm, &[template.bytes()], public) {
                Ok(handle) => return Ok(Self { template, handle }),
                Err(KeyError::Tpm(error)) if is_unsupported(error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(KeyError::NoTemplate)
    }

    /// The template it was made from.
    pub const fn template(&self) -> AkTemplate {
        self.template
    }

    /// Its handle.
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Unloads it.
    ///
    /// # Errors
    /// As [`Tpm::flush`].
    pub fn flush<T: TpmTransport>(self, tpm: &mut Tpm<T>) -> Result<(), TpmError> {
        tpm.flush(self.handle)
    }
}
