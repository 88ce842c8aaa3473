//! One command through the FIFO: send, go, wait, receive, and the recoveries of each phase.
//!
//! ```text
//! idle --commandReady--> ready --first byte--> reception --last byte, go--> execution
//!  ^                                                                           |
//!  +------------commandReady------------- completion <---------dataAvail-------+
//! ```
//!
//! # Frugality
//!
//! One read of `TPM_STS` costs 8 bytes on SPI and says status and burst count together, so each is
//! used for both, and a burst count is spent completely before it is asked for again. A command of
//! up to 64 bytes with a response of 10 takes 10 frames: status, bytes, status, last byte, status,
//! go, status, response, status, done.
//!
//! # The last byte is held back
//!
//! Before it `Expect` must be set, after it clear, each together with `stsValid` in one read (chips of
//! two makers were seen to set one before the other). This finds a byte too few and a byte too many
//! before the command is executed, which is all the integrity that this bus has.

use embedded_hal::delay::DelayNs;

use super::regs::{Status, sts};
use super::timeouts::Clock;
use super::{Tis, TisError, TisEvent};
use crate::bus::{Reg, TisBus};
use crate::fmt::warning;

/// Length of a command's and of a response's header.
const HEADER: usize = 10;
/// Readings of one response: the first and two retries.
const RESPONSE_READS: u8 = 3;
/// The go is written again after a bus error, since a second one does no harm.
const GO_WRITES: u8 = 3;
/// Status reads that can't be believed, in a row, before the locality is looked at.
const DOUBTFUL_READS: u8 = 3;
/// Pause between an abort and the next submission.
const ABORT_PAUSE_US: u32 = 1_000;
/// First interval after which commandReady is written again; doubled each time.
const READY_AGAIN_US: u32 = 50_000;

/// What a status must show.
#[derive(Clone, Copy)]
struct Want {
    mask: u8,
    value: u8,
    burst: bool,
}

impl Want {
    const fn flags(flags: u8) -> Self {
        Self {
            mask: flags,
            value: flags,
            burst: false,
        }
    }

    /// `flags` set and a burst count above 0.
    const fn burst(flags: u8) -> Self {
        Self {
            burst: true,
            ..Self::flags(flags)
        }
    }

    const fn met(self, status: Status) -> bool {
        status.matches(self.mask, self.value) && (!self.burst || status.burst() > 0)
    }
}

/// How a wait ended without what was wanted.
enum Wait {
    /// The limit passed; the last status that could be believed.
    Late(Status),
    Broken(TisError),
}

impl Wait {
    fn or(self, late: TisError) -> TisError {
        match self {
            Self::Late(_) => late,
            Self::Broken(error) => error,
        }
    }
}

impl<B: TisBus, D: DelayNs> Tis<B, D> {
    /// Sends `command` and reads its response into `response`; returns the response's length.
    pub(super) fn exchange(
        &mut self,
        command: &[u8],
        response: &mut [u8],
        limit_us: u32,
    ) -> Result<usize, TisError> {
        if command.len() < HEADER || response.len() < HEADER {
            return Err(TisError::Buffer);
        }
        self.submit(command)?;
        // From here on the TPM may have executed the command: nothing below sends it again.
        let received = self
            .go()
            .and_then(|()| self.receive_with_retries(response, limit_us));
        match received {
            Err(TisError::Timeout) => Err(self.abort_execution()),
            other => {
                // Frees the response and leads back to idle or ready, also after a fault. If this
                // write is lost, the next command finds the old response and writes it again.
                self.completed = self.write(Reg::STS, sts::COMMAND_READY).is_ok() && other.is_ok();
                other
            }
        }
    }

    /// Offers the command until the TPM has taken all of it.
    fn submit(&mut self, command: &[u8]) -> Result<(), TisError> {
        let mut submissions = self.chip.quirks().submissions;
        loop {
            let error = match self.acquire().and_then(|()| self.send(command)) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            submissions = submissions.saturating_sub(1);
            if submissions == 0 || error == TisError::Absent {
                return Err(error);
            }
            warning!("TPM refused a command, sending it again: {}", error.code());
            self.events.push(TisEvent::Resent(error));
            self.resent = self.resent.saturating_add(1);
            let _ = self.write(Reg::STS, sts::COMMAND_READY);
            self.delay.delay_us(ABORT_PAUSE_US);
        }
    }

