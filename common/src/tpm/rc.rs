//! Response codes, decoded but never closed: what is not listed stays a number.

use core::fmt;

/// `TPM_RC`, 32 bits on the wire ([TPM2.0 1.83 Part 2] 6.6).
///
/// Two forms share the number. *Format one* (bit 7 set) names a handle, session or parameter by
/// position; the constants of that form below are its base values, to be compared with
/// [`base`](Self::base). *Format zero* is a plain number: errors from 0x100, warnings from 0x900.
/// `Display` writes `TPM_RC_VALUE (parameter 1), 0x1C4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TpmRc(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl TpmRc {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
        }

        /// Base value and name of every constant.
        const NAMES: &[(u32, &str)] = &[$(($value, concat!("TPM_RC_", stringify!($name)))),*];
    };
}

codes! {
    /// No error.
    SUCCESS = 0x000;
    /// Not a TPM 2.0 command tag: a TPM 1.2, or a broken frame.
    BAD_TAG = 0x01E;
    /// `TPM2_Startup` is missing, or was already done.
    INITIALIZE = 0x100;
    /// Failure mode: only `TPM2_GetTestResult` and `TPM2_GetCapability` work.
    FAILURE = 0x101;
    /// Improper use of a sequence handle.
    SEQUENCE = 0x103;
    /// The command is disabled.
    DISABLED = 0x120;
    /// An audit session is exclusive to another command.
    EXCLUSIVE = 0x121;
    /// The handle does not take this kind of authorization: a password for an EK of the low range.
    AUTH_TYPE = 0x124;
    /// The handle needs an authorization.
    AUTH_MISSING = 0x125;
    /// The policy is not what the command requires.
    POLICY = 0x126;
    /// A PCR check failed.
    PCR = 0x127;
    /// PCRs changed since they were checked.
    PCR_CHANGED = 0x128;
    /// Field-upgrade mode.
    UPGRADE = 0x12D;
    /// More contexts are saved than the TPM can count.
    TOO_MANY_CONTEXTS = 0x12E;
    /// The auth value or policy is not available.
    AUTH_UNAVAILABLE = 0x12F;
    /// A reboot is needed first.
    REBOOT = 0x130;
    /// The hash of both hierarchies is unbalanced.
    UNBALANCED = 0x131;
    /// `commandSize` does not fit the command.
    COMMAND_SIZE = 0x142;
    /// The command is not implemented.
    COMMAND_CODE = 0x143;
    /// The authorization area's size is out of range.
    AUTHSIZE = 0x144;
    /// A session is given where none may be.
    AUTH_CONTEXT = 0x145;
    /// NV offset and size go beyond the index.
    NV_RANGE = 0x146;
    /// NV data do not fit the index.
    NV_SIZE = 0x147;
    /// The NV index is locked.
    NV_LOCKED = 0x148;
    /// No authorization for this NV access.
    NV_AUTHORIZATION = 0x149;
    /// The NV index was not written yet.
    NV_UNINITIALIZED = 0x14A;
    /// No NV space.
    NV_SPACE = 0x14B;
    /// The NV index or persistent handle exists already.
    NV_DEFINED = 0x14C;
    /// A saved context is not one of ours.
    BAD_CONTEXT = 0x150;
    /// cpHash is set already.
    CPHASH = 0x151;
    /// The handle is no parent.
    PARENT = 0x152;
    /// The command needs a test that was not done.
    NEEDS_TEST = 0x153;
    /// No result to give.
    NO_RESULT = 0x154;
    /// The sensitive area does not fit the template.
    SENSITIVE = 0x155;

    /// Asymmetric algorithm not supported or not correct.
    ASYMMETRIC = 0x081;
    /// Inconsistent attributes.
    ATTRIBUTES = 0x082;
    /// Hash algorithm not supported or not right here.
    HASH = 0x083;
    /// Value out of range or not right in this context.
    VALUE = 0x084;
    /// The hierarchy is not enabled or not right here.
    HIERARCHY = 0x085;
    /// Key size not supported.
    KEY_SIZE = 0x087;
    /// Mask generation function not supported.
    MGF = 0x088;
    /// Mode not supported.
    MODE = 0x089;
    /// Kind of value not right here.
    TYPE = 0x08A;
    /// Handle not right for its use; an NV index that does not exist.
    HANDLE = 0x08B;
    /// Key derivation function not supported.
    KDF = 0x08C;
    /// Value out of the allowed range.
    RANGE = 0x08D;
    /// Authorization failed and counts toward lockout.
    AUTH_FAIL = 0x08E;
    /// Nonce size or value wrong.
    NONCE = 0x08F;
    /// Physical presence needed.
    PP = 0x090;
    /// Scheme not supported or not right here.
    SCHEME = 0x092;
    /// Structure of the wrong size.
    SIZE = 0x095;
    /// Symmetric algorithm not supported or not right here.
    SYMMETRIC = 0x096;
    /// Wrong structure tag.
    TAG = 0x097;
    /// Wrong union selector.
    SELECTOR = 0x098;
    /// A value could not be read: too few bytes.
    INSUFFICIENT = 0x09A;
    /// Signature not valid.
    SIGNATURE = 0x09B;
    /// Key and scheme do not fit.
    KEY = 0x09C;
    /// A policy check failed.
    POLICY_FAIL = 0x09D;
    /// Integrity check failed: a blob that is not from this TPM, or not for this object.
    INTEGRITY = 0x09F;
    /// Ticket not valid.
    TICKET = 0x0A0;
    /// Reserved bits are not zero.
    RESERVED_BITS = 0x0A1;
    /// Authorization failed, without counting toward lockout.
    BAD_AUTH = 0x0A2;
    /// The policy has expired.
    EXPIRED = 0x0A3;
    /// Command code of the policy is another one.
    POLICY_CC = 0x0A4;
    /// Public and sensitive parts do not belong together.
    BINDING = 0x0A5;
    /// Curve not supported.
    CURVE = 0x0A6;
    /// Point not on the curve.
    ECC_POINT = 0x0A7;

    /// Contexts must be reloaded and saved in order first.
    CONTEXT_GAP = 0x901;
    /// No memory for objects.
    OBJECT_MEMORY = 0x902;
    /// No memory for sessions.
    SESSION_MEMORY = 0x903;
    /// No memory.
    MEMORY = 0x904;
    /// No session handle left.
    SESSION_HANDLES = 0x905;
    /// No object handle left.
    OBJECT_HANDLES = 0x906;
    /// Wrong locality.
    LOCALITY = 0x907;
    /// The TPM stopped to do something else: send the same bytes again.
    YIELDED = 0x908;
    /// Cancelled by us.
    CANCELED = 0x909;
    /// A self-test runs: send the same bytes again.
    TESTING = 0x90A;
    /// Handle in this place of the handle area does not exist; see [`base`](TpmRc::base).
    REFERENCE_H0 = 0x910;
    /// Session in this place of the authorization area does not exist.
    REFERENCE_S0 = 0x918;
    /// NV writes come too fast: wait.
    NV_RATE = 0x920;
    /// Dictionary-attack lockout: stop.
    LOCKOUT = 0x921;
    /// Send the same bytes again.
    RETRY = 0x922;
    /// NV cannot be written now.
    NV_UNAVAILABLE = 0x923;
}

