//! Handles: hierarchies, PCRs, NV indices, sessions and objects by number.
//!
//! Also the NV indices that the TCG assigns to endorsement material ([EK Profile 2.6] 2.2.1.4,
//! 2.2.1.5); [`super::public::templates`] has those that belong to a template.

use core::fmt;

use super::pcr::PcrIndex;

/// `TPM_HANDLE`, 32 bits on the wire; the top byte is its kind ([TPM2.0 1.83 Part 2] 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u32);

impl Handle {
    /// Owner (storage) hierarchy.
    pub const OWNER: Self = Self(0x4000_0001);
    /// Null hierarchy, or "no object" where a command allows that.
    pub const NULL: Self = Self(0x4000_0007);
    /// The session that carries a plain password (`TPM_RS_PW`).
    pub const PW: Self = Self(0x4000_0009);
    /// Lockout hierarchy.
    pub const LOCKOUT: Self = Self(0x4000_000A);
    /// Endorsement (privacy) hierarchy.
    pub const ENDORSEMENT: Self = Self(0x4000_000B);
    /// Platform hierarchy.
    pub const PLATFORM: Self = Self(0x4000_000C);

    /// First NV index.
    pub const NV_FIRST: Self = Self(0x0100_0000);
    /// First HMAC (loaded) session.
    pub const HMAC_SESSION_FIRST: Self = Self(0x0200_0000);
    /// First policy (saved) session.
    pub const POLICY_SESSION_FIRST: Self = Self(0x0300_0000);
    /// First transient object.
    pub const TRANSIENT_FIRST: Self = Self(0x8000_0000);
    /// First persistent object.
    pub const PERSISTENT_FIRST: Self = Self(0x8100_0000);

    /// First of the indices that may hold certificates of the CA chain, one each.
    pub const NV_EK_CHAIN_FIRST: Self = Self(0x01C0_0100);
    /// Last of the indices that may hold certificates of the CA chain.
    pub const NV_EK_CHAIN_LAST: Self = Self(0x01C0_01FF);
    /// First of the indices that the policies of the high-range templates refer to.
    pub const NV_EK_POLICY_FIRST: Self = Self(0x01C0_7F01);
    /// Platform certificate.
    pub const NV_PLATFORM_CERTIFICATE: Self = Self(0x01C0_8000);

    /// Handle of a PCR: its index.
    #[must_use]
    pub const fn pcr(index: PcrIndex) -> Self {
        Self(index.get() as u32)
    }

    /// Kind, the top byte.
    #[must_use]
    pub const fn kind(self) -> HandleKind {
        HandleKind((self.0 >> 24) as u8)
    }

    /// True when the handle is of this kind.
    #[must_use]
    pub const fn is(self, kind: HandleKind) -> bool {
        self.kind().0 == kind.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// `TPM_HT`: what a handle names ([TPM2.0 1.83 Part 2] 7.2, Table 32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleKind(pub u8);

impl HandleKind {
    /// PCR.
    pub const PCR: Self = Self(0x00);
    /// NV index.
    pub const NV_INDEX: Self = Self(0x01);
    /// HMAC session; in a capability list, any loaded session.
    pub const HMAC_SESSION: Self = Self(0x02);
    /// Policy session; in a capability list, any saved session.
    pub const POLICY_SESSION: Self = Self(0x03);
    /// Permanent handle: hierarchies and the password session.
    pub const PERMANENT: Self = Self(0x40);
    /// Transient object.
    pub const TRANSIENT: Self = Self(0x80);
    /// Persistent object.
    pub const PERSISTENT: Self = Self(0x81);
}
