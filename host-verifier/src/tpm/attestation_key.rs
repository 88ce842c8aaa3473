//! Attestation keys: what a key must be before its signature over a TPM structure means anything.

use assay_common::tpm::{
    alg::AlgId,
    attributes::ObjectAttributes,
    handle::Handle,
    name::{Name, NameError},
    public::Public,
};

use super::{
    key::{PublicKeyError, public_key},
    strong_hash_algorithm,
};
use crate::crypto::{MIN_RSA_BITS, PublicKey};

/// The attributes without which a signature over a `TPMS_ATTEST` proves nothing.
///
/// * restricted: the TPM refuses to sign a hand-made structure that begins like its own;
/// * sign, and not decrypt: it is a signing key;
/// * fixedTPM, fixedParent: it cannot be duplicated out of the TPM;
/// * sensitiveDataOrigin: the TPM made it, nobody brought it in.
pub const REQUIRED: ObjectAttributes = ObjectAttributes::FIXED_TPM
    .union(ObjectAttributes::FIXED_PARENT)
    .union(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
    .union(ObjectAttributes::RESTRICTED)
    .union(ObjectAttributes::SIGN);

/// Why a public area is not that of an attestation key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AkError {
    /// Bits that the specification reserves: no TPM has such a key.
    #[error("attestation key attributes {got}: {} is reserved", got.reserved())]
    Reserved {
        /// What they are.
        got: ObjectAttributes,
    },
    /// Attributes missing, or decrypt set.
    #[error("attestation key attributes {got}, wanted {REQUIRED} and not decrypt")]
    Attributes {
        /// What they are.
        got: ObjectAttributes,
    },
    /// A null scheme, one that is not for signing, one that does not fit the key, or SHA-1.
    #[error("attestation key scheme {alg} with {hash} is not supported")]
    Scheme {
        /// Scheme.
        alg: AlgId,
        /// Hash.
        hash: AlgId,
    },
    /// The key itself.
    #[error("attestation key: {0}")]
    Key(#[from] PublicKeyError),
    /// The RSA modulus is too small.
    #[error("attestation key of {0} bits, at least {MIN_RSA_BITS} wanted")]
    WeakKey(usize),
    /// The Name cannot be computed.
    #[error("attestation key: {0}")]
    Name(NameError),
}

impl AkError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Reserved { .. } => "ak-reserved-attributes",
            Self::Attributes { .. } => "ak-attributes",
            Self::Scheme { .. } => "ak-scheme",
            Self::Key(_) => "ak-key",
            Self::WeakKey(_) => "ak-weak-key",
            Self::Name(_) => "ak-name",
        }
    }
}

/// A key whose signature over a `TPMS_ATTEST` counts.
///
/// Made from a public area whose attributes were checked, or from a bare key that an operator vouches
/// for. It does not say in which TPM the key lives: credential activation does.
#[derive(Clone, Debug)]
pub struct AttestationKey {
    key: PublicKey,
    /// Scheme and hash of the public area; `None` for a bare key.
    scheme: Option<(AlgId, AlgId)>,
    name: Option<Name>,
}

impl AttestationKey {
    /// Checks a public area: attributes, scheme, key size, curve and point; computes the Name.
    ///
    /// # Errors
    /// See [`AkError`].
    pub fn from_public(public: &Public<'_>) -> Result<Self, AkError> {
        let attributes = public.attributes;
        if attributes.reserved().0 != 0 {
            return Err(AkError::Reserved { got: attributes });
        }
        if !attributes.contains(REQUIRED) || attributes.intersects(ObjectAttributes::DECRYPT) {
            return Err(AkError::Attributes { got: attributes });
        }
        let scheme = public.parameters.scheme();
        let fits = match public.object_type {
            AlgId::RSA => matches!(scheme.alg, AlgId::RSASSA | AlgId::RSAPSS),
            AlgId::ECC => scheme.alg == AlgId::ECDSA,
            _ => false,
        };
        if !fits || strong_hash_algorithm(scheme.hash).is_none() {
            return Err(AkError::Scheme {
                alg: scheme.alg,
                hash: scheme.hash,
            });
        }
        let key = public_key(public)?;
        if let PublicKey::Rsa(rsa) = &key
            && rsa.bits() < MIN_RSA_BITS
        {
            return Err(AkError::WeakKey(rsa.bits()));
        }
        let name = Name::of(public).map_err(AkError::Name)?;
        Ok(Self {
            key,
            scheme: Some((scheme.alg, scheme.hash)),
            name: Some(name),
        })
    }

    /// A bare key, for judging offline. Nothing shows that it is restricted or lives in a TPM: whoever
    /// gives it vouches for that.
    #[must_use]
    pub fn danger_trusted_by_operator(key: PublicKey) -> Self {
        Self {
            key,
            scheme: None,
            name: None,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Scheme and hash that the public area fixes; `None` for a bare key.
    #[must_use]
    pub fn scheme(&self) -> Option<(AlgId, AlgId)> {
        self.scheme
    }

    /// The Name, computed here; `None` for a bare key.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The Qualified Name that this key has as a primary of the Endorsement hierarchy: what a quote
    /// states as its signer when its counters are not disguised ([TPM2.0 1.83 Part 1] 36.7).
    #[must_use]
    pub fn endorsement_qualified_name(&self) -> Option<Name> {
        Name::qualified_of_primary(Handle::ENDORSEMENT, self.name.as_ref()?).ok()
    }
}
