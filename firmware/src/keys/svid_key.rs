//! The node's SVID key: made in the TPM for one session, certified by the AK, never anywhere else.
//!
//! # Why a primary of the null hierarchy
//!
//! A child would need a storage parent, which takes a place of the three that the smallest chips have, or a persistent
//! one, which takes NV and the owner's authorization; a primary of the owner hierarchy needs that authorization too, and
//! on a node that somebody else provisioned it is set. The null hierarchy has none that could be set
//! (`[TPM2.0 1.85 Part 1]` 13.2), so the key works on every chip. Its seed is new after every reset of the TPM, so
//! no SVID key outlives the boot that was attested with it.
//!
//! # Why a new key for every login
//!
//! `unique` in the template carries 32 bytes that are new in every login, and so the TPM derives another key each time:
//! certificates of two sessions have nothing in common, and a key that leaked from a faulty chip is worth one session. It
//! costs nothing more than the same key again would, since a TPM keeps the seeds of its primaries and not the keys. On
//! chips that have RSA only each search for primes takes seconds, sometimes half a minute; a renewal keeps the key and
//! makes none.

use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::{EkTemplate, SVID_KEY_P256_HEAD, SVID_KEY_RSA2048_HEAD};

use super::{KeyError, PublicSink, is_unsupported};
use crate::tpm::{Tpm, TpmError, TpmTransport};

/// Kinds of SVID key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SvidKeyTemplate {
    /// ECDSA over P-256 with SHA-256.
    P256,
    /// RSA, 2,048 bits: for chips without P-256.
    Rsa2048,
}

impl SvidKeyTemplate {
    /// The kind with this number in an [`SvidKeyRequest`]; `None` for one that is not known here.
    #[must_use]
    pub const fn from_algorithm(number: u8) -> Option<Self> {
        match number {
            SvidKeyRequest::ECDSA_P256 => Some(Self::P256),
            SvidKeyRequest::RSA_2048 => Some(Self::Rsa2048),
            _ => None,
        }
    }

    /// The template up to `unique`.
    pub(super) const fn head(self) -> &'static [u8; 20] {
        match self {
            Self::P256 => &SVID_KEY_P256_HEAD,
            Self::Rsa2048 => &SVID_KEY_RSA2048_HEAD,
        }
    }

    /// The EK template whose `unique` has the same form, with a nonce in front: chips are sure to take that.
    const fn like(self) -> EkTemplate {
        match self {
            Self::P256 => EkTemplate::L2,
            Self::Rsa2048 => EkTemplate::L1,
        }
    }

    /// Scheme and hash of the signature over a CSR.
    pub(super) const fn csr_scheme(self) -> [AlgId; 2] {
        match self {
            Self::P256 => [AlgId::ECDSA, AlgId::SHA256],
            Self::Rsa2048 => [AlgId::RSASSA, AlgId::SHA256],
        }
    }
}

/// An SVID key, loaded in the TPM.
#[derive(Debug)]
pub struct SvidKey {
    template: SvidKeyTemplate,
    handle: Handle,
}

impl SvidKey {
    /// Creates the first of `algorithms` that the TPM can do; `public` is given its `TPMT_PUBLIC` as the TPM returned it.
    /// The numbers are those of an [`SvidKeyRequest`]; unknown ones are passed over. `distinct` makes it another key than
    /// any before it. It stays loaded until [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`KeyError::NoTemplate`] when none of them works.
    pub fn create<T: TpmTransport>(
        tpm: &mut Tpm<T>,
        algorithms: &[u8],
        distinct: &[u8; 32],
        public: PublicSink<'_>,
    ) -> Result<Self, KeyError> {
        for template in algorithms
            .iter()
            .filter_map(|number| SvidKeyTemplate::from_algorithm(*number))
        {
            let like = template.like();
            // 32 bytes fit both forms.
            let Some([_, nonce, zeros]) = like.with_nonce(distinct) else {
                continue;
            };
            let len = like.unique().get(..2).unwrap_or_default();
            let parts = [template.head().as_slice(), len, nonce, zeros];
            match tpm.create_primary(Handle::NULL, &parts) {
                Ok(created) => {
                    public(created.public);
                    let handle = created.handle;
                    return Ok(Self { template, handle });
                }
                Err(error) if is_unsupported(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyError::NoTemplate)
    }

    /// The template it was made from.
    pub const fn template(&self) -> SvidKeyTemplate {
        self.template
    }

    /// Its handle.
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Signs the SHA-256 digest of whatever the SVID's holder must prove: ECDSA, or RSASSA-PSS for an RSA key, as TLS 1.3
    /// wants it. Returns the `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// As [`Tpm::sign`].
    pub fn sign<'t, T: TpmTransport>(
        &self,
        tpm: &'t mut Tpm<T>,
        digest: &[u8; 32],
    ) -> Result<&'t [u8], TpmError> {
        let scheme = match self.template {
            SvidKeyTemplate::P256 => AlgId::ECDSA,
            SvidKeyTemplate::Rsa2048 => AlgId::RSAPSS,
        };
        tpm.sign(self.handle, digest, [scheme, AlgId::SHA256])
    }

    /// Unloads it; it cannot be made again.
    ///
    /// # Errors
    /// As [`Tpm::flush`].
    pub fn flush<T: TpmTransport>(self, tpm: &mut Tpm<T>) -> Result<(), TpmError> {
        tpm.flush(self.handle)
    }
}
