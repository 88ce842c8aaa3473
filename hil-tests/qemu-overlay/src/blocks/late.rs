//! A timer some of whose alarms are set late: time passes between the instruction that reads the counter and the one that sets
//! the alarm by it. In an emulator it is the machine's, which does something else meanwhile. On silicon, where interrupts are
//! masked there, it takes a debugger or a bus that stalls.

use super::control::Timer;

/// By how much, ns: more than any sleep of a board takes.
const LATE_NS: u64 = 2_000_000;
/// One in so many, so that the board's time stays near the guest's.
const EVERY: u32 = 16;

/// The timer, ahead of the guest's time by all that was added.
#[derive(Debug)]
pub struct Late<T> {
    timer: T,
    /// Offset of the alarm.
    alarm: u32,
    /// Alarms so far.
    set: u32,
    now: u64,
    added: u64,
}

impl<T: Timer> Late<T> {
    /// Late at the 16th write to the register at `alarm`, and each 16th after it.
    #[must_use]
    pub const fn new(timer: T, alarm: u32) -> Self {
        Self {
            timer,
            alarm,
            set: 0,
            now: 0,
            added: 0,
        }
    }
}

impl<T: Timer> Timer for Late<T> {
    fn reset(&mut self) {
        self.timer.reset();
    }

    fn set_time(&mut self, ns: u64) {
        self.now = ns;
        self.timer.set_time(ns.saturating_add(self.added));
    }

    fn set_tick(&mut self, ns: Option<u64>) {
        self.timer.set_tick(ns);
    }

    fn interrupt(&self) -> bool {
        self.timer.interrupt()
    }

    fn next(&self) -> Option<u64> {
        let next = self.timer.next();
        next.map(|at| at.saturating_sub(self.added))
    }

    fn late(&self) -> u32 {
        self.set.checked_div(EVERY).unwrap_or(0)
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        self.timer.read(offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        if offset == self.alarm {
            self.set = self.set.wrapping_add(1);
            if self.set.is_multiple_of(EVERY) {
                self.added = self.added.saturating_add(LATE_NS);
                self.set_time(self.now);
            }
        }
        self.timer.write(offset, size, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{EVERY, Late};
    use crate::blocks::control::Timer as _;
    use crate::blocks::rp;

    /// TIMERAWL and INTE.
    const LOW: u32 = 0x28;
    const ENABLE: u32 = 0x40;

    #[test]
    fn an_alarm_of_a_millisecond_is_missed_and_one_of_three_comes_by_the_guests_time() {
        for (wait, comes) in [(1_000, 1 << 32), (3_000, 1_000)] {
            let mut timer = Late::new(rp::Timer::default(), rp::ALARM);
            timer.set_time(5_000);
            timer.set_tick(Some(1_000));
            timer.write(ENABLE, 4, 1);
            let from = timer.read(LOW, 4);
            for _ in 1..EVERY {
                timer.write(rp::ALARM, 4, from + wait);
                assert_eq!(timer.read(LOW, 4), 0);
            }
            timer.write(rp::ALARM, 4, from + wait);
            assert_eq!(timer.read(LOW, 4), 2_000);
            let near = |at: u64| at.abs_diff(5_000 + comes * 1_000) <= 1_000_000;
            assert!(timer.next().is_some_and(near), "{wait}");
            assert_eq!(timer.late(), 1);
        }
    }
}
