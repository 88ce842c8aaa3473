//! Why a command got no response, and what the driver did about trouble that it overcame.

use core::num::NonZero;

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
            Self::Bus(error) => BUS + error as u8,
        }
    }

    /// The error with this code, or `None`.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Absent,
            2 => Self::Locality,
            3 => Self::NotReady,
            4 => Self::Burst,
            5 => Self::Rejected,
            6 => Self::Overrun,
            7 => Self::Timeout,
            8 => Self::Stuck,
            9 => Self::BadSize,
            10 => Self::Leftover,
            11 => Self::Buffer,
            17 => Self::Bus(BusError::Overrun),
            18 => Self::Bus(BusError::ModeFault),
            19 => Self::Bus(BusError::FrameFormat),
            20 => Self::Bus(BusError::Spi),
            21 => Self::Bus(BusError::ChipSelect),
            22 => Self::Bus(BusError::WaitState),
            23 => Self::Bus(BusError::Length),
            _ => return None,
        })
    }
}

/// Where the codes of bus errors begin.
const BUS: u8 = 16;

const _: () = assert!((TisError::Bus(BusError::Length).code() as usize) < TisError::CODES);

/// A [`TisError`] in one byte. Inside the driver every step returns one, and a `Result<(), Fault>` fits a
/// register where the public type would travel through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(NonZero<u8>);

impl Fault {
    pub(super) const ABSENT: Self = Self::of(TisError::Absent);
    pub(super) const LOCALITY: Self = Self::of(TisError::Locality);
    pub(super) const NOT_READY: Self = Self::of(TisError::NotReady);
    pub(super) const BURST: Self = Self::of(TisError::Burst);
    pub(super) const REJECTED: Self = Self::of(TisError::Rejected);
    pub(super) const OVERRUN: Self = Self::of(TisError::Overrun);
    pub(super) const TIMEOUT: Self = Self::of(TisError::Timeout);
    pub(super) const STUCK: Self = Self::of(TisError::Stuck);
    pub(super) const BAD_SIZE: Self = Self::of(TisError::BadSize);
    pub(super) const LEFTOVER: Self = Self::of(TisError::Leftover);
    pub(super) const BUFFER: Self = Self::of(TisError::Buffer);
    pub(super) const WAIT_STATE: Self = Self::of(TisError::Bus(BusError::WaitState));

    const fn of(error: TisError) -> Self {
        match NonZero::new(error.code()) {
            Some(code) => Self(code),
            // No error has code 0.
            None => Self(NonZero::<u8>::MAX),
        }
    }

    /// The fault that a bus error is.
    pub(super) fn bus<E: Into<BusError>>(error: E) -> Self {
        Self::of(TisError::Bus(error.into()))
    }

    pub(super) const fn code(self) -> u8 {
        self.0.get()
    }

    /// As callers see it.
    pub(super) const fn error(self) -> TisError {
        match TisError::from_code(self.code()) {
            Some(error) => error,
            // Every fault was made from an error.
            None => TisError::Stuck,
        }
    }
}

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
pub struct TisEvent {
    /// What the driver did.
    pub step: TisStep,
    /// [`TisError::code`] of the reason, 0 where there is none.
    pub code: u8,
}

/// What the driver did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum TisStep {
    /// The TPM was found and its locality granted.
    Claimed,
    /// A status with reserved bits set, or a bus error, was read again.
    BadStatus,
    /// commandReady was written again because it had no effect.
    ReadyAgain,
    /// A submission failed and was aborted; the same bytes follow.
    Resent,
    /// A response was read wrong and asked for again.
    ResponseRetry,
    /// A command ran out of time and was aborted.
    Aborted,
    /// An abort had no effect and a cancel was tried.
    Cancelled,
    /// A command ended with an error.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_errors_are_one_to_one() {
        let errors = (0..=u8::MAX).filter_map(|code| Some((code, TisError::from_code(code)?)));
        assert_eq!(errors.clone().count(), 18);
        for (code, error) in errors {
            assert_eq!(error.code(), code);
            assert_eq!(Fault::of(error).error(), error);
        }
        assert_eq!(
            Fault::bus(BusError::Spi).error(),
            TisError::Bus(BusError::Spi)
        );
    }
}