    fn send(&mut self, command: &[u8]) -> Result<(), TisError> {
        let mut credit = self.ready()?;
        let (body, last) = command.split_at(command.len() - 1);
        let mut rest = body;
        while !rest.is_empty() {
            if credit == 0 {
                credit = self.expecting()?;
            }
            let (now, later) = rest.split_at(credit.min(B::MAX_TRANSFER).min(rest.len()));
            self.bus.write(Reg::DATA_FIFO, now).map_err(bus_error)?;
            credit -= now.len();
            rest = later;
        }
        self.expecting()?;
        self.bus.write(Reg::DATA_FIFO, last).map_err(bus_error)?;
        let complete = Want {
            mask: sts::VALID | sts::EXPECT,
            value: sts::VALID,
            burst: false,
        };
        self.wait(complete, self.limits.c_us)
            .map_err(|e| e.or(TisError::Rejected))?;
        Ok(())
    }

    /// The burst count in the middle of a command, where the TPM must expect more.
    fn expecting(&mut self) -> Result<usize, TisError> {
        match self.wait(Want::burst(sts::VALID | sts::EXPECT), self.limits.a_us) {
            Ok(status) => Ok(self.credit(status)),
            Err(Wait::Late(last)) if last.has(sts::VALID) && !last.has(sts::EXPECT) => {
                Err(TisError::Rejected)
            }
            Err(late) => Err(late.or(TisError::Burst)),
        }
    }

    /// Brings the TPM into the ready state; returns the first burst count, above 0.
    fn ready(&mut self) -> Result<usize, TisError> {
        // Many chips are ready again after a command, others idle. It is learned after the first
        // command, so that none is asked in vain: a read that shows "ready" has the burst count too.
        let after_command = core::mem::take(&mut self.completed);
        let mut status = Err(Wait::Late(Status::default()));
        if self.idle_after_command != Some(true) {
            status = self.wait(Want::flags(0), 0);
        }
        let ready = matches!(status, Ok(s) if s.has(sts::COMMAND_READY));
        if after_command && self.idle_after_command.is_none() {
            self.idle_after_command = Some(!ready);
        }
        if !ready {
            // From completion a chip may go to idle first and want a second write, and one write
            // may be lost, so it is repeated at growing intervals while TIMEOUT_B runs.
            let mut spent_us = 0;
            let mut slice_us = READY_AGAIN_US;
            loop {
                self.write(Reg::STS, sts::COMMAND_READY)?;
                let left_us = self.limits.b_us.saturating_sub(spent_us);
                status = self.wait(Want::flags(sts::COMMAND_READY), slice_us.min(left_us));
                match status {
                    Err(Wait::Late(_)) if left_us > slice_us => {
                        self.events.push(TisEvent::ReadyAgain);
                        spent_us = spent_us.saturating_add(slice_us);
                        slice_us = slice_us.saturating_mul(2);
                    }
                    _ => break,
                }
            }
        }
        let status = status.map_err(|e| e.or(TisError::NotReady))?;
        if status.burst() > 0 {
            return Ok(self.credit(status));
        }
        self.wait(Want::burst(sts::COMMAND_READY), self.limits.a_us)
            .map(|status| self.credit(status))
            .map_err(|e| e.or(TisError::Burst))
    }

