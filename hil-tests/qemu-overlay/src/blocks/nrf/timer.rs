//! TIMER0: counts from 16 MHz divided by a power of two, with captures and compares. `[nRF52840_PS] TIMER`
//!
//! Its own instead of QEMU's for an nRF51: the one of QEMU 7.2 drops the part of a tick at every look at it, and so stands
//! still for a board that polls. No counter mode, no shortcuts.

use crate::blocks::{self, merge, narrow};

const TASKS_START: u32 = 0x000;
const TASKS_STOP: u32 = 0x004;
const TASKS_CLEAR: u32 = 0x00C;
const TASKS_CAPTURE: u32 = 0x040;
const EVENTS_COMPARE: u32 = 0x140;
const INTENSET: u32 = 0x304;
const INTENCLR: u32 = 0x308;
const BITMODE: u32 = 0x508;
const PRESCALER: u32 = 0x510;
/// The first compare register.
pub const CC: u32 = 0x540;

/// Compare registers of TIMER0.
const CHANNELS: usize = 4;
/// INTENSET has them from this bit on.
const COMPARE_BIT: u32 = 16;
/// Two ticks of 16 MHz, ns.
const TWO_TICKS_NS: u64 = 125;

/// A compare register.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    value: u32,
    event: bool,
}

/// The timer.
#[derive(Debug, Default)]
pub struct Timer {
    now: u64,
    /// When it was started; `None` while it stands.
    since: Option<u64>,
    /// What it had counted then, or has counted where it stands.
    base: u64,
    /// Up to where compares were looked at.
    seen: u64,
    channels: [Channel; CHANNELS],
    enabled: u32,
    bit_mode: u32,
    prescaler: u32,
}

impl Timer {
    fn enabled_channels(&self) -> impl Iterator<Item = &Channel> {
        (COMPARE_BIT..)
            .zip(&self.channels)
            .filter(|(bit, _)| self.enabled.checked_shr(*bit).unwrap_or(0) & 1 != 0)
            .map(|(_, channel)| channel)
    }

    /// A power of two that no prescaler exceeds.
    fn divider(&self) -> u64 {
        1u64.checked_shl(self.prescaler & 0xF).unwrap_or(1)
    }

    /// How far it counts before it starts over.
    fn width(&self) -> u64 {
        let bits = match self.bit_mode & 3 {
            0 => 16,
            1 => 8,
            2 => 24,
            _ => 32,
        };
        1u64.checked_shl(bits).unwrap_or(u64::MAX)
    }

    /// Ticks, without an end.
    fn counted(&self) -> u64 {
        let passed = self.since.map_or(0, |since| self.now.saturating_sub(since));
        let per_tick = TWO_TICKS_NS.saturating_mul(self.divider());
        let ticks = passed.saturating_mul(2).checked_div(per_tick);
        self.base.saturating_add(ticks.unwrap_or(0))
    }

    fn counter(&self) -> u32 {
        let counter = self.counted().checked_rem(self.width());
        counter
            .and_then(|counter| u32::try_from(counter).ok())
            .unwrap_or(0)
    }

    fn channel(&mut self, from: u32, offset: u32) -> Option<&mut Channel> {
        let nth = offset.checked_sub(from)? >> 2;
        self.channels.get_mut(usize::try_from(nth).ok()?)
    }
}

impl blocks::Timer for Timer {
    fn reset(&mut self) {
        *self = Self {
            now: self.now,
            ..Self::default()
        };
    }

    fn set_time(&mut self, ns: u64) {
        self.now = ns;
        let (before, counted) = (self.seen, self.counted());
        self.seen = counted;
        let width = self.width();
        for channel in &mut self.channels {
            channel.event |= until(before, channel.value, width) <= counted.saturating_sub(before);
        }
    }

    fn interrupt(&self) -> bool {
        self.enabled_channels().any(|channel| channel.event)
    }

