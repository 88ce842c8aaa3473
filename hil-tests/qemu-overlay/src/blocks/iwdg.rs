//! The independent watchdog of STM32s: KR, PR, RLR, SR, and WINR where there is a window. `[RM0090] 21`, `[RM0351] 36`
//!
//! It counts periods of the slow internal oscillator, nominally 32 kHz. A new divider or reload value holds from five of them
//! later, and a kick before that loads the old one: the manuals' order is to write both, to wait for SR, and to kick.

use super::watchdog::{Countdown, Watchdog};
use super::{merge, narrow};

const KR: u32 = 0x00;
const PR: u32 = 0x04;
const RLR: u32 = 0x08;
const SR: u32 = 0x0C;
const WINR: u32 = 0x10;

const KEY_UNLOCK: u32 = 0x5555;
const KEY_START: u32 = 0xCCCC;
const KEY_RELOAD: u32 = 0xAAAA;

/// PVU, RVU, WVU: the register's new value does not hold yet.
const UPDATES: [u32; 3] = [1 << 0, 1 << 1, 1 << 2];
/// RL and WIN have 12 bits.
const COUNT_MAX: u32 = 0xFFF;
/// A period of the oscillator, ns.
const PERIOD_NS: u64 = 1_000_000_000 / 32_000;
/// How long an update takes at most.
const UPDATE_NS: u64 = 5 * PERIOD_NS;

/// A register that is written in one domain of the chip and holds in another.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    holds: u32,
    /// What is on its way, and when it is there.
    coming: Option<(u32, u64)>,
}

impl Crossing {
    const fn new(holds: u32) -> Self {
        let coming = None;
        Self { holds, coming }
    }

    /// A value that is on its way cannot be overtaken by another.
    fn write(&mut self, value: u32, now_ns: u64) {
        if self.coming.is_none() {
            self.coming = Some((value, now_ns.saturating_add(UPDATE_NS)));
        }
    }

    /// When the value on its way arrived, if it has by now.
    fn settle(&mut self, now_ns: u64) -> Option<u64> {
        let (value, at) = self.coming.filter(|(_, at)| *at <= now_ns)?;
        *self = Self::new(value);
        Some(at)
    }
}

/// The watchdog.
#[derive(Debug, Clone)]
pub struct Iwdg {
    divider: Crossing,
    reload: Crossing,
    window: Crossing,
    /// Whether the chip has the register at all.
    windowed: bool,
    unlocked: bool,
    countdown: Countdown,
}

impl Iwdg {
    /// One that stands still; `windowed`: a kick can come too early, too.
    #[must_use]
    pub fn new(windowed: bool) -> Self {
        Self {
            divider: Crossing::new(0),
            reload: Crossing::new(COUNT_MAX),
            window: Crossing::new(COUNT_MAX),
            windowed,
            unlocked: false,
            countdown: Countdown::default(),
        }
    }

    /// How long one count takes. Codes 6 and 7 are both 256.
    fn count_ns(&self) -> u64 {
        PERIOD_NS.saturating_mul(4 << self.divider.holds.min(6))
    }

    /// Counts that are left, of which the last is the one to 0.
    fn left(&self, now_ns: u64) -> u64 {
        let left = self.countdown.left_ns(now_ns).unwrap_or(0);
        left.checked_div(self.count_ns()).unwrap_or(0)
    }

    fn load(&mut self, now_ns: u64) {
        let limit = self.count_ns().saturating_mul(self.reload.holds.into());
        self.countdown.kick(now_ns, limit);
    }

    fn settle(&mut self, now_ns: u64) {
        let slow = self.count_ns();
        if let Some(at) = self.divider.settle(now_ns) {
            let left = self.countdown.left_ns(at).unwrap_or(0);
            let counts = left.checked_div(slow).unwrap_or(0);
            let left = counts.saturating_mul(self.count_ns());
            self.countdown.load(at, left);
        }
        self.reload.settle(now_ns);
        self.window.settle(now_ns);
    }

    fn key(&mut self, key: u32, now_ns: u64) {
        // Any other key locks the registers again.
        self.unlocked = key == KEY_UNLOCK;
        match key {
            KEY_START if !self.countdown.is_running() => self.load(now_ns),
            KEY_RELOAD if self.countdown.is_running() => self.reload(now_ns),
            _ => {}
        }
    }

    fn reload(&mut self, now_ns: u64) {
        // What has run out runs out, however late its reset comes; and a kick before the window opens is one too many.
        let early = self.windowed && self.left(now_ns) > self.window.holds.into();
        if early {
            self.countdown.run_out(now_ns);
        } else if !self.countdown.expired(now_ns) {
            self.load(now_ns);
        }
    }
}

impl Watchdog for Iwdg {
    fn reset(&mut self, now_ns: u64) {
        let mut countdown = std::mem::take(&mut self.countdown);
        countdown.stop(now_ns);
        *self = Self {
            countdown,
            ..Self::new(self.windowed)
        };
    }