    fn go(&mut self) -> Result<(), TisError> {
        let mut result = Ok(());
        for _ in 0..GO_WRITES {
            result = self.write(Reg::STS, sts::GO);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn receive_with_retries(
        &mut self,
        response: &mut [u8],
        limit_us: u32,
    ) -> Result<usize, TisError> {
        let available = Want::flags(sts::VALID | sts::DATA_AVAIL);
        let mut status = self
            .wait(available, limit_us)
            .map_err(|late| late.or(TisError::Timeout))?;
        let mut reads = RESPONSE_READS;
        loop {
            let error = match self.receive(response, status) {
                Ok(len) => return Ok(len),
                Err(error) => error,
            };
            reads -= 1;
            if reads == 0 || error == TisError::Absent {
                return Err(error);
            }
            warning!(
                "TPM response read wrong, reading it again: {}",
                error.code()
            );
            self.events.push(TisEvent::ResponseRetry(error));
            self.reread = self.reread.saturating_add(1);
            self.write(Reg::STS, sts::RESPONSE_RETRY)?;
            status = self
                .wait(available, self.limits.c_us)
                .map_err(|late| late.or(error))?;
        }
    }

    fn receive(&mut self, response: &mut [u8], first: Status) -> Result<usize, TisError> {
        let mut credit = self.credit(first);
        let mut got = 0;
        let mut end = HEADER;
        while got < end {
            if credit == 0 {
                let more = Want::burst(sts::VALID | sts::DATA_AVAIL);
                credit = match self.wait(more, self.limits.c_us) {
                    Ok(status) => self.credit(status),
                    Err(Wait::Late(last)) if last.has(sts::DATA_AVAIL) => {
                        return Err(TisError::Burst);
                    }
                    Err(late) => return Err(late.or(TisError::Overrun)),
                };
            }
            let n = credit.min(B::MAX_TRANSFER).min(end - got);
            let part = response.get_mut(got..got + n).ok_or(TisError::BadSize)?;
            self.bus.read(Reg::DATA_FIFO, part).map_err(bus_error)?;
            credit -= n;
            got += n;
            if got == HEADER {
                end = announced_len(response).ok_or(TisError::BadSize)?;
            }
        }
        let drained = self
            .wait(Want::flags(sts::VALID), self.limits.c_us)
            .map_err(|e| e.or(TisError::Leftover))?;
        if drained.has(sts::DATA_AVAIL) {
            return Err(TisError::Leftover);
        }
        Ok(end)
    }

    /// Ends a command that ran out of time. Returns what to report.
    fn abort_execution(&mut self) -> TisError {
        self.events.push(TisEvent::Aborted);
        // commandReady during execution aborts. Bounded by TIMEOUT_B, and an error on the way means
        // the same: not back yet.
        if self.ready().is_ok() {
            return TisError::Timeout;
        }
        // A cancel makes the TPM end the command with a response of its own, which nobody reads.
        self.events.push(TisEvent::Cancelled);
        let _ = self.write(Reg::STS_CANCEL, sts::CANCEL);
        let _ = self.wait(Want::flags(sts::VALID | sts::DATA_AVAIL), self.limits.c_us);
        match self.ready() {
            Ok(_) => TisError::Timeout,
            Err(_) => TisError::Stuck,
        }
    }

    /// Reads the status until it is as wanted, or `limit_us` has passed; at least once.
    ///
    /// A status with reserved bits set and a failing bus are read again for TIMEOUT_D, since one
    /// flipped bit must not cost a command. A locality that is gone is noticed earlier.
    fn wait(&mut self, want: Want, limit_us: u32) -> Result<Status, Wait> {
        let mut clock = Clock::new(limit_us);
        let mut doubt = Clock::new(self.limits.d_us);
        let mut doubtful: u8 = 0;
        let mut last = Status::default();
        loop {
            // Time spent in doubt is not taken from the limit, which may be 0.
            let clock = match self.status() {
                Ok(status) if want.met(status) => return Ok(status),
                Ok(status) => {
                    last = status;
                    doubtful = 0;
                    &mut clock
                }
                Err(error) => {
                    self.events.push(TisEvent::BadStatus);
                    doubtful = doubtful.saturating_add(1);
                    if doubtful == DOUBTFUL_READS && self.is_lost() {
                        return Err(Wait::Broken(error));
                    }
                    &mut doubt
                }
            };
            if !self.pause(clock) {
                return Err(match doubtful {
                    0 => Wait::Late(last),
                    _ => Wait::Broken(self.diagnose()),
                });
            }
        }
    }

    fn status(&mut self) -> Result<Status, TisError> {
        let mut bytes = [0; 4];
        self.read(Reg::STS, &mut bytes)?;
        Status::from_register(bytes).ok_or(TisError::Locality)
    }

    /// How many bytes this status allows to move.
    fn credit(&self, status: Status) -> usize {
        usize::from(status.burst().min(self.chip.quirks().max_burst))
    }
}

/// `responseSize` of the header at the front of `response`, if it can be true.
fn announced_len(response: &[u8]) -> Option<usize> {
    let (_tag, rest) = response.split_first_chunk::<2>()?;
    let size = u32::from_be_bytes(*rest.first_chunk()?);
    usize::try_from(size)
        .ok()
        .filter(|size| (HEADER..=response.len()).contains(size))
}

pub(super) fn bus_error<E: Into<crate::bus::BusError>>(error: E) -> TisError {
    TisError::Bus(error.into())
}
