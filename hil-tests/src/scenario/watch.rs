//! The watchdog's view of a node: how long it was not kicked, in virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use assay_spi_tpm::clock::VirtualClock;
use assay_spi_tpm::hal::VirtualDelay;
use embedded_hal::delay::DelayNs;

/// Remembers the longest time between two kicks.
#[derive(Clone)]
pub struct Watch {
    clock: VirtualClock,
    last_ns: Rc<Cell<u64>>,
    longest_ns: Rc<Cell<u64>>,
}

impl Watch {
    /// Begins now.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        let now = clock.now_ns();
        Self {
            clock,
            last_ns: Rc::new(Cell::new(now)),
            longest_ns: Rc::default(),
        }
    }

    /// Begins anew, after time in which nobody ran.
    pub fn restart(&self) {
        self.last_ns.set(self.clock.now_ns());
    }

    /// A kick.
    pub fn kick(&self) {
        let now = self.clock.now_ns();
        let waited = now.saturating_sub(self.last_ns.replace(now));
        self.longest_ns.set(self.longest_ns.get().max(waited));
    }

    /// The longest time without one so far.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_ns.get())
    }

    /// A delay that kicks, as the boards' timers do: what is waited for in it is the TPM.
    #[must_use]
    pub fn delay(&self) -> WatchedDelay {
        WatchedDelay {
            delay: VirtualDelay::new(self.clock.clone()),
            watch: self.clone(),
        }
    }
}

/// See [`Watch::delay`].
#[derive(Clone)]
pub struct WatchedDelay {
    delay: VirtualDelay,
    watch: Watch,
}

impl DelayNs for WatchedDelay {
    /// Kicks every 10 ms at least, as `Platform` asks for.
    fn delay_ns(&mut self, ns: u32) {
        let mut left = ns;
        self.watch.kick();
        while left > 0 {
            let part = left.min(10_000_000);
            self.delay.delay_ns(part);
            self.watch.kick();
            left = left.saturating_sub(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_counts_and_a_delay_kicks_within_it() {
        let clock = VirtualClock::new();
        let watch = Watch::new(clock.clone());
        clock.advance_ns(7_000);
        watch.kick();
        clock.advance_ns(3_000);
        watch.kick();
        assert_eq!(watch.longest(), Duration::from_nanos(7_000));
        watch.delay().delay_ms(1_000);
        assert_eq!(clock.now_ns(), 1_000_010_000);
        assert_eq!(watch.longest(), Duration::from_millis(10));
    }
}
