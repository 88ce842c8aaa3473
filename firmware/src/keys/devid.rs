//! The DevID key: made by the owner of the host, kept in files, loaded for one proof.

use alloc::vec::Vec;

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::{SRK_P256, SRK_RSA2048};
use assay_common::tpm::public::{Public, PublicError};
use assay_common::tpm::rc::TpmRc;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{KeyError, is_unsupported};
use crate::tpm::{Tpm, TpmError, TpmTransport};

/// The key that a DevID key was made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevidParent {
    /// A persistent one.
    Persistent(Handle),
    /// The storage key of the TCG's provisioning guidance, P-256.
    SrkP256,
    /// The same, RSA-2048.
    SrkRsa2048,
}

impl DevidParent {
    /// Where storage keys are kept: the TCG reserves this handle for the one that is found first.
    pub const RESERVED: Self = Self::Persistent(Handle(0x8100_0001));
    /// What is tried when nobody says which.
    pub const USUAL: [Self; 3] = [Self::RESERVED, Self::SrkP256, Self::SrkRsa2048];
}

/// A DevID key as its files have it, and what vouches for it.
#[derive(Clone)]
pub struct DevidKey {
    /// Contents of the TPM2B_PUBLIC.
    public: Vec<u8>,
    /// Contents of the TPM2B_PRIVATE, which only its parent can read.
    private: Vec<u8>,
    /// Certificates, DER one after the other, its own first.
    certificates: Vec<u8>,
    parents: Vec<DevidParent>,
    password: Zeroizing<Vec<u8>>,
    scheme: [AlgId; 2],
}

impl core::fmt::Debug for DevidKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DevidKey")
            .field("scheme", &self.scheme)
            .field("parents", &self.parents)
            .finish_non_exhaustive()
    }
}

/// Why a key is of no use as a DevID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevidKeyError {
    /// Its public area cannot be read.
    Public(PublicError),
    /// It signs only what the TPM itself has hashed, or not at all.
    NotASigner,
    /// Its scheme or hash is not known here.
    Scheme(AlgId),
}

impl core::fmt::Display for DevidKeyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Public(error) => error.fmt(f),
            Self::NotASigner => f.write_str("not a signing key, or a restricted one"),
            Self::Scheme(alg) => write!(f, "signs with {alg}, which is not supported"),
        }
    }
}

impl core::error::Error for DevidKeyError {}

impl DevidKey {
    /// A key out of its parts: contents of a TPM2B_PUBLIC and of a TPM2B_PRIVATE, certificates as DER one after the other,
    /// the parents under which it may load, in that order.
    ///
    /// # Errors
    /// [`DevidKeyError`].
    pub fn new(
        public: Vec<u8>,
        private: Vec<u8>,
        certificates: Vec<u8>,
        parents: &[DevidParent],
        password: &[u8],
    ) -> Result<Self, DevidKeyError> {
        use assay_common::tpm::attributes::ObjectAttributes as Is;
        let area = Public::parse(&public).map_err(DevidKeyError::Public)?;
        if !area.attributes.contains(Is::SIGN) || area.attributes.intersects(Is::RESTRICTED) {
            return Err(DevidKeyError::NotASigner);
        }
        let fixed = area.parameters.scheme();
        let scheme = match (fixed.alg, area.object_type) {
            (AlgId::NULL, AlgId::RSA) => [AlgId::RSASSA, AlgId::SHA256],
            (AlgId::NULL, AlgId::ECC) => [AlgId::ECDSA, AlgId::SHA256],
            (alg @ (AlgId::RSASSA | AlgId::RSAPSS | AlgId::ECDSA), _) => [alg, fixed.hash],
            (alg, _) => return Err(DevidKeyError::Scheme(alg)),
        };
        let [_, hash] = scheme;
        if !matches!(hash, AlgId::SHA256 | AlgId::SHA384 | AlgId::SHA512) {
            return Err(DevidKeyError::Scheme(hash));
        }
        Ok(Self {
            public,
            private,
            certificates,
            parents: parents.to_vec(),
            password: Zeroizing::new(password.to_vec()),
            scheme,
        })
    }

