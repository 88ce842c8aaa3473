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
        match code {
            FIRST..=LAST => Fault::error_of(code + OTHERS),
            _ => match code.checked_sub(BUS) {
                Some(bus @ ..=OTHERS) => Fault::error_of(bus),
                _ => None,
            },
        }
    }
}

/// Where the codes of bus errors begin.
const BUS: u8 = 16;
/// The first code that is none of a bus error, and the last.
const FIRST: u8 = TisError::Absent.code();
const LAST: u8 = TisError::Buffer.code();

const _: () = assert!((TisError::Bus(BusError::Length).code() as usize) < TisError::CODES);

/// A [`TisError`] in one byte. Inside the driver every step returns one, and a `Result<(), Fault>` fits a
/// register where the public type would travel through memory.
///
/// The number is the one by which the compiler tells the public type's variants apart (first those of [`BusError`],
/// then the others) and not their code. Nothing depends on that but size: the way back is no table then, 0.1 KB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(NonZero<u8>);

/// What is added to the code of an error that is none of the bus.
const OTHERS: u8 = BusError::Length as u8;

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
        let number = match error {
            TisError::Bus(error) => error as u8,
            other => OTHERS + other.code(),
        };
        match NonZero::new(number) {
            Some(number) => Self(number),
            // No error has number 0.
            None => Self(NonZero::<u8>::MAX),
        }
    }

    /// The fault that a bus error is.
    pub(super) fn bus<E: Into<BusError>>(error: E) -> Self {
        Self::of(TisError::Bus(error.into()))
    }

    /// [`TisError::code`].
    pub(super) const fn code(self) -> u8 {
        let number = self.0.get();
        if number > OTHERS {
            number - OTHERS
        } else {
            number + BUS
        }
    }

    /// As callers see it.
    pub(super) const fn error(self) -> TisError {
        match Self::error_of(self.0.get()) {
            Some(error) => error,
            // Every fault was made from an error.
            None => TisError::Stuck,
        }
    }

    const fn error_of(number: u8) -> Option<TisError> {
        Some(match number {
            1 => TisError::Bus(BusError::Overrun),
            2 => TisError::Bus(BusError::ModeFault),
            3 => TisError::Bus(BusError::FrameFormat),
            4 => TisError::Bus(BusError::Spi),
            5 => TisError::Bus(BusError::ChipSelect),
            6 => TisError::Bus(BusError::WaitState),
            7 => TisError::Bus(BusError::Length),
            8 => TisError::Absent,
            9 => TisError::Locality,
            10 => TisError::NotReady,
            11 => TisError::Burst,
            12 => TisError::Rejected,
            13 => TisError::Overrun,
            14 => TisError::Timeout,
            15 => TisError::Stuck,
            16 => TisError::BadSize,
            17 => TisError::Leftover,
            18 => TisError::Buffer,
            _ => return None,
        })
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
            assert_eq!(Fault::of(error).code(), code);
        }
        // These are on the wire.
        assert_eq!(TisError::from_code(1), Some(TisError::Absent));
        assert_eq!(TisError::from_code(11), Some(TisError::Buffer));
        assert_eq!(TisError::from_code(17), Some(BusError::Overrun.into()));
        assert_eq!(TisError::from_code(23), Some(BusError::Length.into()));
        assert_eq!(
            Fault::bus(BusError::Spi).error(),
            TisError::Bus(BusError::Spi)
        );
    }
}
