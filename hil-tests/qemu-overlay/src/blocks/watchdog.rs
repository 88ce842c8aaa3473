//! A countdown that somebody must restart before it runs out: what every chip's watchdog is, without its registers.
//!
//! Times are ns of the guest: [`crate::board`] takes off what the guest spends waiting for the software TPM, which on a board
//! it would spend polling.

/// A watchdog: registers over a [`Countdown`].
pub trait Watchdog: Send {
    /// A reset of the chip, which also ends the countdown.
    fn reset(&mut self, now_ns: u64);
    /// Tells it how long the ticks that it counts take, ns; `None` while there are none. For one that makes none itself.
    fn set_tick(&mut self, _tick_ns: Option<u64>, _now_ns: u64) {}
    /// A read of `size` bytes.
    fn read(&mut self, offset: u32, size: u32, now_ns: u64) -> u32;
    /// A write of `size` bytes.
    fn write(&mut self, offset: u32, size: u32, value: u32, now_ns: u64);
    /// What has been counted up to now.
    fn countdown(&mut self, now_ns: u64) -> &Countdown;
}

/// What is known of the kicks so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kicks {
    /// The longest time without a kick, µs; that of a bite is one, and so is the one that has not ended.
    pub longest_gap_us: u64,
    /// How long the watchdog waits, µs, as it was last set.
    pub limit_us: u64,
    /// How often it ran out.
    pub bites: u32,
}

/// The countdown.
#[derive(Debug, Clone, Default)]
pub struct Countdown {
    /// When it began or was last kicked, and when it runs out; `None` while it stands still.
    running: Option<(u64, u64)>,
    limit_ns: u64,
    longest_ns: u64,
    bites: u32,
    ever: bool,
}

impl Countdown {
    /// Starts it, or restarts it: a kick. From here it waits `limit_ns`.
    pub fn kick(&mut self, now_ns: u64, limit_ns: u64) {
        self.end_gap(now_ns);
        self.running = Some((now_ns, now_ns.saturating_add(limit_ns)));
        self.limit_ns = limit_ns;
        self.ever = true;
    }

    /// What is left becomes `left_ns`, without a kick: the chip counts at another speed.
    pub fn load(&mut self, now_ns: u64, left_ns: u64) {
        if let Some((_, until)) = &mut self.running {
            *until = now_ns.saturating_add(left_ns);
        }
    }

    /// Stops it: a reset of the chip.
    pub fn stop(&mut self, now_ns: u64) {
        self.end_gap(now_ns);
        self.running = None;
    }

    /// It ran out, whatever is left.
    pub fn run_out(&mut self, now_ns: u64) {
        self.load(now_ns, 0);
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What is left, ns; `None` while it stands still.
    #[must_use]
    pub fn left_ns(&self, now_ns: u64) -> Option<u64> {
        self.running.map(|(_, until)| until.saturating_sub(now_ns))
    }

    /// When it runs out, ns; `None` while it stands still.
    #[must_use]
    pub fn runs_out_ns(&self) -> Option<u64> {
        self.running.map(|(_, until)| until)
    }

    /// Whether it has run out.
    #[must_use]
    pub fn expired(&self, now_ns: u64) -> bool {
        self.left_ns(now_ns) == Some(0)
    }

    /// The kicks so far; `None` when it was never started.
    #[must_use]
    pub fn kicks(&self, now_ns: u64) -> Option<Kicks> {
        let open = self
            .running
            .map_or(0, |(since, _)| now_ns.saturating_sub(since));
        self.ever.then_some(Kicks {
            longest_gap_us: self.longest_ns.max(open) / 1_000,
            limit_us: self.limit_ns / 1_000,
            bites: self.bites.saturating_add(u32::from(self.expired(now_ns))),
        })
    }

    fn end_gap(&mut self, now_ns: u64) {
        if let Some((since, _)) = self.running {
            self.longest_ns = self.longest_ns.max(now_ns.saturating_sub(since));
            self.bites = self.bites.saturating_add(u32::from(self.expired(now_ns)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_it_is_started_and_runs_out_unless_it_is_kicked() {
        let mut countdown = Countdown::default();
        assert!(!countdown.expired(u64::MAX) && countdown.kicks(5).is_none());
        countdown.kick(1_000, 500);
        assert_eq!(countdown.left_ns(1_400), Some(100));
        countdown.kick(1_400, 500);
        assert!(!countdown.expired(1_899));
        assert!(countdown.expired(1_900));
        countdown.stop(2_000);
        assert!(!countdown.expired(9_000) && !countdown.is_running());
    }

    #[test]
    fn the_longest_gap_is_told_with_the_one_that_has_not_ended() {
        let mut countdown = Countdown::default();
        let longest = |countdown: &Countdown, now| countdown.kicks(now).map(|k| k.longest_gap_us);
        countdown.kick(0, 8_000_000);
        countdown.kick(3_000_000, 8_000_000);
        countdown.kick(4_000_000, 8_000_000);
        assert_eq!(longest(&countdown, 4_500_000), Some(3_000));
        assert_eq!(longest(&countdown, 9_000_000), Some(5_000));
        // Another speed is no kick.
        countdown.load(9_000_000, 2_000_000);
        assert_eq!(countdown.runs_out_ns(), Some(11_000_000));
        countdown.stop(10_000_000);
        assert_eq!(longest(&countdown, 99_000_000), Some(6_000));
    }

    #[test]
    fn a_bite_is_counted_once() {
        let mut countdown = Countdown::default();
        let bites = |countdown: &Countdown, now| countdown.kicks(now).map(|kicks| kicks.bites);
        countdown.kick(0, 100);
        assert_eq!(bites(&countdown, 99), Some(0));
        assert_eq!(bites(&countdown, 100), Some(1));
        countdown.stop(150);
        assert_eq!(bites(&countdown, 200), Some(1));
        countdown.kick(300, 100);
        countdown.run_out(310);
        assert_eq!(bites(&countdown, 310), Some(2));
    }
}
