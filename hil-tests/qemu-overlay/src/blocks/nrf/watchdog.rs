//! WDT: a countdown of the slow oscillator's 32,768 Hz, which nothing stops but a reset. `[nRF52840_PS] WDT`
//!
//! Its settings are fixed from the start on. It is kicked when each of the reload registers that are enabled was written.

use crate::blocks::{Countdown, Watchdog, Words, merge, narrow};

const TASKS_START: u32 = 0x000;
const RUNSTATUS: u32 = 0x400;
const REQSTATUS: u32 = 0x404;
const CRV: u32 = 0x504;
const RREN: u32 = 0x508;
const CONFIG: u32 = 0x50C;
const RR: u32 = 0x600;
const RR_LAST: u32 = 0x61C;

/// What a reload register takes.
const RELOAD: u32 = 0x6E52_4635;
/// Periods of the slow oscillator in a second.
const SLOW_HZ: u64 = 32_768;
/// The lowest reload value.
const LEAST: u32 = 0xF;

/// The watchdog.
#[derive(Debug, Clone)]
pub struct Wdt {
    words: Words<0x144>,
    /// Which of the enabled reload registers are still to be written.
    requested: u32,
    countdown: Countdown,
}

impl Default for Wdt {
    fn default() -> Self {
        let mut words = Words::default();
        words.set(CRV, u32::MAX);
        words.set(RREN, 1);
        words.set(CONFIG, 1);
        Self {
            words,
            requested: 0,
            countdown: Countdown::default(),
        }
    }
}

impl Wdt {
    fn enabled(&self) -> u32 {
        self.words.get(RREN) & 0xFF
    }

    fn kick(&mut self, now_ns: u64) {
        let periods = u64::from(self.words.get(CRV).max(LEAST)).saturating_add(1);
        let limit = periods.saturating_mul(1_000_000_000) / SLOW_HZ;
        self.countdown.kick(now_ns, limit);
        self.requested = self.enabled();
    }
}

impl Watchdog for Wdt {
    fn reset(&mut self, now_ns: u64) {
        self.countdown.stop(now_ns);
        let countdown = std::mem::take(&mut self.countdown);
        *self = Self {
            countdown,
            ..Self::default()
        };
    }

    fn read(&mut self, offset: u32, size: u32, _: u64) -> u32 {
        let word = match offset & !3 {
            RUNSTATUS => u32::from(self.countdown.is_running()),
            REQSTATUS => self.requested,
            TASKS_START | RR..=RR_LAST => 0,
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32, now_ns: u64) {
        let running = self.countdown.is_running();
        match offset & !3 {
            TASKS_START if value & 1 != 0 && !running => self.kick(now_ns),
            CRV | RREN | CONFIG if !running => {
                let word = merge(self.words.get(offset), offset, size, value);
                self.words.set(offset, word);
            }
            RR..=RR_LAST if running && value == RELOAD => {
                let number = offset.saturating_sub(RR) / 4;
                self.requested &= !1_u32.checked_shl(number).unwrap_or(0);
                if self.requested == 0 && self.enabled() != 0 {
                    self.kick(now_ns);
                }
            }
            _ => {}
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

    /// 8 s, by the reload registers of `enabled`.
    fn running(enabled: u32) -> Wdt {
        let mut wdt = Wdt::default();
        for (register, value) in [(CRV, 8 * 32_768 - 1), (RREN, enabled), (TASKS_START, 1)] {
            wdt.write(register, 4, value, 0);
        }
        wdt
    }

    #[test]
    fn it_stands_still_until_it_is_started_and_then_has_its_settings_for_good() {
        let mut wdt = Wdt::default();
        wdt.write(RR, 4, RELOAD, 5);
        assert!(!wdt.countdown(5).is_running());
        let mut wdt = running(1);
        assert_eq!(wdt.countdown(0).runs_out_ns(), Some(8 * SECOND));
        wdt.write(CRV, 4, u32::MAX, SECOND);
        wdt.write(RREN, 4, 0, SECOND);
        wdt.write(TASKS_START, 4, 1, SECOND);
        assert_eq!(wdt.countdown(SECOND).runs_out_ns(), Some(8 * SECOND));
        assert_eq!(wdt.read(RUNSTATUS, 4, SECOND), 1);
        wdt.reset(2 * SECOND);
        assert_eq!(wdt.read(RUNSTATUS, 4, 3 * SECOND), 0);
        assert_eq!(wdt.read(CRV, 4, 3 * SECOND), u32::MAX);
    }

    #[test]
    fn it_is_kicked_by_its_number_alone_and_by_all_registers_that_are_enabled() {
        let mut wdt = running(0b101);
        let ends = |wdt: &mut Wdt, now| wdt.countdown(now).runs_out_ns();
        wdt.write(RR, 4, RELOAD ^ 1, SECOND);
        wdt.write(RR + 4, 4, RELOAD, SECOND);
        wdt.write(RR, 4, RELOAD, SECOND);
        assert_eq!(ends(&mut wdt, SECOND), Some(8 * SECOND));
        assert_eq!(wdt.read(REQSTATUS, 4, SECOND), 0b100);
        wdt.write(RR + 8, 4, RELOAD, 2 * SECOND);
        assert_eq!(ends(&mut wdt, 2 * SECOND), Some(10 * SECOND));
        assert!(wdt.countdown(10 * SECOND).expired(10 * SECOND));
    }
}
