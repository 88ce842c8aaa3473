//! Why a command gave no result, sorted by what the caller can do about it.

use assay_common::tpm::codec::EncodeError;
use assay_common::tpm::rc::TpmRc;

use crate::tis::TisError;

/// Why no response was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransportError {
    /// The FIFO driver gave up.
    Tis(TisError),
    /// The other end is gone: a closed socket or device file.
    Closed,
    /// The other end did not answer in time.
    Timeout,
}

impl core::fmt::Display for TransportError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tis(error) => return core::fmt::Display::fmt(error, f),
            Self::Closed => "connection to the TPM is closed",
            Self::Timeout => "TPM did not answer in time",
        })
    }
}

impl core::error::Error for TransportError {}

impl From<TisError> for TransportError {
    fn from(error: TisError) -> Self {
        Self::Tis(error)
    }
}

/// Why a response is not what its command returns. The bytes are hostile until these are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Malformed {
    /// Shorter than a header, or `responseSize` isn't the number of bytes received.
    Size = 1,
    /// The tag is neither that of the command nor that of an error.
    Tag = 2,
    /// A field goes beyond its structure.
    Truncated = 3,
    /// Bytes are left over.
    Trailing = 4,
    /// A length or a count is above its limit.
    TooLong = 5,
    /// A value that the request rules out: another handle kind, another PCR, another capability.
    Value = 6,
}

/// Why a command gave no result.
// Each variant has nothing or one number of 32 bits (hence the `repr`s of what they hold), so that the error, and
// a `Result` of it, travels in two registers and not through memory: 0.6 KB of flash in the command layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TpmError {
    /// No response. Whether the command was executed is told by the transport's error.
    Transport(TransportError),
    /// The TPM was reset behind our back (`TPM_RC_INITIALIZE`): keys, sessions and PCRs are gone, and so
    /// is whatever was being proven with them. Begin with [`start`](super::Tpm::start).
    Reset,
    /// A handle or session of the command doesn't exist in the TPM (`TPM_RC_REFERENCE_x`): it was
    /// reset and started by somebody else.
    Lost(TpmRc),
    /// Failure mode: a self-test failed. Only [`test_result`](super::Tpm::test_result) and
    /// capabilities work until a reset.
    FailureMode,
    /// The TPM waits for its firmware update to be finished.
    FieldUpgrade,
    /// Dictionary-attack lockout. Trying again makes it worse; only time or the lockout auth clears it.
    Lockout,
    /// The TPM asked to wait and still did after the last repetition.
    Busy(TpmRc),
    /// No memory or handle in the TPM although all that isn't ours was flushed.
    Memory(TpmRc),
    /// Four objects or sessions of ours at once: the caller must flush first.
    Slots,
    /// Not a TPM 2.0.
    Family,
    /// Any other response code, which says what was wrong with the command.
    Rc(TpmRc),
    /// The response contradicts its command or itself.
    Malformed(Malformed),
    /// The command can't be encoded: an argument is too long for its field or for the buffer.
    Encode(EncodeError),
    /// The caller's buffer can't hold the result.
    Buffer,
    /// The TPM doesn't have one of the selected PCRs or banks.
    NoPcr,
    /// PCRs changed during each of several readings.
    PcrsMoving,
    /// The bus lies: a response is not from the TPM that the session is with, or the TPM did not get the command as it was
    /// sent. Nothing can be believed until the next [`start`](super::Tpm::start), and nothing is sent.
    Forged,
    /// There can be no session with this key: another kind of key, hash or cipher than is known here.
    NoSession,
}

const _: () = assert!(size_of::<Result<(), TpmError>>() == 8);

impl TpmError {
    /// Number of codes: all are below.
    pub const CODES: usize = 19;

    /// A stable number for counters and for the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Transport(_) => 1,
            Self::Reset => 2,
            Self::Lost(_) => 3,
            Self::FailureMode => 4,
            Self::FieldUpgrade => 5,
            Self::Lockout => 6,
            Self::Busy(_) => 7,
            Self::Memory(_) => 8,
            Self::Slots => 9,
            Self::Family => 10,
            Self::Rc(_) => 11,
            Self::Malformed(_) => 12,
            Self::Encode(_) => 13,
            Self::Buffer => 14,
            Self::NoPcr => 15,
            Self::PcrsMoving => 16,
            Self::Forged => 17,
            Self::NoSession => 18,
        }
    }

    /// The response code, where the TPM gave one that this error carries.
    pub const fn rc(self) -> Option<TpmRc> {
        match self {
            Self::Lost(rc) | Self::Busy(rc) | Self::Memory(rc) | Self::Rc(rc) => Some(rc),
            _ => None,
        }
    }

    /// Sorts a response code that isn't success.
    pub(super) fn of(rc: TpmRc) -> Self {
        match rc.base() {
            TpmRc::INITIALIZE => Self::Reset,
            TpmRc::FAILURE => Self::FailureMode,
            TpmRc::UPGRADE => Self::FieldUpgrade,
            TpmRc::LOCKOUT => Self::Lockout,
            TpmRc::REFERENCE_H0 | TpmRc::REFERENCE_S0 => Self::Lost(rc),
            _ if is_memory(rc) => Self::Memory(rc),
            _ => Self::Rc(rc),
        }
    }
}

/// Codes that flushing stale objects and sessions can cure.
pub(super) const fn is_memory(rc: TpmRc) -> bool {
    // CONTEXT_GAP, OBJECT_MEMORY, SESSION_MEMORY, MEMORY, SESSION_HANDLES, OBJECT_HANDLES.
    matches!(rc.0, 0x901..=0x906)
}

impl core::fmt::Display for TpmError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Transport(error) => return core::fmt::Display::fmt(error, f),
            Self::Reset => "TPM was reset",
            Self::Lost(rc) => return write!(f, "TPM lost a key or session: {rc}"),
            Self::FailureMode => "TPM is in failure mode",
            Self::FieldUpgrade => "TPM waits for the end of a firmware update",
            Self::Lockout => "TPM is in dictionary-attack lockout",
            Self::Busy(rc) => return write!(f, "TPM stays busy: {rc}"),
            Self::Memory(rc) => return write!(f, "TPM has no memory: {rc}"),
            Self::Slots => "too many keys or sessions at once",
            Self::Family => "not a TPM 2.0",
            Self::Rc(rc) => return write!(f, "TPM refused the command: {rc}"),
            Self::Malformed(_) => "TPM response is malformed",
            Self::Encode(error) => return write!(f, "command: {error}"),
            Self::Buffer => "buffer too small for the result",
            Self::NoPcr => "TPM has no such PCR or bank",
            Self::PcrsMoving => "PCRs change too often to be read",
            Self::Forged => "what crossed the bus is not what was sent",
            Self::NoSession => "no session with such a key",
        })
    }
}

impl core::error::Error for TpmError {}

impl From<Malformed> for TpmError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl From<EncodeError> for TpmError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
