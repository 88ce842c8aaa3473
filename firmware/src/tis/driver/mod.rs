//! The state machine: one source for both of its drivers, the blocking one and the asynchronous one.
//!
//! It is written with `async` and `.await`, and loaded twice. `mode`, beside it wherever it is loaded, says which traits it
//! stands on, and has the attribute that leaves the two words in or takes them out. What the blocking driver is compiled
//! from has no future in it.

mod fifo;
mod locality;

use super::mode::{DelayNs, TisBus, both};
use crate::bus::{Reg, Traffic};
use crate::tis::chip::{Chip, ChipId};
use crate::tis::error::{Fault, TisError, TisEvent, TisStep};
use crate::tis::regs::Status;
use crate::tis::timeouts::{Clock, Limits};
use crate::trace::{Counters, Ring};

/// Entries of the trace ring.
const EVENTS: usize = 8;

/// Driver for one TPM on one bus.
///
/// [`DelayNs`] decides what happens between polls. Dropping it leaves the TPM in its
/// locality, idle or ready.
// In this order: what is read and written all the time is within reach of the short forms of load and store, which
// is nearest for bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Tis<B, D> {
    /// `id` and `chip` are those of a TPM that answered and whose locality was granted.
    found: bool,
    claimed: bool,
    /// The last command ended as it should.
    completed: bool,
    /// Whether this chip wants a second commandReady after a command; not known at first.
    idle_after_command: Option<bool>,
    /// Bytes that may be moved before the burst count is asked for again.
    credit: u16,
    resent: u16,
    reread: u16,
    id: ChipId,
    /// The last status that could be believed.
    status: Status,
    /// Time that the waits in the middle of the present transfer have left, µs.
    slack_us: u32,
    /// Bytes of the response so far.
    received: usize,
    chip: &'static Chip,
    limits: Limits,
    bus: B,
    delay: D,
    events: Ring<TisEvent, EVENTS>,
    errors: Counters<{ TisError::CODES }>,
}

#[both(AFIT)]
impl<B: TisBus, D: DelayNs> Tis<B, D> {
    /// A driver with the default [`Limits`]. Touches nothing yet.
    pub fn new(bus: B, delay: D) -> Self {
        Self::with_limits(bus, delay, Limits::default())
    }

    /// A driver with other limits.
    pub fn with_limits(bus: B, delay: D, limits: Limits) -> Self {
        // The state machine reads status words whole.
        const { assert!(B::MAX_TRANSFER >= 4) };
        Self {
            bus,
            delay,
            limits,
            chip: Chip::UNKNOWN,
            id: ChipId::default(),
            found: false,
            claimed: false,
            status: Status::default(),
            credit: 0,
            slack_us: 0,
            received: 0,
            completed: false,
            idle_after_command: None,
            resent: 0,
            reread: 0,
            errors: Counters::ZERO,
            // Constants are written in place; what is computed is copied there.
            events: const {
                Ring::new(TisEvent {
                    step: TisStep::Claimed,
                    code: 0,
                })
            },
        }
    }

    /// Sends one command and reads its response.
    ///
    /// `limit_us` is how long the TPM may execute it. Sending may add the recovery times; see
    /// [`Limits`].
    ///
    /// # Errors
    /// See [`TisError`]. The content of `response` is then unspecified.
    pub async fn transmit<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        limit_us: u32,
    ) -> Result<&'r [u8], TisError> {
        match self.exchange(command, response, limit_us).await {
            // Never more than was put there.
            Ok(()) => Ok(response.get(..self.received).unwrap_or_default()),
            Err(fault) => Err(self.failed(fault)),
        }
    }

    /// What the TPM said about itself, once it was found.
    pub fn chip_id(&self) -> Option<ChipId> {
        self.found.then_some(self.id)
    }

    /// The family of the TPM.
    pub const fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// Bytes and frames on the bus so far.
    pub fn traffic(&self) -> Traffic {
        self.bus.traffic()
    }

    /// Failed commands by [`TisError::code`].
    pub const fn errors(&self) -> &Counters<{ TisError::CODES }> {
        &self.errors
    }

    /// Submissions that had to be repeated, and responses that had to be read again.
    pub const fn recoveries(&self) -> (u16, u16) {
        (self.resent, self.reread)
    }

    /// The last steps out of the ordinary.
    pub const fn events(&self) -> &Ring<TisEvent, EVENTS> {
        &self.events
    }

    /// The bus, for middleware.
    pub const fn bus(&mut self) -> &mut B {
        &mut self.bus
    }

    /// The limits, to adapt them to a bus clock or a bench.
    pub const fn limits(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// The delay, for callers that must wait too.
    pub const fn delay(&mut self) -> &mut D {
        &mut self.delay
    }

    fn failed(&mut self, fault: Fault) -> TisError {
        self.errors.count(fault.code());
        self.event(TisStep::Failed, fault.code());
        // Whatever happened, the next command makes sure of the locality first.
        self.claimed = false;
        fault.error()
    }

    fn event(&mut self, step: TisStep, code: u8) {
        self.events.push(TisEvent { step, code });
    }

    async fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), Fault> {
        self.bus.read(reg, buf).await.map_err(Fault::bus)
    }

    async fn write(&mut self, reg: Reg, value: u8) -> Result<(), Fault> {
        self.bus.write(reg, &[value]).await.map_err(Fault::bus)
    }

    /// Waits between two reads; false when the time of `clock` is up.
    async fn pause(&mut self, clock: &mut Clock) -> bool {
        match clock.pause(
            &self.limits,
            self.limits
                .poll_min_us
                .max(self.chip.quirks().poll_min_us.into()),
        ) {
            Some(pause_us) => {
                self.slack_us = self.slack_us.saturating_sub(pause_us);
                self.delay.delay_us(pause_us).await;
                true
            }
            None => false,
        }
    }
}
