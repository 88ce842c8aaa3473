//! TIMER0: counts the ticks of its generator in 64 bits, with alarms on the low word. `[RP2350] 12.8`
//!
//! Alarms with their interrupts 0 to 3, of which the machine has the first connected. No lock, no other source than the ticks.

use crate::blocks::{self, merge, narrow};

const TIMEHW: u32 = 0x00;
const TIMELW: u32 = 0x04;
const TIMEHR: u32 = 0x08;
const TIMELR: u32 = 0x0C;
/// The first alarm.
pub const ALARM: u32 = 0x10;
const ARMED: u32 = 0x20;
const TIMERAWH: u32 = 0x24;
const TIMERAWL: u32 = 0x28;
const PAUSE: u32 = 0x30;
const INTR: u32 = 0x3C;
const INTE: u32 = 0x40;
const INTF: u32 = 0x44;
const INTS: u32 = 0x48;

const ALARMS: usize = 4;
/// Its bit in ARMED and the interrupts' registers.
const FIRST: u32 = 1;

/// The timer.
#[derive(Debug, Default)]
pub struct Timer {
    now: u64,
    /// Of the generator; `None` while it stands.
    tick_ns: Option<u64>,
    /// The guest's time of the last whole tick.
    at: u64,
    counted: u64,
    alarms: [u32; ALARMS],
    armed: u32,
    raised: u32,
    enabled: u32,
    forced: u32,
    paused: bool,
    /// What a read of TIMELR latches, and a write of TIMELW.
    latched: u32,
    written: u32,
}

impl Timer {
    fn high(&self) -> u32 {
        u32::try_from(self.counted >> 32).unwrap_or(0)
    }

