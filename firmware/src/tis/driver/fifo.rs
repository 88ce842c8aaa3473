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

use super::super::mode::{DelayNs, TisBus, both};
use super::Tis;
use crate::bus::Reg;
use crate::fmt::warning;
use crate::tis::error::{Fault, TisStep};
use crate::tis::regs::{Status, sts};
use crate::tis::timeouts::Clock;

/// Length of a command's and of a response's header.
const HEADER: usize = 10;
/// Readings of one response: the first and two retries.
const RESPONSE_READS: u8 = 3;
/// The go is written again after a bus error, since a second one does no harm.
const GO_WRITES: u8 = 3;
/// Status reads that can't be believed, in a row, before the locality is looked at.
const DOUBTFUL_READS: u32 = 3;
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

#[both(AFIT)]
impl<B: TisBus, D: DelayNs> Tis<B, D> {
    /// Sends `command` and reads its response into `response`; its length is then in `received`.
    pub(super) async fn exchange(
        &mut self,
        command: &[u8],
        response: &mut [u8],
        limit_us: u32,
    ) -> Result<(), Fault> {
        if command.len() < HEADER || response.len() < HEADER {
            return Err(Fault::BUFFER);
        }
        self.submit(command).await?;
        // From here on the TPM may have executed the command: nothing below sends it again.
        let result = self.go_and_receive(response, limit_us).await;
        if result == Err(Fault::TIMEOUT) {
            return Err(self.abort_execution().await);
        }
        // Frees the response and leads back to idle or ready, also after a fault. If this write is
        // lost, the next command finds the old response and writes it again.
        self.completed = self.write(Reg::STS, sts::COMMAND_READY).await.is_ok() && result.is_ok();
        result
    }

    /// Offers the command until the TPM has taken all of it.
    async fn submit(&mut self, command: &[u8]) -> Result<(), Fault> {
        let mut submissions = self.chip.quirks().submissions;
        loop {
            let Err(fault) = self.send(command).await else {
                return Ok(());
            };
            submissions = submissions.saturating_sub(1);
            if submissions == 0 || fault == Fault::ABSENT {
                return Err(fault);
            }
            warning!("TPM refused a command, sending it again: {}", fault.code());
            self.event(TisStep::Resent, fault.code());
            self.resent = self.resent.saturating_add(1);
            let _ = self.write(Reg::STS, sts::COMMAND_READY).await;
            self.delay.delay_us(ABORT_PAUSE_US).await;
        }
    }

    // Apart, since the one function that all of this becomes has too few registers: 0.1 KB.
    #[inline(never)]
    async fn send(&mut self, command: &[u8]) -> Result<(), Fault> {
        self.acquire().await?;
        self.ready().await?;
        let Some((last, mut rest)) = command.split_last() else {
            return Err(Fault::BUFFER);
        };
        while !rest.is_empty() {
            if self.credit == 0 {
                self.expecting().await?;
            }
            let Some((now, later)) = rest.split_at_checked(self.spend(rest.len())) else {
                return Err(Fault::BUFFER);
            };
            self.bus
                .write(Reg::DATA_FIFO, now)
                .await
                .map_err(Fault::bus)?;
            rest = later;
        }
        self.expecting().await?;
        self.bus
            .write(Reg::DATA_FIFO, core::slice::from_ref(last))
            .await
            .map_err(Fault::bus)?;
        let complete = Want {
            mask: sts::VALID | sts::EXPECT,
            value: sts::VALID,
            burst: false,
        };
        self.wait(complete, self.limits.c_us, Fault::REJECTED).await
    }

    /// Waits for credit in the middle of a command, where the TPM must expect more.
    async fn expecting(&mut self) -> Result<(), Fault> {
        const MORE: u8 = sts::VALID | sts::EXPECT;
        let result = self
            .wait(Want::burst(MORE), self.limits.a_us, Fault::BURST)
            .await;
        if result == Err(Fault::BURST) && self.status.matches(MORE, sts::VALID) {
            return Err(Fault::REJECTED);
        }
        result
    }

    /// Brings the TPM into the ready state, with credit.
    async fn ready(&mut self) -> Result<(), Fault> {
        // Many chips are ready again after a command, others idle. It is learned after the first
        // command, so that none is asked in vain: a read that shows "ready" has the burst count too.
        let ready = Want::flags(sts::COMMAND_READY);
        let after_command = core::mem::take(&mut self.completed);
        let mut result = Err(Fault::NOT_READY);
        if self.idle_after_command != Some(true) {
            result = self.wait(ready, 0, Fault::NOT_READY).await;
        }
        if after_command && self.idle_after_command.is_none() {
            self.idle_after_command = Some(result.is_err());
        }
        // From completion a chip may go to idle first and want a second write, and one write may be
        // lost, so it is repeated at growing intervals while TIMEOUT_B runs.
        let mut left_us = self.limits.b_us;
        let mut slice_us = READY_AGAIN_US;
        while result.is_err() {
            self.write(Reg::STS, sts::COMMAND_READY).await?;
            result = self
                .wait(ready, slice_us.min(left_us), Fault::NOT_READY)
                .await;
            if result != Err(Fault::NOT_READY) || left_us <= slice_us {
                result?;
                break;
            }
            self.event(TisStep::ReadyAgain, 0);
            left_us -= slice_us;
            slice_us = slice_us.saturating_mul(2);
        }
        // What the command's bursts have together; see `Limits::b_us`.
        self.slack_us = self.limits.b_us;
        if self.credit == 0 {
            let with_credit = Want::burst(sts::COMMAND_READY);
            return self.wait(with_credit, self.limits.a_us, Fault::BURST).await;
        }
        Ok(())
    }