    /// Its TPMT_PUBLIC.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Its certificates, DER one after the other.
    #[must_use]
    pub fn certificates(&self) -> &[u8] {
        &self.certificates
    }

    /// Loads it under the first of its parents that fits. One place for an object must be free for the key, and a second
    /// one for as long as its parent is needed.
    ///
    /// # Errors
    /// [`KeyError::Tpm`] of the last parent that was tried, [`KeyError::NoTemplate`] when there is none.
    pub fn load<T: TpmTransport>(&self, tpm: &mut Tpm<T>) -> Result<Devid, KeyError> {
        let mut last = KeyError::NoTemplate;
        for parent in &self.parents {
            match self.load_under(tpm, *parent) {
                Ok(handle) => {
                    // A password that is too long is no key's: the TPM says that it is wrong.
                    let _ = tpm.set_password(handle, &self.password);
                    let scheme = self.scheme;
                    return Ok(Devid { handle, scheme });
                }
                // Another's turn only when this one was wrong or is not there: what else fails, fails for all.
                Err(TpmError::Rc(rc)) if is_other_parent(rc) => last = TpmError::Rc(rc).into(),
                Err(error @ TpmError::Lost(_)) => last = error.into(),
                Err(error) if is_unsupported(error) => last = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last)
    }

    fn load_under<T: TpmTransport>(
        &self,
        tpm: &mut Tpm<T>,
        parent: DevidParent,
    ) -> Result<Handle, TpmError> {
        let template: &[u8] = match parent {
            DevidParent::Persistent(handle) => {
                return tpm.load(handle, &self.private, &self.public);
            }
            DevidParent::SrkP256 => &SRK_P256,
            DevidParent::SrkRsa2048 => &SRK_RSA2048,
        };
        let srk = tpm.create_primary(Handle::OWNER, &[template])?.handle;
        let loaded = tpm.load(srk, &self.private, &self.public);
        let flushed = tpm.flush(srk);
        let handle = loaded?;
        if let Err(error) = flushed {
            let _ = tpm.flush(handle);
            return Err(error);
        }
        Ok(handle)
    }
}

/// What a TPM says of a parent that is not the key's own, or not there.
fn is_other_parent(rc: TpmRc) -> bool {
    matches!(
        rc.base(),
        TpmRc::INTEGRITY | TpmRc::HANDLE | TpmRc::TYPE | TpmRc::SIZE | TpmRc::VALUE
    )
}

/// A DevID key, loaded in the TPM.
#[derive(Debug)]
pub struct Devid {
    handle: Handle,
    scheme: [AlgId; 2],
}

impl Devid {
    /// Its handle.
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Signs a message given in pieces. Returns the `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// As [`Tpm::sign`].
    pub fn sign<'t, T: TpmTransport>(
        &self,
        tpm: &'t mut Tpm<T>,
        message: &[&[u8]],
    ) -> Result<&'t [u8], TpmError> {
        fn digest<D: Digest>(message: &[&[u8]]) -> Vec<u8> {
            let mut hash = D::new();
            message.iter().for_each(|piece| hash.update(piece));
            hash.finalize().to_vec()
        }
        let digest = match self.scheme {
            [_, AlgId::SHA384] => digest::<Sha384>(message),
            [_, AlgId::SHA512] => digest::<Sha512>(message),
            // The only other hash that a key here has.
            _ => digest::<Sha256>(message),
        };
        tpm.sign(self.handle, &digest, self.scheme)
    }

    /// Unloads it, and forgets its password.
    ///
    /// # Errors
    /// As [`Tpm::flush`].
    pub fn flush<T: TpmTransport>(self, tpm: &mut Tpm<T>) -> Result<(), TpmError> {
        let _ = tpm.set_password(self.handle, &[]);
        tpm.flush(self.handle)
    }
}