    fn low(&self) -> u32 {
        u32::try_from(self.counted & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn raised(&self) -> u32 {
        (self.raised | self.forced) & (self.enabled | self.forced)
    }

    fn nth_alarm(&mut self, offset: u32) -> Option<(u32, &mut u32)> {
        let nth = offset.checked_sub(ALARM)? >> 2;
        let bit = FIRST.checked_shl(nth)?;
        let alarm = self.alarms.get_mut(usize::try_from(nth).ok()?)?;
        Some((bit, alarm))
    }

    fn run(&mut self) {
        let Some(tick) = self.tick_ns.filter(|_| !self.paused) else {
            self.at = self.now;
            return;
        };
        let passed = self.now.saturating_sub(self.at);
        let ticks = passed.checked_div(tick).unwrap_or(0);
        let before = self.low();
        self.counted = self.counted.wrapping_add(ticks);
        self.at = self.at.saturating_add(ticks.saturating_mul(tick));
        for (nth, alarm) in (0u32..).zip(self.alarms) {
            let bit = FIRST.checked_shl(nth).unwrap_or(0);
            // Equal to the low word: one that was missed comes after a whole round.
            if self.armed & bit != 0 && ticks_to(before, alarm) <= ticks {
                self.armed &= !bit;
                self.raised |= bit;
            }
        }
    }
}

impl blocks::Timer for Timer {
    fn reset(&mut self) {
        *self = Self {
            now: self.now,
            tick_ns: self.tick_ns,
            at: self.now,
            ..Self::default()
        };
    }

    fn set_time(&mut self, ns: u64) {
        self.now = ns;
        self.run();
    }

    fn set_tick(&mut self, ns: Option<u64>) {
        if self.tick_ns != ns {
            self.tick_ns = ns;
            self.at = self.now;
        }
    }

    fn interrupt(&self) -> bool {
        self.raised() & FIRST != 0
    }

    fn next(&self) -> Option<u64> {
        let tick = self.tick_ns.filter(|_| !self.paused)?;
        let [first, ..] = self.alarms;
        (self.armed & self.enabled & FIRST != 0).then(|| {
            let ticks = ticks_to(self.low(), first);
            self.at.saturating_add(ticks.saturating_mul(tick))
        })
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            TIMEHR => self.latched,
            TIMELR => {
                self.latched = self.high();
                self.low()
            }
            ARMED => self.armed,
            TIMERAWH => self.high(),
            TIMERAWL => self.low(),
            PAUSE => u32::from(self.paused),
            INTR => self.raised,
            INTE => self.enabled,
            INTF => self.forced,
            INTS => self.raised(),
            at => self.nth_alarm(at).map_or(0, |(_, alarm)| *alarm),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let word = merge(0, offset, size, value);
        match offset & !3 {
            TIMELW => self.written = word,
            TIMEHW => self.counted = u64::from(word) << 32 | u64::from(self.written),
            // A one disarms.
            ARMED => self.armed &= !word,
            PAUSE => self.paused = word & 1 != 0,
            INTR => self.raised &= !word,
            INTE => self.enabled = word & 0xF,
            INTF => self.forced = word & 0xF,
            at => {
                if let Some((bit, alarm)) = self.nth_alarm(at) {
                    *alarm = word;
                    self.armed |= bit;
                }
            }
        }
    }
}

/// Ticks from the low word `low` to the next time that it is `alarm`: a whole round where it is now.
fn ticks_to(low: u32, alarm: u32) -> u64 {
    match alarm.wrapping_sub(low) {
        0 => 1 << 32,
        ticks => u64::from(ticks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::Timer as _;

    /// A tick each µs, from the time 5 µs on.
    fn running() -> Timer {
        let mut timer = Timer::default();
        timer.set_time(5_000);
        timer.set_tick(Some(1_000));
        timer
    }

    #[test]
    fn looks_between_two_ticks_lose_no_time_and_without_ticks_none_passes() {
        let mut timer = running();
        for step in 1..=10_000u64 {
            timer.set_time(5_000 + step * 300);
            timer.read(TIMERAWL, 4);
        }
        assert_eq!(timer.read(TIMERAWL, 4), 3_000);
        timer.set_tick(None);
        timer.set_time(9_000_000);
        assert_eq!(timer.read(TIMERAWL, 4), 3_000);
        timer.set_tick(Some(1_000));
        timer.set_time(9_002_000);
        assert_eq!(timer.read(TIMERAWL, 4), 3_002);
        timer.reset();
        assert_eq!(timer.read(TIMERAWL, 4), 0);
    }

    #[test]
    fn an_alarm_comes_once_when_its_time_is_there_and_interrupts_where_it_is_enabled() {
        let mut timer = running();
        timer.write(ALARM, 4, 7);
        assert_eq!(timer.next(), None, "nobody waits for it");
        timer.write(INTE, 4, 1);
        assert_eq!(timer.next(), Some(12_000));
        timer.set_time(11_999);
        assert!(!timer.interrupt() && timer.read(ARMED, 4) == 1);
        timer.set_time(12_000);
        assert!(timer.interrupt() && timer.read(ARMED, 4) == 0);
        timer.write(INTR, 4, 1);
        assert!(!timer.interrupt() && timer.next().is_none());
        timer.write(ALARM, 4, 9);
        timer.write(ARMED, 4, 1);
        timer.set_time(20_000);
        assert!(!timer.interrupt(), "it was disarmed");
        timer.write(ALARM, 4, 9);
        assert_eq!(timer.next(), Some(14_000 + (1 << 32) * 1_000), "missed");
    }

    #[test]
    fn the_high_word_follows_the_low_one() {
        let mut timer = running();
        timer.write(TIMELW, 4, u32::MAX);
        timer.write(TIMEHW, 4, 1);
        timer.set_time(6_000);
        let raw = (timer.read(TIMERAWH, 4), timer.read(TIMERAWL, 4));
        assert_eq!(raw, (2, 0));
        assert_eq!((timer.read(TIMELR, 4), timer.read(TIMEHR, 4)), (0, 2));
    }
}
