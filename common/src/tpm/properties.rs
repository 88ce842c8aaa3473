//! TPM properties that the agent asks for, by number.
//!
//! `TPM2_GetCapability` lists from the *first property not below* the one asked for, so a reader
//! must compare the tag it gets back; that is why the tags are a type of their own.

use core::fmt;

/// `TPM_PT`, 32 bits on the wire ([TPM2.0 1.83 Part 2] 6.13). Unknown tags are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyTag(pub u32);

impl PropertyTag {
    /// First of the fixed properties.
    pub const FIXED_FIRST: Self = Self(0x100);
    /// `"2.0\0"`.
    pub const FAMILY_INDICATOR: Self = Self(0x100);
    /// Specification revision × 100.
    pub const REVISION: Self = Self(0x102);
    /// Manufacturer, four ASCII characters.
    pub const MANUFACTURER: Self = Self(0x105);
    /// Vendor string, characters 1 to 4.
    pub const VENDOR_STRING_1: Self = Self(0x106);
    /// Vendor string, characters 5 to 8.
    pub const VENDOR_STRING_2: Self = Self(0x107);
    /// Vendor string, characters 9 to 12.
    pub const VENDOR_STRING_3: Self = Self(0x108);
    /// Vendor string, characters 13 to 16.
    pub const VENDOR_STRING_4: Self = Self(0x109);
    /// Firmware version, upper half.
    pub const FIRMWARE_VERSION_1: Self = Self(0x10B);
    /// Firmware version, lower half.
    pub const FIRMWARE_VERSION_2: Self = Self(0x10C);
    /// Largest parameter, in bytes.
    pub const INPUT_BUFFER: Self = Self(0x10D);
    /// Least number of transient objects held at once.
    pub const HR_TRANSIENT_MIN: Self = Self(0x10E);
    /// Number of PCRs per bank.
    pub const PCR_COUNT: Self = Self(0x112);
    /// Largest command, in bytes.
    pub const MAX_COMMAND_SIZE: Self = Self(0x11E);
    /// Largest response, in bytes.
    pub const MAX_RESPONSE_SIZE: Self = Self(0x11F);
    /// Largest digest, in bytes.
    pub const MAX_DIGEST: Self = Self(0x120);
    /// Most bytes of one NV read or write.
    pub const NV_BUFFER_MAX: Self = Self(0x12C);
    /// Modes, such as FIPS 140.
    pub const MODES: Self = Self(0x12D);
    /// Security version number of the firmware (revision 1.83 and later).
    pub const FIRMWARE_SVN: Self = Self(0x12F);

    /// First of the variable properties.
    pub const VARIABLE_FIRST: Self = Self(0x200);
    /// Permanent state: which auth values are set, lockout.
    pub const PERMANENT: Self = Self(0x200);
    /// State since startup: which hierarchies are enabled.
    pub const STARTUP_CLEAR: Self = Self(0x201);
    /// Room for transient objects, an estimate.
    pub const HR_TRANSIENT_AVAIL: Self = Self(0x207);
    /// Failed authorizations counted so far.
    pub const LOCKOUT_COUNTER: Self = Self(0x20E);
    /// Failed authorizations that start a lockout.
    pub const MAX_AUTH_FAIL: Self = Self(0x20F);
    /// Seconds after which the count goes down by one.
    pub const LOCKOUT_INTERVAL: Self = Self(0x210);
}

impl fmt::Display for PropertyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:03x}", self.0)
    }
}

/// `TPM_CAP`, the kinds of list that `TPM2_GetCapability` gives ([TPM2.0 1.83 Part 2] 6.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(pub u32);

impl Capability {
    /// Algorithms and what they are for.
    pub const ALGS: Self = Self(0);
    /// Handles from the one asked for.
    pub const HANDLES: Self = Self(1);
    /// Command codes and their attributes.
    pub const COMMANDS: Self = Self(2);
    /// Allocated PCR banks.
    pub const PCRS: Self = Self(5);
    /// Properties, see [`PropertyTag`].
    pub const TPM_PROPERTIES: Self = Self(6);
    /// Curves.
    pub const ECC_CURVES: Self = Self(8);
}
