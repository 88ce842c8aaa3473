//! Why a command got no response, and what the driver did about trouble that it overcame.

use crate::bus::BusError;

/// Why there is no response. After each of these the FIFO was told to become ready again, and the
/// next command starts from the locality.
///
/// Whether the TPM executed the command is known only where a variant says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TisError {
    /// No TPM answers: identity or access register read all zeros or all ones. Not executed.
    Absent,
    /// The locality was not granted, or was lost in the middle (TPM reset, taken over by another
    /// locality). Lost after the go, execution is unknown.
    Locality,
    /// commandReady did not come within TIMEOUT_B. Not executed.
    NotReady,
    /// The burst count stayed 0 for TIMEOUT_A (sending: not executed) or C (receiving: executed).
    Burst,
    /// The TPM counted another number of command bytes than were sent. Not executed.
    Rejected,
    /// The response ended before its announced length. Executed.
    Overrun,
    /// No response within the command's limit; the command was aborted and the TPM is ready again.
    Timeout,
    /// No response within the command's limit, and neither abort nor cancel brought the TPM back.
    /// Only a reset will.
    Stuck,
    /// The announced length of the response is below 10 bytes or above the buffer. Executed.
    BadSize,
    /// The TPM has more response bytes than announced. Executed.
    Leftover,
    /// The caller's command or buffer is shorter than a header. Nothing was sent.
    Buffer,
    /// The bus failed and kept failing.
    Bus(BusError),
}

impl TisError {
    /// Number of codes: all are below.
    pub const CODES: usize = 24;

    /// A stable number for counters and for the wire: 1 to 11, and 16 plus the bus's own.
    pub const fn code(self) -> u8 {
        match self {
            Self::Absent => 1,
            Self::Locality => 2,
            Self::NotReady => 3,
            Self::Burst => 4,
            Self::Rejected => 5,
            Self::Overrun => 6,
            Self::Timeout => 7,
            Self::Stuck => 8,
            Self::BadSize => 9,
            Self::Leftover => 10,
            Self::Buffer => 11,
            Self::Bus(error) => 16 + error as u8,
        }
    }
}

const _: () = assert!((TisError::Bus(BusError::Length).code() as usize) < TisError::CODES);

impl core::fmt::Display for TisError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Absent => "no TPM answers on the bus",
            Self::Locality => "TPM locality not granted or lost",
            Self::NotReady => "TPM does not become ready for a command",
            Self::Burst => "TPM FIFO stays full or empty",
            Self::Rejected => "TPM counts other command bytes than were sent",
            Self::Overrun => "TPM response ends early",
            Self::Timeout => "TPM did not answer in time; command aborted",
            Self::Stuck => "TPM did not answer in time and cannot be aborted; reset it",
            Self::BadSize => "TPM response has an impossible length",
            Self::Leftover => "TPM response is longer than it says",
            Self::Buffer => "command or response buffer shorter than a header",
            Self::Bus(error) => return core::fmt::Display::fmt(error, f),
        })
    }
}

impl core::error::Error for TisError {}

impl From<BusError> for TisError {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

/// A step out of the ordinary, for the trace ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TisEvent {
    /// The TPM was found and its locality granted.
    Claimed,
    /// A status with reserved bits set, or a bus error, was read again.
    BadStatus,
    /// commandReady was written again because it had no effect.
    ReadyAgain,
    /// A submission failed for this reason and was aborted; the same bytes follow.
    Resent(TisError),
    /// A response was read wrong for this reason and asked for again.
    ResponseRetry(TisError),
    /// A command ran out of time and was aborted.
    Aborted,
    /// An abort had no effect and a cancel was tried.
    Cancelled,
    /// A command ended with this error.
    Failed(TisError),
}
