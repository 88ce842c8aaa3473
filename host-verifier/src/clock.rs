//! Time: the system's, and a settable one for tests. Nothing else in this crate reads a clock.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A point in time, twice: the calendar for validity and records, the other for deadlines, since
/// a calendar can be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The calendar.
    pub wall: Timestamp,
    /// Since the clock was made; never runs backwards.
    pub monotonic: Duration,
}

impl Moment {
    /// How far the calendar was moved since `earlier`, against the other clock.
    #[must_use]
    pub fn moved_since(&self, earlier: &Self) -> SignedDuration {
        let passed = self.monotonic.saturating_sub(earlier.monotonic);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let moved = self.wall.duration_since(earlier.wall);
        moved.checked_sub(passed).unwrap_or(SignedDuration::MIN)
    }
}

/// A calendar that moved by more than this against the other clock was set.
pub const STEP: Duration = Duration::from_secs(5);
/// How long a calendar must have gone on without a step before anything is removed by it.
pub const SETTLES_IN: Duration = Duration::from_secs(3600);

/// Whether a calendar may be believed in what cannot be undone, the removal of what is old.
///
/// A calendar that was set wrongly makes everything old at once. After a start, and after a step that is seen, nothing is
/// removed for [`SETTLES_IN`]: as long as somebody has to see that the calendar is wrong, which health says, and to mend it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settled {
    last: Option<Moment>,
    /// On the clock that cannot be set.
    since: Duration,
}

impl Settled {
    /// Looks at the calendar; to be called often, since a step shows between two looks.
    pub fn observe(&mut self, now: Moment) -> bool {
        let stepped = |last: Moment| now.moved_since(&last).unsigned_abs() > STEP;
        if self.last.is_none_or(stepped) {
            self.since = now.monotonic;
        }
        self.last = Some(now);
        now.monotonic.saturating_sub(self.since) >= SETTLES_IN
    }
}

/// Something that knows the time.
pub trait Clock: Send + Sync + core::fmt::Debug {
    /// Now.
    fn now(&self) -> Moment;
}

/// The system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment {
            wall: Timestamp::now(),
            monotonic: self.origin.elapsed(),
        }
    }
}

/// A clock that a test sets.
#[derive(Debug)]
pub struct ManualClock(Mutex<Moment>);

impl ManualClock {
    /// A clock that stands at `wall`.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self(Mutex::new(Moment {
            wall,
            monotonic: Duration::ZERO,
        }))
    }

    /// Moves both times on.
    pub fn advance(&self, by: Duration) {
        let mut moment = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moment.monotonic = moment.monotonic.saturating_add(by);
        moment.wall = moment.wall.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    /// Sets the calendar alone, as an administrator can.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wall = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use jiff::SignedDuration;

    use super::{Clock, ManualClock, SETTLES_IN, STEP, Settled};

    #[test]
    fn a_calendar_is_settled_an_hour_after_the_start_and_after_each_step() {
        let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
        let mut settled = Settled::default();
        let second = Duration::from_secs(1);
        assert!(!settled.observe(clock.now()));
        clock.advance(SETTLES_IN - second);
        assert!(!settled.observe(clock.now()));
        clock.advance(second);
        assert!(settled.observe(clock.now()));
        for step in [-1, 1] {
            let by = SignedDuration::try_from(STEP).unwrap_or_default() * step;
            clock.set_wall(clock.now().wall + by);
            assert!(settled.observe(clock.now()), "a drift is no step");
            clock.set_wall(clock.now().wall + by + SignedDuration::from_secs(i64::from(step)));
            assert!(!settled.observe(clock.now()));
            clock.advance(SETTLES_IN - second);
            assert!(!settled.observe(clock.now()));
            clock.advance(second);
            assert!(settled.observe(clock.now()));
        }
    }
}
