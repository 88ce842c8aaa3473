//! Object attributes, the 32 bits that say what a key may do.

use core::fmt;

/// `TPMA_OBJECT` ([TPM2.0 1.83 Part 2] 8.3). Bits without a name here are
/// carried as they came; [`reserved`](ObjectAttributes::reserved) says which of them no TPM sets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectAttributes(pub u32);

impl ObjectAttributes {
    /// Cannot be moved to another TPM.
    pub const FIXED_TPM: Self = Self(1 << 1);
    /// Saved contexts die with a `TPM2_Startup(CLEAR)`.
    pub const ST_CLEAR: Self = Self(1 << 2);
    /// Cannot be moved to another parent.
    pub const FIXED_PARENT: Self = Self(1 << 4);
    /// The TPM, not its caller, made the secret.
    pub const SENSITIVE_DATA_ORIGIN: Self = Self(1 << 5);
    /// User actions may be authorised by the auth value, not only by policy.
    pub const USER_WITH_AUTH: Self = Self(1 << 6);
    /// Admin actions need a policy session.
    pub const ADMIN_WITH_POLICY: Self = Self(1 << 7);
    /// Usable only under the TPM firmware that made it (since revision 1.83; reserved before).
    pub const FIRMWARE_LIMITED: Self = Self(1 << 8);
    /// Usable only up to a security version of the firmware (since revision 1.83; reserved before).
    pub const SVN_LIMITED: Self = Self(1 << 9);
    /// Failures do not count toward the dictionary-attack lockout.
    pub const NO_DA: Self = Self(1 << 10);
    /// Duplication must be encrypted.
    pub const ENCRYPTED_DUPLICATION: Self = Self(1 << 11);
    /// Works on TPM-made structures only: signs nothing that could be mistaken for an attest.
    pub const RESTRICTED: Self = Self(1 << 16);
    /// Decrypts.
    pub const DECRYPT: Self = Self(1 << 17);
    /// Signs (or encrypts, for a symmetric key).
    pub const SIGN: Self = Self(1 << 18);
    /// Signs X.509 certificates made by `TPM2_CertifyX509` only.
    pub const X509_SIGN: Self = Self(1 << 19);

    /// Bits 0, 3, 12 to 15 and 20 to 31: reserved, "shall be zero". A TPM refuses to make or load an object that has
    /// one, so a public area with one describes no object of a TPM of this revision.
    pub const RESERVED: Self = Self(0xFFF0_F009);

    /// The low-range EK templates: a policy session is the only way in.
    pub const EK_LOW: Self = Self(0x0003_00B2);
    /// The high-range EK templates: the empty auth value is enough.
    pub const EK_HIGH: Self = Self(0x0003_00F2);
    /// Attestation keys. With [`NO_DA`](Self::NO_DA): without it the first use after every
    /// startup is answered by `TPM_RC_RETRY` while the TPM notes "used" in NV.
    pub const AK: Self = Self(0x0005_0472);
    /// SVID keys: as attestation keys, but free to sign whatever TLS and a CSR ask for.
    pub const SVID_KEY: Self = Self(0x0004_0472);
    /// Storage primaries.
    pub const STORAGE: Self = Self(0x0003_0472);

    /// True when every bit of `wanted` is set.
    #[must_use]
    pub const fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// True when a bit of `any` is set.
    #[must_use]
    pub const fn intersects(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// The reserved bits that are set.
    #[must_use]
    pub const fn reserved(self) -> Self {
        Self(self.0 & Self::RESERVED.0)
    }

    /// The bits of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits of `self` that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl core::ops::BitOr for ObjectAttributes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// Names in the order of their bits, as tpm2-tools writes them.
const NAMES: &[(ObjectAttributes, &str)] = &[
    (ObjectAttributes::FIXED_TPM, "fixedtpm"),
    (ObjectAttributes::ST_CLEAR, "stclear"),
    (ObjectAttributes::FIXED_PARENT, "fixedparent"),
    (
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        "sensitivedataorigin",
    ),
    (ObjectAttributes::USER_WITH_AUTH, "userwithauth"),
    (ObjectAttributes::ADMIN_WITH_POLICY, "adminwithpolicy"),
    (ObjectAttributes::FIRMWARE_LIMITED, "firmwarelimited"),
    (ObjectAttributes::SVN_LIMITED, "svnlimited"),
    (ObjectAttributes::NO_DA, "noda"),
    (
        ObjectAttributes::ENCRYPTED_DUPLICATION,
        "encryptedduplication",
    ),
    (ObjectAttributes::RESTRICTED, "restricted"),
    (ObjectAttributes::DECRYPT, "decrypt"),
    (ObjectAttributes::SIGN, "sign"),
    (ObjectAttributes::X509_SIGN, "x509sign"),
];

/// `fixedtpm|fixedparent|…`; bits without a name follow as one hexadecimal number.
impl fmt::Display for ObjectAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unnamed = *self;
        let mut separator = "";
        for &(bit, name) in NAMES {
            if self.contains(bit) {
                write!(f, "{separator}{name}")?;
                separator = "|";
                unnamed = unnamed.without(bit);
            }
        }
        if unnamed.0 != 0 || separator.is_empty() {
            write!(f, "{separator}{:#x}", unnamed.0)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectAttributes({:#010x}: {self})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, ObjectAttributes};

    #[test]
    fn every_bit_is_either_named_or_reserved() {
        let named = NAMES
            .iter()
            .fold(ObjectAttributes(0), |all, (bit, _)| all | *bit);
        assert_eq!(named.0 ^ ObjectAttributes::RESERVED.0, u32::MAX);
        assert_eq!(named.reserved(), ObjectAttributes(0));
        assert_eq!(
            ObjectAttributes(0x8000_0002).reserved(),
            ObjectAttributes(0x8000_0000)
        );
    }
}
