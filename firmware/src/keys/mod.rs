//! The keys of an attestation: which EK a chip has, the AK, and what is done with the two.
//!
//! * [`ek`]: endorsement key by template and NV, with its certificates.
//! * [`ak`]: attestation key, a primary of the endorsement hierarchy.
//! * [`mod@activate`]: what the verifier sealed to both.
//! * [`mod@quote`]: PCR values and a quote that agree.
//!
//! At most two objects and one session are in the TPM at any time. What is loaded is ours until
//! flushed; every error path flushes what it loaded. No private key material ever passes here.

pub mod activate;
pub mod ak;
pub mod certificate;
pub mod ek;
pub mod quote;

use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;

pub use self::activate::{Secret, activate};
pub use self::ak::{Ak, AkTemplate};
pub use self::certificate::Certificate;
pub use self::ek::{Ek, EkIndices};
pub use self::quote::{AgreedQuote, quote};
use crate::tpm::TpmError;

/// Longest public area kept: an RSA-2048 key with a SHA-256 policy has 314 bytes, one with a SHA-512
/// policy 346.
pub const MAX_PUBLIC: usize = 352;

/// Why there is no key, certificate, secret or quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A command failed.
    Tpm(TpmError),
    /// The TPM can make none of the allowed keys.
    NoTemplate,
    /// A public area is longer than [`MAX_PUBLIC`].
    PublicTooLong,
    /// The key's policy isn't one of the EK profile's, so nothing here can satisfy it.
    UnknownPolicy,
    /// The content of this NV index is not a certificate, or is cut off.
    NotACertificate(Handle),
    /// The template or nonce in this NV index can't be read, or doesn't fit the kind of key.
    BadNv(Handle),
    /// The key's signing scheme has a hash that isn't known here.
    UnknownHash,
    /// PCR values and quote disagreed each time.
    Disagree,
}

impl KeyError {
    /// True when an NV index has nothing for us, and the TPM is as well as ever: what is in it is no certificate, or the
    /// TPM refuses to read it (never written, locked, somebody else's). Such an index is passed over, since it must not
    /// keep a node out that needs nothing from it.
    ///
    /// A warning is about the moment and not about the index, so it is not meant here.
    #[must_use]
    pub const fn is_unreadable(self) -> bool {
        match self {
            Self::NotACertificate(_) | Self::BadNv(_) => true,
            Self::Tpm(TpmError::Rc(rc)) => !rc.is_warning(),
            _ => false,
        }
    }
}

impl core::fmt::Display for KeyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tpm(error) => return core::fmt::Display::fmt(error, f),
            Self::NoTemplate => "TPM can make none of the allowed keys",
            Self::PublicTooLong => "public area too long",
            Self::UnknownPolicy => "EK has an unknown policy",
            Self::NotACertificate(index) => return write!(f, "no certificate in NV index {index}"),
            Self::BadNv(index) => {
                return write!(f, "unusable template or nonce in NV index {index}");
            }
            Self::UnknownHash => "AK signs with an unknown hash",
            Self::Disagree => "PCRs changed between every reading and its quote",
        })
    }
}

impl core::error::Error for KeyError {}

impl From<TpmError> for KeyError {
    fn from(error: TpmError) -> Self {
        Self::Tpm(error)
    }
}

/// A public area as the TPM returned it.
#[derive(Clone, Debug)]
pub struct PublicArea {
    len: u16,
    bytes: [u8; MAX_PUBLIC],
}

impl PublicArea {
    fn copy(public: &[u8]) -> Result<Self, KeyError> {
        let mut bytes = [0; MAX_PUBLIC];
        bytes
            .get_mut(..public.len())
            .ok_or(KeyError::PublicTooLong)?
            .copy_from_slice(public);
        Ok(Self {
            len: public.len() as u16,
            bytes,
        })
    }

    /// `TPMT_PUBLIC`, without length.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// True when the TPM refused a template because it doesn't have the algorithm: another template may do.
fn is_unsupported(error: TpmError) -> bool {
    /// `inPublic` is the second parameter of `TPM2_CreatePrimary`.
    const IN_PUBLIC: Option<u8> = Some(2);
    let TpmError::Rc(rc) = error else {
        return false;
    };
    rc.parameter() == IN_PUBLIC
        && matches!(
            rc.base(),
            TpmRc::ASYMMETRIC
                | TpmRc::ATTRIBUTES
                | TpmRc::HASH
                | TpmRc::VALUE
                | TpmRc::KEY_SIZE
                | TpmRc::MODE
                | TpmRc::TYPE
                | TpmRc::KDF
                | TpmRc::SCHEME
                | TpmRc::SIZE
                | TpmRc::SYMMETRIC
                | TpmRc::SELECTOR
                | TpmRc::KEY
                | TpmRc::CURVE
        )
}
