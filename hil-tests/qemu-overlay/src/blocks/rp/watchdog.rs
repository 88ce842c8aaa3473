//! WATCHDOG: a countdown of the ticks that TICKS makes for it. `[RP2350] 12.9`
//!
//! It counts while it is enabled and has ticks; without them it stands, and nobody restarts the chip.

use crate::blocks::{Countdown, Watchdog, Words, narrow};

const CTRL: u32 = 0x00;
const LOAD: u32 = 0x04;
const REASON: u32 = 0x08;

const TRIGGER: u32 = 1 << 31;
const ENABLE: u32 = 1 << 30;
const PAUSES: u32 = 7 << 24;
const TIME: u32 = 0x00FF_FFFF;
/// REASON: the countdown ran out, or was made to.
const BY_TIMER: u32 = 1;

/// The watchdog.
#[derive(Debug, Clone)]
pub struct Dog {
    words: Words<0xB>,
    /// What is left while it stands, in ticks.
    left: u32,
    tick_ns: Option<u64>,
    countdown: Countdown,
}

impl Default for Dog {
    fn default() -> Self {
        let mut words = Words::default();
        words.set(CTRL, PAUSES);
        Self {
            words,
            left: 0,
            tick_ns: None,
            countdown: Countdown::default(),
        }
    }
}

impl Dog {
    fn is_enabled(&self) -> bool {
        self.words.get(CTRL) & ENABLE != 0
    }

    fn left(&self, now_ns: u64) -> u32 {
        let counted = self.countdown.left_ns(now_ns).zip(self.tick_ns);
        counted
            .and_then(|(left, tick)| u32::try_from(left.checked_div(tick)?).ok())
            .unwrap_or(self.left)
    }

    /// Counts from here on what is left, if it counts.
    fn go_on(&mut self, now_ns: u64) {
        match self.tick_ns.filter(|_| self.is_enabled()) {
            Some(tick) => {
                let limit = u64::from(self.left).saturating_mul(tick);
                self.countdown.kick(now_ns, limit);
            }
            None => self.countdown.stop(now_ns),
        }
    }
}

impl Watchdog for Dog {
    fn reset(&mut self, now_ns: u64) {
        let bitten = self.countdown.expired(now_ns);
        self.countdown.stop(now_ns);
        let countdown = std::mem::take(&mut self.countdown);
        *self = Self {
            countdown,
            ..Self::default()
        };
        self.words.set(REASON, if bitten { BY_TIMER } else { 0 });
    }

    fn set_tick(&mut self, tick_ns: Option<u64>, now_ns: u64) {
        if self.tick_ns != tick_ns {
            self.left = self.left(now_ns);
            self.tick_ns = tick_ns;
            match tick_ns.filter(|_| self.countdown.is_running()) {
                // At another speed, which is no kick.
                Some(tick) => {
                    let left = u64::from(self.left).saturating_mul(tick);
                    self.countdown.load(now_ns, left);
                }
                None => self.go_on(now_ns),
            }
        }
    }

    fn read(&mut self, offset: u32, size: u32, now_ns: u64) -> u32 {
        let word = match offset & !3 {
            CTRL => self.words.get(CTRL) | self.left(now_ns),
            // Write-only.
            LOAD => 0,
            at => self.words.get(at),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, _: u32, value: u32, now_ns: u64) {
        match offset & !3 {
            CTRL => {
                let was = self.is_enabled();
                self.words.set(CTRL, value & (ENABLE | PAUSES));
                if was != self.is_enabled() {
                    self.left = self.left(now_ns);
                    self.go_on(now_ns);
                }
                if value & TRIGGER != 0 {
                    self.countdown.kick(now_ns, 0);
                }
            }
            LOAD => {
                self.left = value & TIME;
                self.go_on(now_ns);
            }
            REASON => {}
            at => self.words.set(at, value),
        }
    }

    fn countdown(&mut self, _: u64) -> &Countdown {
        &self.countdown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const US: Option<u64> = Some(1_000);

    /// 8 s, with ticks or without.
    fn enabled(tick: Option<u64>) -> Dog {
        let mut dog = Dog::default();
        dog.set_tick(tick, 0);
        dog.write(LOAD, 4, 8_000_000, 0);
        dog.write(CTRL, 4, PAUSES | ENABLE, 0);
        dog
    }

    fn ends(dog: &mut Dog) -> Option<u64> {
        dog.countdown(0).runs_out_ns()
    }

    #[test]
    fn it_counts_what_was_loaded_and_is_kicked_by_the_next_load() {
        let mut dog = enabled(US);
        assert_eq!(ends(&mut dog), Some(8 * SECOND));
        assert_eq!(dog.read(CTRL, 4, SECOND) & TIME, 7_000_000);
        dog.write(LOAD, 4, 8_000_000, SECOND);
        assert_eq!(ends(&mut dog), Some(9 * SECOND));
        dog.write(CTRL, 4, PAUSES, 2 * SECOND);
        assert_eq!(ends(&mut dog), None);
        assert_eq!(dog.read(CTRL, 4, 5 * SECOND) & TIME, 7_000_000);
    }

    #[test]
    fn it_stands_without_ticks_and_goes_on_with_them() {
        let mut dog = enabled(None);
        assert!(!dog.countdown(0).is_running());
        dog.set_tick(US, 20 * SECOND);
        assert_eq!(ends(&mut dog), Some(28 * SECOND));
        dog.set_tick(None, 21 * SECOND);
        assert_eq!(ends(&mut dog), None);
        assert_eq!(dog.read(CTRL, 4, 90 * SECOND) & TIME, 7_000_000);
        let mut dog = enabled(Some(2_000));
        dog.set_tick(US, 2 * SECOND);
        assert_eq!(ends(&mut dog), Some(9 * SECOND));
        let kicks = dog.countdown(9 * SECOND).kicks(9 * SECOND);
        assert_eq!(kicks.map(|kicks| kicks.longest_gap_us), Some(9_000_000));
    }

    #[test]
    fn a_bite_is_the_reason_of_the_reset_and_a_reset_ends_the_countdown() {
        let mut dog = enabled(US);
        dog.reset(SECOND);
        assert_eq!(dog.read(REASON, 4, SECOND), 0);
        assert!(!dog.countdown(SECOND).is_running());
        let mut dog = enabled(US);
        dog.write(CTRL, 4, PAUSES | ENABLE | TRIGGER, SECOND);
        assert!(dog.countdown(SECOND).expired(SECOND));
        dog.reset(SECOND);
        assert_eq!(dog.read(REASON, 4, SECOND), BY_TIMER);
    }
}
