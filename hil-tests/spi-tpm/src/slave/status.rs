//! The STS register: what it shows in each state, what a write to it does, and every fault that
//! shows there. `[PTP 1.05] 6.5.2.5`

use super::burst::Burst;
use super::tis::Tis;
use crate::fault::{FaultKind, Phase};

/// STS bits of byte 0.
pub const STS_VALID: u8 = 0x80;
/// commandReady; written, it readies or aborts.
pub const COMMAND_READY: u8 = 0x40;
/// tpmGo, write only.
pub const TPM_GO: u8 = 0x20;
/// dataAvail.
pub const DATA_AVAIL: u8 = 0x10;
/// Expect.
pub const EXPECT: u8 = 0x08;
/// selfTestDone.
pub const SELF_TEST_DONE: u8 = 0x04;
/// responseRetry, write only.
pub const RESPONSE_RETRY: u8 = 0x02;

/// tpmFamily = TPM 2.0, bits 27..26.
const FAMILY_2: u32 = 1 << 26;
/// commandCancel, bit 24, seen in byte 3.
const CANCEL_IN_BYTE_3: u8 = 0x01;

impl Tis {
    /// One read of STS. Time in the FIFO passes with these reads. A locality that does not own the
    /// TPM reads ones, as an undriven bus does.
    pub(crate) fn status(&mut self, owned: bool) -> u32 {
        self.meter.poll();
        if !owned {
            return u32::MAX;
        }
        self.advance();
        if self.engine.is_dead() {
            return u32::MAX;
        }
        let mut low = match self.fifo.phase() {
            Phase::Idle => self.chip.idle_status,
            Phase::Ready => self.chip.ready_status,
            Phase::Reception | Phase::Execution | Phase::Completion => {
                STS_VALID | (self.chip.ready_status & SELF_TEST_DONE)
            }
        };
        if self.fifo.expects() {
            low |= EXPECT;
        }
        if self.fifo.available() > 0 {
            low |= DATA_AVAIL;
        }
        if let Some(polls) = self.fire(FaultKind::StatusInvalid) {
            self.status_invalid = polls;
        }
        if self.status_invalid > 0 {
            self.status_invalid = self.status_invalid.saturating_sub(1);
            low &= !STS_VALID;
        }
        let status = FAMILY_2 | (u32::from(self.burst_count()) << 8) | u32::from(low);
        match self.fire(FaultKind::MisoFlipStatus) {
            Some(bit) => status ^ 1u32.checked_shl(bit).unwrap_or(0),
            None => status,
        }
    }

    /// What each poll does to the state.
    fn advance(&mut self) {
        match self.fifo.phase() {
            Phase::Idle => match self.fifo.becoming_ready {
                Some(0) => self.fifo.abandon(Phase::Ready),
                Some(polls) => self.fifo.becoming_ready = Some(polls.saturating_sub(1)),
                None => {}
            },
            Phase::Execution => {
                if self.fifo.attempt.data_never {
                    return;
                }
                match self.fifo.busy {
                    0 => self.execute(),
                    polls => self.fifo.busy = polls.saturating_sub(1),
                }
            }
            Phase::Completion => {
                let late = &mut self.fifo.attempt.data_late;
                *late = late.saturating_sub(1);
            }
            Phase::Ready | Phase::Reception => {}
        }
    }

    fn execute(&mut self) {
        let context = self.context();
        let response = self.engine.run(
            self.fifo.command(),
            self.localities.active().unwrap_or(0),
            self.fifo.attempt.cancelled,
            &mut self.injector,
            &context,
        );
        let Some(response) = response else { return };
        self.meter.answered(&response);
        self.fifo.finish(response);
        // These belong to the response, so they are looked up in the phase that has begun.
        self.fifo.attempt.data_dropped = self.fire(FaultKind::DataDropped).is_some();
        self.fifo.attempt.response_gap = self.fire(FaultKind::ResponseByteLost).is_some();
        self.fifo.attempt.short_readings = self.fire(FaultKind::RetryNeeded).unwrap_or(0);
    }

