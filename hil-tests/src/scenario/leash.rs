//! A limit of virtual time and of SPI bytes for code that must not hang.
//!
//! A driver that loops for ever never returns to the test that would notice. It does keep polling, though: here
//! every transfer and every look at the clock checks the limit, and the one beyond it unwinds with [`Overrun`] as
//! its payload. A test catches that and knows which cell it was.
//!
//! The same ends what a board does when it is reset: half way through a transfer, after so many others.

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
    /// The board was reset: all the transfers that it had left were made.
    Reset,
}

/// A limit. Clones share it.
#[derive(Debug, Clone)]
pub struct Leash(Rc<Limit>);

#[derive(Debug)]
struct Limit {
    clock: VirtualClock,
    until_ns: Cell<u64>,
    bytes_left: Cell<u64>,
    /// Transfers so far, and how many of them the board makes until it is reset.
    transfers: Cell<u64>,
    reset_at: Cell<u64>,
}

impl Leash {
    /// No limit yet.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self(Rc::new(Limit {
            clock,
            until_ns: Cell::new(u64::MAX),
            bytes_left: Cell::new(u64::MAX),
            transfers: Cell::new(0),
            reset_at: Cell::new(u64::MAX),
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

    /// Resets the board so many transfers from now: the one after them gets half of its bytes onto the bus.
    pub fn reset_after(&self, transfers: u64) {
        let at = self.0.transfers.get().saturating_add(transfers);
        self.0.reset_at.set(at);
    }

    /// Transfers that were begun so far.
    #[must_use]
    pub fn transfers(&self) -> u64 {
        self.0.transfers.get()
    }

    /// Lifts the limit.
    pub fn release(&self) {
        self.0.until_ns.set(u64::MAX);
        self.0.bytes_left.set(u64::MAX);
        self.0.reset_at.set(u64::MAX);
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

    /// Counts a transfer of `bytes`; how many of them are made when the board is reset in it.
    fn begin(&self, bytes: usize) -> Option<usize> {
        self.spend(bytes);
        let before = self.0.transfers.get();
        self.0.transfers.set(before.saturating_add(1));
        (before == self.0.reset_at.get()).then_some(bytes / 2)
    }

    /// Ends whoever is on the leash as a reset does. Nothing went wrong, so nothing is printed.
    fn reset(&self) -> ! {
        self.release();
        std::panic::resume_unwind(Box::new(Overrun::Reset))
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

impl<B: SpiBus<Error = Infallible>> LeashedBus<B> {
    /// Moves `bytes` by `work`, which is told how many; fewer than all, and nothing ever again, when the board is reset.
    fn moved(
        &mut self,
        bytes: usize,
        work: impl FnOnce(&mut B, usize) -> Result<(), Infallible>,
    ) -> Result<(), Infallible> {
        let Some(part) = self.leash.begin(bytes) else {
            return work(&mut self.bus, bytes);
        };
        work(&mut self.bus, part)?;
        self.bus.flush()?;
        self.leash.reset()
    }
}

/// The first `len`; all, if there are not so many.
fn first<T>(of: &mut [T], len: usize) -> &mut [T] {
    let len = of.len().min(len);
    of.get_mut(..len).unwrap_or_default()
}

impl<B: SpiBus<Error = Infallible>> SpiBus for LeashedBus<B> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        self.moved(words.len(), |bus, len| bus.read(first(words, len)))
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        self.moved(words.len(), |bus, len| {
            bus.write(words.get(..len).unwrap_or_default())
        })
    }

    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        self.moved(read.len().max(write.len()), |bus, len| {
            let write = write.get(..len.min(write.len())).unwrap_or_default();
            bus.transfer(first(read, len), write)
        })
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        self.moved(words.len(), |bus, len| {
            bus.transfer_in_place(first(words, len))
        })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.bus.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Remembers what it was given.
    #[derive(Default)]
    struct Wire(Vec<u8>);

    impl ErrorType for Wire {
        type Error = Infallible;
    }

    impl SpiBus for Wire {
        fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
            self.write(words)
        }

        fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
            self.0.extend_from_slice(words);
            Ok(())
        }

        fn transfer(&mut self, _: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
            self.write(write)
        }

        fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
            self.write(words)
        }

        fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

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

    #[test]
    fn a_board_that_is_reset_gets_half_of_its_last_transfer_onto_the_bus() {
        let leash = Leash::new(VirtualClock::new());
        let mut bus = LeashedBus::new(Wire::default(), leash.clone());
        let Ok(()) = bus.write(&[1]);
        leash.reset_after(1);
        let last = overrun(|| {
            let Ok(()) = bus.write(&[2, 3]);
            let Ok(()) = bus.transfer_in_place(&mut [4, 5, 6, 7, 8]);
        });
        assert_eq!(last, Some(Overrun::Reset));
        assert_eq!(bus.bus.0, [1, 2, 3, 4, 5]);
        assert_eq!(leash.transfers(), 3);
        // The next start of the board is as long as it likes to be.
        let Ok(()) = bus.write(&[9]);
        assert_eq!(bus.bus.0.last(), Some(&9));
    }
}
