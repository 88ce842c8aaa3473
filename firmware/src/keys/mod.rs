//! The keys of an attestation: which EK a chip has, the AK, and what is done with the two.
//!
//! * [`ek`]: endorsement key by template and NV, with its certificates.
//! * [`ak`]: attestation key, a primary of the endorsement hierarchy.
//! * [`mod@activate`]: what the verifier sealed to both.
//! * `protect`: the EK's pinned Name, and the session that guards the bus.
//! * [`mod@quote`]: PCR values and a quote that agree.
//! * [`mcu`]: the microcontroller's own key, which is in no TPM; [`mod@page`]: of a secret that the board made for itself.
//! * [`svid_key`]: the key that the node's SVID is for, and its certification request ([`csr`]).
//!
//! At most three objects and two sessions are in the TPM at any time, which is what the smallest chips hold. What is loaded is ours until
//! flushed; every error path flushes what it loaded. No private key material of a TPM ever passes here.

pub mod activate;
pub mod ak;
pub mod certificate;
pub mod csr;
#[cfg(feature = "host")]
pub mod devid;
pub mod ek;
#[cfg(feature = "secure-bus")]
pub mod mcu;
#[cfg(feature = "secure-bus")]
pub mod page;
#[cfg(feature = "secure-bus")]
pub mod protect;
pub mod quote;
pub mod svid_key;

use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;

pub use self::activate::{Secret, activate};
pub use self::ak::{Ak, AkTemplate};
pub use self::certificate::Certificate;
#[cfg(feature = "host")]
pub use self::devid::{Devid, DevidKey, DevidParent};
pub use self::ek::{Ek, EkIndices};
#[cfg(feature = "secure-bus")]
pub use self::mcu::{DerivedKey, McuKey};
#[cfg(feature = "secure-bus")]
pub use self::protect::protect;
pub use self::quote::{AgreedQuote, quote};
pub use self::svid_key::{SvidKey, SvidKeyTemplate};
use crate::tpm::TpmError;

/// Takes the public area of a key that was just created, `TPMT_PUBLIC` without length. Nobody keeps it: the verifier
/// is sent it as it comes, and a board has no memory to spare for it.
pub type PublicSink<'s> = &'s mut dyn FnMut(&[u8]);

/// Why there is no key, certificate, secret or quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A command failed.
    Tpm(TpmError),
    /// The TPM can make none of the allowed keys.
    NoTemplate,
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
    /// The EK is not the one that the node was provisioned with: another TPM, or somebody who answers in its place.
    OtherEk,
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
            Self::UnknownPolicy => "EK has an unknown policy",
            Self::NotACertificate(index) => return write!(f, "no certificate in NV index {index}"),
            Self::BadNv(index) => {
                return write!(f, "unusable template or nonce in NV index {index}");
            }
            Self::UnknownHash => "AK signs with an unknown hash",
            Self::Disagree => "PCRs changed between every reading and its quote",
            Self::OtherEk => "not the TPM that the node was provisioned with",
        })
    }
}

impl core::error::Error for KeyError {}

impl From<TpmError> for KeyError {
    fn from(error: TpmError) -> Self {
        Self::Tpm(error)
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
