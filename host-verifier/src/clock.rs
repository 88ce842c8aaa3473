//! Time: the system's, and a settable one for tests. Nothing else in this crate reads a clock.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

/// A point in time, twice: the calendar for validity and records, the other for deadlines, since
/// a calendar can be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The calendar.
    pub wall: Timestamp,
    /// Since the clock was made; never runs backwards.
    pub monotonic: Duration,
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
