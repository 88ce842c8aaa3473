//! Chapter 29: clocks and counters.

use assay_common::tpm::attest::{AttestError, ClockInfo};

use super::call::{HEADER, Op};
use super::{COMMAND_MAX, DurationClass, Malformed, Tpm, TpmError, TpmTransport};

const READ_CLOCK: Op = Op::new(0x181, DurationClass::Medium);

const _: () = assert!(HEADER <= COMMAND_MAX);

/// `TPMS_TIME_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since the TPM got power.
    pub time_ms: u64,
    /// Clock, resets and restarts. Unsigned here: evidence is only what a quote says.
    pub clock_info: ClockInfo,
}

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_ReadClock` (29.1).
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn read_clock(&mut self) -> Result<Time, TpmError> {
        let mut reply = self.call(READ_CLOCK, &[], &[], &|_| {})?;
        let time_ms = reply.params.u64()?;
        let clock_info = ClockInfo::read(&mut reply.params).map_err(|error| match error {
            AttestError::Decode(error) => error.into(),
            _ => Malformed::Value,
        })?;
        reply.finish()?;
        Ok(Time {
            time_ms,
            clock_info,
        })
    }
}
