//! The agent's time over a chip's own timer, for boards whose SysTick stands still in sleep, or that have none.

use assay_firmware::platform::Platform;
use embedded_hal::delay::DelayNs;

use crate::wait::{Waiter, wait_us};

/// A timer that runs, and the board's watchdog. Copies of it read the same counter.
pub trait Clock: Copy {
    /// Microseconds since start. Never goes back; not called from an interrupt handler.
    fn now_us(self) -> u64;

    /// Sleeps until an interrupt, a millisecond at most.
    fn sleep(self);

    /// Restarts the watchdog's countdown.
    fn kick(self);

    /// [`Platform::restart`].
    fn restart(self);

    /// [`Platform::noise`], of a board that has a source.
    fn noise(self, out: &mut [u8; 32]) -> usize {
        let _ = out;
        0
    }
}

/// What the driver and the run loop take.
#[derive(Debug, Clone, Copy)]
pub struct Timer<C>(pub C);

impl<C: Clock> Waiter for Timer<C> {
    fn now_us(&mut self) -> u64 {
        self.0.now_us()
    }

    fn kick(&mut self) {
        self.0.kick();
    }

    fn sleep(&mut self) {
        self.0.sleep();
    }
}

impl<C: Clock> DelayNs for Timer<C> {
    /// Waits at least `ns`, asleep if it is long, and keeps the watchdog quiet.
    fn delay_ns(&mut self, ns: u32) {
        wait_us(self, u64::from(ns.div_ceil(1_000)));
    }

    fn delay_us(&mut self, us: u32) {
        wait_us(self, u64::from(us));
    }

    fn delay_ms(&mut self, ms: u32) {
        wait_us(self, u64::from(ms) * 1_000);
    }
}

impl<C: Clock> Platform for Timer<C> {
    fn now_us(&mut self) -> u64 {
        self.0.now_us()
    }

    fn idle(&mut self) {
        self.0.kick();
        self.0.sleep();
    }

    fn kick_watchdog(&mut self) {
        self.0.kick();
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        self.0.noise(out)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Default)]
    struct Counts {
        us: Cell<u64>,
        kicks: Cell<u32>,
        sleeps: Cell<u32>,
        restarts: Cell<u32>,
    }

    fn add<T: Copy + core::ops::Add<Output = T>>(cell: &Cell<T>, more: T) {
        cell.set(cell.get() + more);
    }

    impl Clock for &Counts {
        fn now_us(self) -> u64 {
            add(&self.us, 1);
            self.us.get()
        }

        fn sleep(self) {
            add(&self.us, 1_000);
            add(&self.sleeps, 1);
        }

        fn kick(self) {
            add(&self.kicks, 1);
        }

        fn restart(self) {
            add(&self.restarts, 1);
        }

        fn noise(self, out: &mut [u8; 32]) -> usize {
            out.fill(7);
            9
        }
    }

    #[test]
    fn delays_are_at_least_as_long_as_asked() {
        let counts = Counts::default();
        let mut timer = Timer(&counts);
        for (delay, least_us) in [(1_u32, 1), (1_000, 1), (1_001, 2), (2_000_000, 2_000)] {
            let before = counts.us.get();
            timer.delay_ns(delay);
            assert!(counts.us.get() - before > least_us, "{delay} ns");
        }
        let before = counts.us.get();
        timer.delay_us(700);
        assert!((701..1_000).contains(&(counts.us.get() - before)));
        timer.delay_ms(u32::MAX / 1_000_000);
        assert!(counts.us.get() > 4_000_000 && counts.sleeps.get() > 3_000);
    }

    #[test]
    fn resting_kicks_the_watchdog_and_a_restart_reaches_the_board() {
        let counts = Counts::default();
        let mut timer = Timer(&counts);
        timer.idle();
        timer.idle();
        assert_eq!((counts.kicks.get(), counts.sleeps.get()), (2, 2));
        timer.kick_watchdog();
        assert_eq!((counts.kicks.get(), counts.restarts.get()), (3, 0));
        timer.restart();
        assert_eq!(counts.restarts.get(), 1);
        let mut noise = [0; 32];
        assert_eq!((timer.noise(&mut noise), noise), (9, [7; 32]));
    }
}
