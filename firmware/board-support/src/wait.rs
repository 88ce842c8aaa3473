//! Waiting that leaves the watchdog alone.

/// Shorter waits spin, since a sleep ends only at the next tick.
const SLEEP_FROM_US: u64 = 2_000;

/// What a wait needs of a board.
pub trait Waiter {
    /// Microseconds since start.
    fn now_us(&mut self) -> u64;

    /// Restarts the watchdog's countdown.
    fn kick(&mut self);

    /// Sleeps for about a millisecond at most.
    fn sleep(&mut self);
}

/// Waits at least `us`; from two milliseconds on asleep.
///
/// The watchdog is kicked however short the wait: a TPM is polled every tenth of a millisecond, and a command of many
/// polls may take longer than the watchdog's patience without any one wait being long.
pub fn wait_us(waiter: &mut impl Waiter, us: u64) {
    waiter.kick();
    // One more, since the first microsecond has already begun.
    let end = waiter.now_us() + us + 1;
    while waiter.now_us() < end {
        if us >= SLEEP_FROM_US {
            waiter.kick();
            waiter.sleep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time passes with each look at it, and in sleep. Remembers the longest time without a kick.
    #[derive(Default)]
    struct Fake {
        us: u64,
        kicked_at: u64,
        longest: u64,
        sleeps: u32,
    }

    impl Waiter for Fake {
        fn now_us(&mut self) -> u64 {
            self.us += 1;
            self.us
        }

        fn kick(&mut self) {
            self.longest = self.longest.max(self.us - self.kicked_at);
            self.kicked_at = self.us;
        }

        fn sleep(&mut self) {
            self.us += 1_000;
            self.sleeps += 1;
        }
    }

    #[test]
    fn many_short_waits_keep_the_watchdog_quiet() {
        let mut fake = Fake::default();
        for _ in 0..10_000 {
            wait_us(&mut fake, 1_999);
        }
        assert!(fake.us > 19_990_000);
        assert_eq!(fake.sleeps, 0);
        assert!(fake.longest < 2_100, "{}", fake.longest);
    }

    #[test]
    fn a_long_wait_keeps_the_watchdog_quiet_asleep() {
        let mut fake = Fake::default();
        wait_us(&mut fake, 60_000_000);
        assert!(fake.us > 60_000_000 && fake.us < 60_002_000, "{}", fake.us);
        assert!(fake.sleeps > 59_000);
        assert!(fake.longest < 1_100, "{}", fake.longest);
    }
}
