//! Endorsement keys: which one to use, and how to make it match its certificate.
//!
//! An EK is derived from the chip's seed and a template. The manufacturer's certificate is for one
//! exact template, so the key to create is the one whose certificate index exists. Chips that had a
//! nonce or another template at manufacture say so in two more indices ([EK Profile 2.6] 2.2.1.4).

use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::EkTemplate;

use super::activate::Opening;
use super::{Certificate, KeyError, PublicSink, is_unsupported};
use crate::fmt::{info, warning};
use crate::tpm::{MAX_TEMPLATE, Tpm, TpmError, TpmTransport};

/// Without any certificate: the template that most software creates by default, then the quickest of
/// the others. The verifier can know such an EK only by the hash of its public key.
const WITHOUT_CERTIFICATE: [EkTemplate; 3] = [EkTemplate::L2, EkTemplate::H3, EkTemplate::L1];

/// First NV index of endorsement material.
const FIRST: Handle = Handle(0x01C0_0000);

/// Which NV indices of endorsement material exist, from one capability query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EkIndices {
    /// Bit n: index 01C0_0000 + n, n below 32: certificates, nonces, templates.
    low: u32,
    /// Bit n: chain certificate n.
    chain: [u32; 8],
}

impl EkIndices {
    /// Asks the TPM.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn read<T: TpmTransport>(tpm: &mut Tpm<T>) -> Result<Self, TpmError> {
        let mut indices = Self::default();
        tpm.handles(FIRST, Handle::NV_EK_CHAIN_LAST, &mut |handle| {
            indices.add(handle);
        })?;
        Ok(indices)
    }

    fn add(&mut self, handle: Handle) {
        if let Some(n) = handle.0.checked_sub(Handle::NV_EK_CHAIN_FIRST.0) {
            if let Some(word) = self.chain.get_mut((n / 32) as usize) {
                *word |= 1 << (n % 32);
            }
        } else if let Some(n) = handle.0.checked_sub(FIRST.0)
            && n < 32
        {
            self.low |= 1 << n;
        }
    }

    fn has(&self, handle: Handle) -> bool {
        handle
            .0
            .checked_sub(FIRST.0)
            .is_some_and(|n| n < 32 && self.low & (1 << n) != 0)
    }

    /// True when there is a certificate for `template`.
    pub fn has_certificate(&self, template: EkTemplate) -> bool {
        self.has(template.certificate_index())
    }

    /// The indices that hold certificates of the issuing chain, ascending.
    pub fn chain(&self) -> impl Iterator<Item = Handle> {
        let Self { chain, .. } = *self;
        (0..256)
            .filter(move |n| {
                chain
                    .get((n / 32) as usize)
                    .is_some_and(|word| word & (1 << (n % 32)) != 0)
            })
            .map(|n: u32| Handle(Handle::NV_EK_CHAIN_FIRST.0 + n))
    }
}

/// An endorsement key, loaded in the TPM.
#[derive(Debug)]
pub struct Ek {
    template: EkTemplate,
    handle: Handle,
    opening: Opening,
    certified: bool,
}

impl Ek {
    /// Creates the best EK among `allowed`: of those with a certificate the first in
    /// [`EkTemplate::ALL`], otherwise one without. Templates that the TPM can't do are passed over.
    ///
    /// `public` is given its `TPMT_PUBLIC` as the TPM returned it. The key stays loaded until [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`KeyError::NoTemplate`] when none of them works.
    pub fn create<T: TpmTransport>(
        tpm: &mut Tpm<T>,
        indices: &EkIndices,
        allowed: &[EkTemplate],
        public: PublicSink<'_>,
    ) -> Result<Self, KeyError> {
        let with = EkTemplate::ALL
            .into_iter()
            .filter(|t| indices.has_certificate(*t));
        let without = WITHOUT_CERTIFICATE.into_iter().chain(EkTemplate::ALL);
        let without = without.filter(|t| !indices.has_certificate(*t));
        for template in with.chain(without).filter(|t| allowed.contains(t)) {
            match Self::create_from(tpm, indices, template, public) {
                Err(KeyError::Tpm(error)) if is_unsupported(error) => {
                    info!("TPM doesn't have EK template {}", template.number());
                }
                Err(error @ KeyError::BadNv(_)) => {
                    warning!("EK template {} unusable", template.number());
                    let _ = error;
                }
                other => return other,
            }
        }
        Err(KeyError::NoTemplate)
    }

    fn create_from<T: TpmTransport>(
        tpm: &mut Tpm<T>,
        indices: &EkIndices,
        template: EkTemplate,
        public: PublicSink<'_>,
    ) -> Result<Self, KeyError> {
        let nonce = template.nonce_index().filter(|index| indices.has(*index));
        let special = Some(template.template_index()).filter(|index| indices.has(*index));
        // It is known by its public area only how a key is opened whose template came from NV.
        let mut opening = Err(KeyError::NoTemplate);
        let mut look = |area: &[u8]| {
            opening = Opening::of(area);
            public(area);
        };
        let handle = if nonce.is_none() && special.is_none() {
            create(tpm, &[template.bytes()], &mut look)?
        } else {
            create_special(tpm, template, nonce, special, &mut look)?
        };
        let opening = match opening {
            Ok(opening) => opening,
            Err(error) => {
                let _ = tpm.flush(handle);
                return Err(error);
            }
        };
        Ok(Self {
            template,
            handle,
            opening,
            certified: indices.has_certificate(template),
        })
    }

