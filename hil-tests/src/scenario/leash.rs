//! A limit of virtual time and of SPI bytes for code that must not hang.
//!
//! A driver that loops for ever never returns to the test that would notice. It does keep polling, though: here
//! every transfer and every look at the clock checks the limit, and the one beyond it unwinds with [`Overrun`] as
//! its payload. A test catches that and knows which cell it was.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use assay_spi_tpm::clock::VirtualClock;
use embedded_hal::spi::{ErrorType, SpiBus};

/// What [`std::panic::catch_unwind`] finds when a limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// More virtual time than allowed.
    Time,
    /// More bytes on the bus than allowed.
    Bytes,
}

/// A limit. Clones share it.
#[derive(Debug, Clone)]
pub struct Leash(Rc<Limit>);

#[derive(Debug)]
struct Limit {
    clock: VirtualClock,
    until_ns: Cell<u64>,
    bytes_left: Cell<u64>,
}

impl Leash {
    /// No limit yet.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self(Rc::new(Limit {
            clock,
            until_ns: Cell::new(u64::MAX),
            bytes_left: Cell::new(u64::MAX),
        }))
    }

    /// Limits what happens from now on.
    pub fn allow(&self, time: Duration, bytes: u64) {
        let span = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0
            .until_ns
            .set(self.0.clock.now_ns().saturating_add(span));
        self.0.bytes_left.set(bytes);
    }

    /// Lifts the limit.
    pub fn release(&self) {
        self.0.until_ns.set(u64::MAX);
        self.0.bytes_left.set(u64::MAX);
    }

    /// Counts `bytes` on the bus.
    ///
    /// # Panics
    ///
    /// With [`Overrun`] as payload when a limit is passed.
    pub fn spend(&self, bytes: usize) {
        self.check_time();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match self.0.bytes_left.get().checked_sub(bytes) {
            Some(left) => self.0.bytes_left.set(left),
            None => self.end(Overrun::Bytes),
        }
    }

    /// Looks at the clock.
    ///
    /// # Panics
    ///
    /// With [`Overrun::Time`] as payload when the time is up.
    pub fn check_time(&self) {
        if self.0.clock.now_ns() > self.0.until_ns.get() {
            self.end(Overrun::Time);
        }
    }

    /// Unwinding drops values that may touch the bus again, and a second panic would abort.
    #[expect(
        clippy::panic,
        reason = "unwinding is what gets out of a loop that does not end"
    )]
    fn end(&self, overrun: Overrun) -> ! {
        self.release();
        std::panic::panic_any(overrun)
    }
}

/// A bus on a leash.
#[derive(Clone)]
pub struct LeashedBus<B> {
    bus: B,
    leash: Leash,
}

impl<B> LeashedBus<B> {
    /// Puts `bus` on `leash`.
    pub const fn new(bus: B, leash: Leash) -> Self {
        Self { bus, leash }
    }
}

impl<B: ErrorType<Error = Infallible>> ErrorType for LeashedBus<B> {
    type Error = Infallible;
}

impl<B: SpiBus<Error = Infallible>> SpiBus for LeashedBus<B> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        self.leash.spend(words.len());
        self.bus.read(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        self.leash.spend(words.len());
        self.bus.write(words)
    }

    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        self.leash.spend(read.len().max(write.len()));
        self.bus.transfer(read, write)
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        self.leash.spend(words.len());
        self.bus.transfer_in_place(words)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.bus.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Duration, Leash, Overrun, VirtualClock};

    fn overrun(work: impl FnOnce()) -> Option<Overrun> {
        let payload = catch_unwind(AssertUnwindSafe(work)).err()?;
        payload.downcast_ref().copied()
    }

    #[test]
    fn the_byte_beyond_the_limit_and_the_moment_after_it_end_the_run() {
        let clock = VirtualClock::new();
        let leash = Leash::new(clock.clone());
        leash.allow(Duration::from_nanos(10), 2);
        assert_eq!(overrun(|| leash.spend(2)), None);
        assert_eq!(overrun(|| leash.spend(1)), Some(Overrun::Bytes));
        leash.allow(Duration::from_nanos(10), 2);
        clock.advance_ns(10);
        assert_eq!(overrun(|| leash.check_time()), None);
        clock.advance_ns(1);
        assert_eq!(overrun(|| leash.check_time()), Some(Overrun::Time));
    }

    #[test]
    fn a_leash_that_was_not_set_or_was_lifted_holds_nothing() {
        let clock = VirtualClock::new();
        let leash = Leash::new(clock.clone());
        clock.advance_ns(1 << 60);
        assert_eq!(overrun(|| leash.spend(1 << 40)), None);
        leash.allow(Duration::ZERO, 0);
        leash.release();
        assert_eq!(overrun(|| leash.spend(1)), None);
    }
}