    async fn go(&mut self) -> Result<(), Fault> {
        let mut writes = GO_WRITES;
        loop {
            let result = self.write(Reg::STS, sts::GO).await;
            writes -= 1;
            if result.is_ok() || writes == 0 {
                return result;
            }
        }
    }

    async fn go_and_receive(&mut self, response: &mut [u8], limit_us: u32) -> Result<(), Fault> {
        let available = Want::flags(sts::VALID | sts::DATA_AVAIL);
        self.go().await?;
        self.wait(available, limit_us, Fault::TIMEOUT).await?;
        let mut reads = RESPONSE_READS;
        loop {
            let Err(fault) = self.receive(response).await else {
                return Ok(());
            };
            reads -= 1;
            if reads == 0 || fault == Fault::ABSENT {
                return Err(fault);
            }
            warning!(
                "TPM response read wrong, reading it again: {}",
                fault.code()
            );
            self.event(TisStep::ResponseRetry, fault.code());
            self.reread = self.reread.saturating_add(1);
            self.write(Reg::STS, sts::RESPONSE_RETRY).await?;
            self.wait(available, self.limits.c_us, fault).await?;
        }
    }

    async fn receive(&mut self, response: &mut [u8]) -> Result<(), Fault> {
        const MORE: u8 = sts::VALID | sts::DATA_AVAIL;
        self.received = 0;
        self.slack_us = self.limits.b_us;
        let mut end = HEADER;
        while self.received < end {
            if self.credit == 0 {
                let result = self
                    .wait(Want::burst(MORE), self.limits.c_us, Fault::OVERRUN)
                    .await;
                if result == Err(Fault::OVERRUN) && self.status.has(sts::DATA_AVAIL) {
                    return Err(Fault::BURST);
                }
                result?;
            }
            let next = self.received + self.spend(end - self.received);
            let part = response
                .get_mut(self.received..next)
                .ok_or(Fault::BAD_SIZE)?;
            self.bus
                .read(Reg::DATA_FIFO, part)
                .await
                .map_err(Fault::bus)?;
            self.received = next;
            if next == HEADER {
                end = announced_len(response).ok_or(Fault::BAD_SIZE)?;
            }
        }
        self.wait(Want::flags(sts::VALID), self.limits.c_us, Fault::LEFTOVER)
            .await?;
        if self.status.has(sts::DATA_AVAIL) {
            return Err(Fault::LEFTOVER);
        }
        Ok(())
    }

    /// Ends a command that ran out of time. Returns what to report.
    async fn abort_execution(&mut self) -> Fault {
        self.event(TisStep::Aborted, 0);
        // commandReady during execution aborts. Bounded by TIMEOUT_B, and an error on the way means
        // the same: not back yet.
        if self.ready().await.is_ok() {
            return Fault::TIMEOUT;
        }
        // A cancel makes the TPM end the command with a response of its own, which nobody reads.
        self.event(TisStep::Cancelled, 0);
        let _ = self.write(Reg::STS_CANCEL, sts::CANCEL).await;
        let answered = Want::flags(sts::VALID | sts::DATA_AVAIL);
        let _ = self.wait(answered, self.limits.c_us, Fault::TIMEOUT).await;
        match self.ready().await {
            Ok(()) => Fault::TIMEOUT,
            Err(_) => Fault::STUCK,
        }
    }

    /// Reads the status until it is as wanted, at least once; after `limit_us` the fault is `late`.
    /// The last status that could be believed is left in `status`, its burst count in `credit`. A wait for a burst ends
    /// earlier if those before it have used up the transfer's time.
    ///
    /// A status with reserved bits set and a failing bus are read again for TIMEOUT_D, since one
    /// flipped bit must not cost a command. A locality that is gone is noticed earlier.
    async fn wait(&mut self, want: Want, limit_us: u32, late: Fault) -> Result<(), Fault> {
        let limit_us = if want.burst {
            limit_us.min(self.slack_us)
        } else {
            limit_us
        };
        let mut clock = Clock::new(limit_us);
        let mut doubt = Clock::new(self.limits.d_us);
        let mut doubtful: u32 = 0;
        loop {
            // Time spent in doubt is not taken from the limit, which may be 0.
            let clock = match self.read_status().await {
                Ok(()) if want.met(self.status) => return Ok(()),
                Ok(()) => {
                    doubtful = 0;
                    &mut clock
                }
                Err(fault) => {
                    self.event(TisStep::BadStatus, 0);
                    // Ends long before it overflows: so does `doubt`.
                    doubtful += 1;
                    if doubtful == DOUBTFUL_READS && self.is_lost().await {
                        return Err(fault);
                    }
                    &mut doubt
                }
            };
            if !self.pause(clock).await {
                return Err(if doubtful == 0 {
                    late
                } else {
                    self.diagnose().await
                });
            }
        }
    }

    async fn read_status(&mut self) -> Result<(), Fault> {
        let mut bytes = [0; 4];
        self.read(Reg::STS, &mut bytes).await?;
        self.status = Status::from_register(bytes).ok_or(Fault::LOCALITY)?;
        self.credit = self.status.burst().min(self.chip.quirks().max_burst);
        Ok(())
    }

    /// Takes from the credit what one access can move of `wanted` bytes.
    fn spend(&mut self, wanted: usize) -> usize {
        let n = wanted.min(B::MAX_TRANSFER).min(usize::from(self.credit));
        // Not above the credit, which is a u16.
        self.credit -= n as u16;
        n
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