    fn read(&mut self, offset: u32, size: u32, now_ns: u64) -> u32 {
        self.settle(now_ns);
        let word = match offset & !3 {
            PR => self.divider.holds,
            RLR => self.reload.holds,
            WINR if self.windowed => self.window.holds,
            SR => [self.divider, self.reload, self.window]
                .into_iter()
                .zip(UPDATES)
                .filter(|(register, _)| register.coming.is_some())
                .fold(0, |word, (_, bit)| word | bit),
            _ => 0,
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32, now_ns: u64) {
        self.settle(now_ns);
        let word = merge(0, offset, size, value);
        match offset & !3 {
            KR => self.key(word & 0xFFFF, now_ns),
            PR if self.unlocked => self.divider.write(word & 7, now_ns),
            RLR if self.unlocked => self.reload.write(word & COUNT_MAX, now_ns),
            WINR if self.unlocked && self.windowed => {
                self.window.write(word & COUNT_MAX, now_ns);
                // With a new window comes a full count.
                if self.countdown.is_running() {
                    self.load(now_ns);
                }
            }
            _ => {}
        }
    }

    fn countdown(&mut self, now_ns: u64) -> &Countdown {
        self.settle(now_ns);
        &self.countdown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Divider 256 and 1,000 counts: 8 s.
    fn started(windowed: bool) -> Iwdg {
        let mut dog = Iwdg::new(windowed);
        dog.write(KR, 4, KEY_START, 0);
        dog.write(KR, 4, KEY_UNLOCK, 0);
        dog.write(PR, 4, 6, 0);
        dog.write(RLR, 4, 1_000, 0);
        assert_eq!(dog.read(SR, 4, 0), 3);
        assert_eq!(dog.read(SR, 4, UPDATE_NS), 0);
        dog.write(KR, 4, KEY_RELOAD, UPDATE_NS);
        dog
    }

    fn expired(dog: &mut Iwdg, now_ns: u64) -> bool {
        dog.countdown(now_ns).expired(now_ns)
    }

    #[test]
    fn waits_as_long_as_divider_and_reload_value_say_from_the_kick_on() {
        let mut dog = started(false);
        assert!(!expired(&mut dog, 8 * SECOND));
        assert!(expired(&mut dog, 8 * SECOND + UPDATE_NS));
        let mut dog = started(false);
        dog.write(KR, 4, KEY_RELOAD, 7 * SECOND);
        assert!(!expired(&mut dog, 15 * SECOND - 1));
        assert!(expired(&mut dog, 15 * SECOND));
    }

    #[test]
    fn nothing_starts_it_but_its_key_and_nothing_stops_it_but_a_reset() {
        let mut dog = Iwdg::new(false);
        dog.write(KR, 4, KEY_RELOAD, 0);
        dog.write(KR, 4, KEY_UNLOCK, 0);
        assert!(!dog.countdown(0).is_running());
        dog.write(KR, 4, KEY_START, 0);
        for key in [0, KEY_UNLOCK, 0x3333, KEY_START] {
            dog.write(KR, 4, key, SECOND / 4);
        }
        // 4,095 counts of four periods; to start it again is no kick.
        assert!(!expired(&mut dog, SECOND / 2));
        assert!(expired(&mut dog, 4_095 * 4 * PERIOD_NS));
        dog.reset(SECOND);
        assert!(!dog.countdown(SECOND).is_running());
        assert_eq!(dog.read(RLR, 4, SECOND), COUNT_MAX);
    }

    #[test]
    fn divider_and_reload_value_need_the_key_before_each_change() {
        let mut dog = started(false);
        for register in [PR, RLR] {
            dog.write(register, 4, 1, SECOND);
        }
        dog.write(KR, 4, KEY_UNLOCK, SECOND);
        dog.write(KR, 4, KEY_RELOAD, SECOND);
        dog.write(RLR, 4, 1, SECOND);
        let later = SECOND + UPDATE_NS;
        assert_eq!((dog.read(PR, 4, later), dog.read(RLR, 4, later)), (6, 1000));
        dog.write(KR, 4, KEY_UNLOCK, SECOND);
        dog.write(RLR, 4, 1, SECOND);
        assert_eq!(dog.read(RLR, 4, later), 1);
    }

    #[test]
    fn a_kick_before_the_new_values_hold_loads_the_old_ones() {
        let mut dog = Iwdg::new(false);
        dog.write(KR, 4, KEY_START, 0);
        dog.write(KR, 4, KEY_UNLOCK, 0);
        dog.write(PR, 4, 6, 0);
        dog.write(RLR, 4, 1_000, 0);
        dog.write(KR, 4, KEY_RELOAD, 1);
        // The old count at the new divider, less what was counted at the old one.
        assert!(!expired(&mut dog, 32 * SECOND));
        assert!(expired(&mut dog, 33 * SECOND));
    }

    #[test]
    fn a_kick_after_it_ran_out_comes_too_late() {
        let mut dog = started(false);
        dog.write(KR, 4, KEY_RELOAD, 9 * SECOND);
        assert!(expired(&mut dog, 9 * SECOND));
    }

    #[test]
    fn a_window_is_open_for_the_last_counts_only_and_only_where_there_is_one() {
        for windowed in [true, false] {
            let mut dog = started(windowed);
            dog.write(KR, 4, KEY_UNLOCK, SECOND);
            dog.write(WINR, 4, 500, SECOND);
            dog.write(KR, 4, KEY_RELOAD, 3 * SECOND);
            assert_eq!(expired(&mut dog, 3 * SECOND), windowed);
            let mut dog = started(windowed);
            dog.write(KR, 4, KEY_UNLOCK, SECOND);
            dog.write(WINR, 4, 500, SECOND);
            dog.write(KR, 4, KEY_RELOAD, 6 * SECOND);
            assert!(!expired(&mut dog, 7 * SECOND));
        }
    }
}