    fn next(&self) -> Option<u64> {
        let since = self.since?;
        let coming = self.enabled_channels().filter(|channel| !channel.event);
        let ticks = coming.map(|channel| until(self.seen, channel.value, self.width()));
        let at = self.seen.saturating_add(ticks.min()?);
        let ticks = at.saturating_sub(self.base);
        let half_ns = ticks
            .saturating_mul(TWO_TICKS_NS)
            .saturating_mul(self.divider());
        Some(since.saturating_add(half_ns.div_ceil(2)))
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            INTENSET | INTENCLR => self.enabled,
            BITMODE => self.bit_mode,
            PRESCALER => self.prescaler,
            at if at >= CC => self.channel(CC, at).map_or(0, |channel| channel.value),
            at if at >= EVENTS_COMPARE => self
                .channel(EVENTS_COMPARE, at)
                .map_or(0, |channel| u32::from(channel.event)),
            _ => 0,
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let word = merge(0, offset, size, value);
        let counter = self.counter();
        match offset & !3 {
            TASKS_START if word & 1 != 0 && self.since.is_none() => self.since = Some(self.now),
            TASKS_STOP if word & 1 != 0 => {
                self.base = self.counted();
                self.since = None;
            }
            TASKS_CLEAR if word & 1 != 0 => {
                (self.base, self.seen) = (0, 0);
                self.since = self.since.map(|_| self.now);
            }
            INTENSET => self.enabled |= word,
            INTENCLR => self.enabled &= !word,
            // Fixed while it runs.
            BITMODE if self.since.is_none() => self.bit_mode = word & 3,
            PRESCALER if self.since.is_none() => self.prescaler = word & 0xF,
            at if at >= CC => {
                if let Some(channel) = self.channel(CC, at) {
                    channel.value = word;
                }
            }
            at if at >= INTENSET => {}
            at if at >= EVENTS_COMPARE => {
                if let Some(channel) = self.channel(EVENTS_COMPARE, at) {
                    channel.event &= word & 1 != 0;
                }
            }
            at if word & 1 != 0 => {
                if let Some(channel) = self.channel(TASKS_CAPTURE, at) {
                    channel.value = counter;
                }
            }
            _ => {}
        }
    }
}

/// Ticks from `counted` to the next time that the counter is `value`: a whole round where it is now.
fn until(counted: u64, value: u32, width: u64) -> u64 {
    let counter = counted.checked_rem(width).unwrap_or(0);
    let value = u64::from(value).checked_rem(width).unwrap_or(0);
    if value > counter {
        value.saturating_sub(counter)
    } else {
        value.saturating_add(width).saturating_sub(counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::Timer as _;

    /// At 1 MHz and 32 bits, from the time 5 µs on.
    fn running() -> Timer {
        let mut timer = Timer::default();
        timer.set_time(5_000);
        for (register, value) in [(BITMODE, 3), (PRESCALER, 4), (TASKS_CLEAR, 1)] {
            timer.write(register, 4, value);
        }
        timer.write(TASKS_START, 4, 1);
        timer
    }

    fn captured(timer: &mut Timer) -> u32 {
        timer.write(TASKS_CAPTURE + 4, 4, 1);
        timer.read(CC + 4, 4)
    }

    #[test]
    fn looks_between_two_ticks_lose_no_time() {
        let mut timer = running();
        for step in 1..=10_000u64 {
            timer.set_time(5_000 + step * 300);
            captured(&mut timer);
        }
        assert_eq!(captured(&mut timer), 3_000);
    }

    #[test]
    fn a_compare_is_an_event_when_it_is_reached_and_an_interrupt_where_it_is_enabled() {
        let mut timer = running();
        timer.write(CC, 4, 7);
        assert_eq!(timer.next(), None, "nobody waits for it");
        timer.write(INTENSET, 4, 1 << COMPARE_BIT);
        assert_eq!(timer.next(), Some(12_000));
        timer.set_time(11_999);
        assert!(!timer.interrupt() && timer.read(EVENTS_COMPARE, 4) == 0);
        timer.set_time(12_000);
        assert!(timer.interrupt());
        assert_eq!(timer.next(), None, "until it is taken");
        timer.write(EVENTS_COMPARE, 4, 0);
        assert!(!timer.interrupt());
        // The next time is after a whole round.
        assert_eq!(timer.next(), Some(12_000 + (1 << 32) * 1_000));
        timer.write(INTENCLR, 4, 1 << COMPARE_BIT);
        assert_eq!(timer.next(), None);
    }

    #[test]
    fn what_stands_counts_nothing_and_what_runs_keeps_its_rate() {
        let mut timer = running();
        timer.write(PRESCALER, 4, 0);
        timer.set_time(15_000);
        assert_eq!((timer.read(PRESCALER, 4), captured(&mut timer)), (4, 10));
        timer.write(TASKS_STOP, 4, 1);
        timer.set_time(25_000);
        assert_eq!(captured(&mut timer), 10);
        timer.write(TASKS_START, 4, 1);
        timer.set_time(26_000);
        assert_eq!(captured(&mut timer), 11);
        timer.reset();
        timer.set_time(30_000);
        assert_eq!(captured(&mut timer), 0);
    }

    #[test]
    fn the_counter_starts_over_at_its_width() {
        let mut timer = Timer::default();
        timer.write(BITMODE, 4, 1);
        timer.write(TASKS_START, 4, 1);
        timer.set_time(16_000 + 125);
        assert_eq!(captured(&mut timer), 2);
    }
}
