//! Chapter 29: clocks and counters.

use assay_common::tpm::attest::ClockInfo;

use super::call::{HEADER, Op, end};
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

static READ_CLOCK: Op = Op::new(0x181, DurationClass::Medium);

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
        let command = end(self.begin(&READ_CLOCK, &[]));
        let mut r = self.run(command);
        let time_ms = r.u64();
        let clock_info = ClockInfo {
            clock: r.u64(),
            reset_count: r.u32(),
            restart_count: r.u32(),
            safe: {
                let safe = r.u8();
                r.demand(safe <= 1);
                safe == 1
            },
        };
        r.finish()?;
        Ok(Time {
            time_ms,
            clock_info,
        })
    }
}