    /// The template it was made from.
    pub const fn template(&self) -> EkTemplate {
        self.template
    }

    /// Its handle.
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// What opens it.
    pub(super) const fn opening(&self) -> Opening {
        self.opening
    }

    /// Opens its certificate; `None` when the chip has none for this template.
    ///
    /// # Errors
    /// As [`Certificate::open`].
    pub fn certificate<T: TpmTransport>(
        &self,
        tpm: &mut Tpm<T>,
    ) -> Result<Option<Certificate>, KeyError> {
        if self.certified {
            Certificate::open(tpm, self.template.certificate_index()).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Unloads it.
    ///
    /// # Errors
    /// As [`Tpm::flush`].
    pub fn flush<T: TpmTransport>(self, tpm: &mut Tpm<T>) -> Result<(), TpmError> {
        tpm.flush(self.handle)
    }
}

/// A primary of the endorsement hierarchy; `public` is given its public area.
pub(super) fn create<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    template: &[&[u8]],
    public: PublicSink<'_>,
) -> Result<Handle, KeyError> {
    let created = tpm.create_primary(Handle::ENDORSEMENT, template)?;
    public(created.public);
    Ok(created.handle)
}

/// An EK whose chip has a nonce, a template of its own, or both. Apart from the usual path, since it
/// needs a buffer that few chips make necessary.
#[inline(never)]
fn create_special<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    template: EkTemplate,
    nonce_index: Option<Handle>,
    template_index: Option<Handle>,
    public: PublicSink<'_>,
) -> Result<Handle, KeyError> {
    let mut nonce_buffer = [0; MAX_NONCE];
    let nonce = match nonce_index {
        Some(index) => read_nv(tpm, index, &mut nonce_buffer)?,
        None => &[],
    };
    let Some(parts) = template.with_nonce(nonce) else {
        // Only what was read can be too long.
        return Err(nonce_index.map_or(KeyError::NoTemplate, KeyError::BadNv));
    };
    let Some(index) = template_index else {
        return create(tpm, &parts, public);
    };
    let mut buffer = [0; MAX_TEMPLATE];
    let special = read_nv(tpm, index, &mut buffer)?;
    if nonce.is_empty() {
        return create(tpm, &[special], public);
    }
    // Both: the nonce goes to `unique`, which ends the template. Its place is that of the default.
    let unique = template.unique();
    let head = special
        .len()
        .checked_sub(unique.len())
        .and_then(|len| special.get(..len))
        .ok_or(KeyError::BadNv(index))?;
    let [_, nonce, rest] = parts;
    create(
        tpm,
        &[head, unique.get(..2).unwrap_or_default(), nonce, rest],
        public,
    )
}

/// Longest nonce: an RSA-2048 modulus.
const MAX_NONCE: usize = 256;

/// Reads an index whole; one that the TPM doesn't let us read is as bad as one with the wrong content.
fn read_nv<'b, T: TpmTransport>(
    tpm: &mut Tpm<T>,
    index: Handle,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], KeyError> {
    read_whole(tpm, index, buffer).map_err(|error| {
        if error.is_unreadable() {
            KeyError::BadNv(index)
        } else {
            error
        }
    })
}

fn read_whole<'b, T: TpmTransport>(
    tpm: &mut Tpm<T>,
    index: Handle,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], KeyError> {
    let nv = super::certificate::public(tpm, index)?;
    let whole = buffer
        .get_mut(..usize::from(nv.data_size))
        .ok_or(KeyError::BadNv(index))?;
    let mut offset = 0;
    while offset < nv.data_size {
        let part = tpm.nv_read(&nv, offset, nv.data_size - offset)?;
        let to = whole
            .get_mut(usize::from(offset)..)
            .and_then(|to| to.get_mut(..part.len()))
            .ok_or(KeyError::BadNv(index))?;
        // As long as each other, which the compiler does not follow: `copy_from_slice` would keep a panic.
        for (to, from) in to.iter_mut().zip(part) {
            *to = *from;
        }
        // A part is never longer than what was asked for, and never empty.
        offset += part.len() as u16;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_sorted_by_what_they_hold() {
        let mut indices = EkIndices::default();
        for handle in [
            0x01C0_0002,
            0x01C0_0003,
            0x01C0_0016,
            0x01C0_0100,
            0x01C0_01FF,
            0x01C0_0050,
        ] {
            indices.add(Handle(handle));
        }
        assert!(indices.has_certificate(EkTemplate::L1));
        assert!(indices.has_certificate(EkTemplate::H3));
        assert!(!indices.has_certificate(EkTemplate::L2));
        assert!(indices.has(Handle(0x01C0_0003)));
        assert!(!indices.has(Handle(0x01C0_0004)));
        let chain: Vec<_> = indices.chain().collect();
        assert_eq!(chain, [Handle(0x01C0_0100), Handle(0x01C0_01FF)]);
    }
}