impl TpmRc {
    const FORMAT_ONE: u32 = 0x080;
    const PARAMETER: u32 = 0x040;

    /// True for `TPM_RC_SUCCESS` only.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// True when the code names a handle, session or parameter.
    ///
    /// Codes above 0xFFF come from software layers (TSS, drivers) and follow other rules.
    #[must_use]
    pub const fn is_format_one(self) -> bool {
        self.0 <= 0xFFF && self.0 & Self::FORMAT_ONE != 0
    }

    /// The code without its position, to compare with the constants: 0x1C4 gives
    /// [`VALUE`](Self::VALUE), 0x912 gives [`REFERENCE_H0`](Self::REFERENCE_H0).
    #[must_use]
    pub const fn base(self) -> Self {
        if self.is_format_one() {
            Self(self.0 & 0xBF)
        } else {
            match self.0 {
                0x910..=0x916 => Self::REFERENCE_H0,
                0x918..=0x91E => Self::REFERENCE_S0,
                _ => self,
            }
        }
    }

    /// Number of the parameter at fault, from 1; `None` when it is not about a parameter or its
    /// number is not given.
    #[must_use]
    pub const fn parameter(self) -> Option<u8> {
        if self.is_format_one() && self.0 & Self::PARAMETER != 0 {
            nonzero(self.0 >> 8)
        } else {
            None
        }
    }

    /// Number of the handle at fault, from 1, also for a handle that does not exist
    /// (`REFERENCE_Hn`).
    #[must_use]
    pub const fn handle(self) -> Option<u8> {
        match self.0 {
            0x910..=0x916 => Some((self.0 - 0x910 + 1) as u8),
            _ if self.is_format_one() && self.0 & (Self::PARAMETER | 0x800) == 0 => {
                nonzero(self.0 >> 8)
            }
            _ => None,
        }
    }

    /// Number of the session at fault, from 1, also for a session that does not exist
    /// (`REFERENCE_Sn`).
    #[must_use]
    pub const fn session(self) -> Option<u8> {
        match self.0 {
            0x918..=0x91E => Some((self.0 - 0x918 + 1) as u8),
            _ if self.is_format_one() && self.0 & (Self::PARAMETER | 0x800) == 0x800 => {
                nonzero((self.0 >> 8) & 7)
            }
            _ => None,
        }
    }

    /// True for the warnings, 0x900 to 0x97F: nothing is wrong with the command as such.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        self.0 & !0x7F == 0x900
    }

    /// Name in the specification, such as `TPM_RC_VALUE`, or `None` when the code is not listed.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let base = self.base().0;
        NAMES
            .iter()
            .find(|entry| entry.0 == base)
            .map(|entry| entry.1)
    }
}

const fn nonzero(number: u32) -> Option<u8> {
    match number & 0xF {
        0 => None,
        n => Some(n as u8),
    }
}

impl fmt::Display for TpmRc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            f.write_str(name)?;
            if let Some(n) = self.parameter() {
                write!(f, " (parameter {n})")?;
            } else if let Some(n) = self.handle() {
                write!(f, " (handle {n})")?;
            } else if let Some(n) = self.session() {
                write!(f, " (session {n})")?;
            }
            f.write_str(", ")?;
        }
        write!(f, "0x{:03X}", self.0)
    }
}