    fn burst_count(&mut self) -> u16 {
        let moving = matches!(
            self.fifo.phase(),
            Phase::Ready | Phase::Reception | Phase::Completion
        );
        if !moving {
            return 0;
        }
        if let Some(n) = self.fire(FaultKind::BurstFixed) {
            self.burst_fault = Some(Burst::Fixed(u16::try_from(n).unwrap_or(u16::MAX)));
        }
        if let Some(n) = self.fire(FaultKind::BurstChanging) {
            let max = u16::try_from(n).unwrap_or(u16::MAX).max(1);
            self.burst_fault = Some(Burst::Changing { max, seed: 0 });
        }
        if let Some(excess) = self.fire(FaultKind::BurstTooLarge) {
            self.burst_excess = u16::try_from(excess).unwrap_or(u16::MAX);
        }
        let count = self.bursts.show(self.burst_fault, self.burst_excess);
        if let Some(polls) = self.fire(FaultKind::BurstZero) {
            self.burst_zero = polls;
        }
        if self.burst_zero > 0 {
            self.burst_zero = self.burst_zero.saturating_sub(1);
            return 0;
        }
        if self.fire(FaultKind::BurstMax).is_some() {
            return u16::MAX;
        }
        if self.fifo.phase() == Phase::Completion {
            let left = u16::try_from(self.fifo.available()).unwrap_or(u16::MAX);
            return count.min(left);
        }
        count
    }

    /// A write to byte 0. Exactly one request at a time is taken, as the specification demands.
    pub(crate) fn write_status(&mut self, byte: u8) {
        let byte = match self.fire(FaultKind::MosiFlipStatus) {
            Some(bit) => byte ^ 1u8.checked_shl(bit & 7).unwrap_or(0),
            None => byte,
        };
        match byte & (COMMAND_READY | TPM_GO | RESPONSE_RETRY) {
            COMMAND_READY => self.command_ready(),
            TPM_GO => self.go(),
            RESPONSE_RETRY => {
                self.meter.retried();
                self.fifo.rewind();
            }
            _ => {}
        }
    }

    /// A write to byte 3: commandCancel.
    pub(crate) fn write_status_high(&mut self, byte: u8) {
        if byte & CANCEL_IN_BYTE_3 != 0 && self.fifo.phase() == Phase::Execution {
            self.fifo.attempt.cancelled = true;
            self.fifo.busy = 0;
        }
    }

    fn command_ready(&mut self) {
        match self.fifo.phase() {
            Phase::Idle => {
                if self.fire(FaultKind::ReadyStuck).is_none() {
                    match self.chip.ready_polls {
                        0 => self.fifo.abandon(Phase::Ready),
                        polls => self.fifo.becoming_ready = Some(polls),
                    }
                }
            }
            Phase::Ready => {}
            Phase::Reception | Phase::Execution | Phase::Completion => {
                if self.fire(FaultKind::AbortIgnored).is_none() {
                    let next = if self.chip.ready_after_command {
                        Phase::Ready
                    } else {
                        Phase::Idle
                    };
                    self.abandon(next);
                }
            }
        }
    }

    fn go(&mut self) {
        if self.fifo.phase() != Phase::Reception {
            return;
        }
        if !self.fifo.attempt.expect_stuck && self.fire(FaultKind::GoIgnored).is_some() {
            return;
        }
        if self.fifo.can_go() && !self.fifo.attempt.expect_stuck {
            self.fifo.start(self.busy_polls);
            let slow = self.fire(FaultKind::Slow).unwrap_or(0);
            self.fifo.busy = self.fifo.busy.saturating_add(slow);
            self.fifo.attempt.data_never = self.fire(FaultKind::DataNever).is_some();
            self.fifo.attempt.data_late = self.fire(FaultKind::DataLate).unwrap_or(0);
        }
    }
}
