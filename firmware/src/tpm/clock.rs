//! Chapter 29: clocks and counters.

use assay_common::tpm::attest::ClockInfo;

use super::exchange::{HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const READ_CLOCK: Op = Op::new(0x181, DurationClass::Medium).audited();

const _: () = assert!(HEADER <= COMMAND_MAX - MAKING_ROOM);

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
        self.begin(READ_CLOCK, &[]);
        self.run();
        let x = &mut self.exchange;
        let time_ms = x.u64();
        let clock_info = ClockInfo {
            clock: x.u64(),
            reset_count: x.u32(),
            restart_count: x.u32(),
            safe: {
                let safe = x.u8();
                x.demand(safe <= 1);
                safe == 1
            },
        };
        self.finish()?;
        Ok(Time {
            time_ms,
            clock_info,
        })
    }
}
