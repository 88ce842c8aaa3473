//! Which authority signs now, and whether the next one is due: a pure function of the time and of the authorities there are.
//!
//! ```text
//!   first    |--------- active ----------+-----|· · · old: in the bundle until its end
//!   second              |-- prepared ----+--------- active ---------+-----|
//!   third                                |          |-- prepared ---+------ active …
//!            0         1/2              5/6    1 of the first one's life
//! ```
//!
//! The next authority is made at half of the newest one's life and is in every bundle from then on; at five sixths it begins to
//! sign. Between the two, everybody who trusts the bundle has the time to fetch it again. SVIDs never outlive the authority that
//! signed them, so an authority is not needed once it has ended.
//!
//! # Why no state is kept
//!
//! A state that moves only forwards would be wrong as soon as the clock moves backwards. Everything is computed anew from the
//! validity of each authority: when the clock is set back, whoever signed at that time signs again, and nothing is made twice.

use core::time::Duration;

use jiff::Timestamp;

/// Longest time that a new authority is only shown before it signs, unless there is no other.
pub const SETTLE: Duration = Duration::from_secs(600);

/// What decides about an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// First moment at which it is valid.
    pub not_before: Timestamp,
    /// The end, which does not belong to it.
    pub not_after: Timestamp,
    /// It was made under a configuration that is not the present one: another upstream authority or another key type. It
    /// signs only until another can.
    pub outdated: bool,
}

/// Which way an authority goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// In the bundle, does not sign yet.
    Prepared,
    /// Signs.
    Active,
    /// In the bundle, does not sign any more.
    Old,
}

impl State {
    /// The name in stores and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Old => "old",
        }
    }

    /// The inverse of [`State::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Prepared, Self::Active, Self::Old]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

impl core::fmt::Display for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl Life {
    /// Whether it is valid.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Seconds since its beginning.
    fn age(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_sub(self.not_before.as_second())
    }

    /// Seconds from beginning to end.
    fn span(&self) -> i64 {
        self.age(self.not_after).max(0)
    }

    /// A twelfth of its life, at most [`SETTLE`].
    fn settle(&self) -> i64 {
        (self.span() / 12).min(SETTLE.as_secs().cast_signed())
    }

    /// It has been in the bundle for long enough that others have it.
    fn known(&self, now: Timestamp) -> bool {
        self.age(now) >= self.settle()
    }

    /// Until when it signs if another can by then: five sixths of its life.
    #[must_use]
    pub fn hands_over(&self) -> Timestamp {
        let at = self.not_before.as_second() + self.span() / 6 * 5;
        Timestamp::from_second(at).unwrap_or(self.not_after)
    }

    fn fresh(&self, now: Timestamp) -> bool {
        !self.outdated && now < self.hands_over()
    }

    /// Something signed by it still has some time to live.
    fn lasts(&self, now: Timestamp) -> bool {
        self.span().saturating_sub(self.age(now)) >= self.settle()
    }
}

/// The position of the authority that signs at `now`; `None` when none is valid.
///
/// In this order: the oldest that is known to others and fresh; the newest that is known and lasts; the oldest that lasts, since
/// nobody knows any; the newest.
#[must_use]
pub fn active(now: Timestamp, lives: &[Life]) -> Option<usize> {
    let valid = || lives.iter().enumerate().filter(|(_, life)| life.holds(now));
    let age = |(_, life): &(usize, &Life)| (life.not_before, life.not_after);
    let known = || valid().filter(|(_, life)| life.known(now));
    let settled = known().filter(|(_, life)| life.fresh(now)).min_by_key(age);
    settled
        .or_else(|| known().filter(|(_, life)| life.lasts(now)).max_by_key(age))
        .or_else(|| valid().filter(|(_, life)| life.lasts(now)).min_by_key(age))
        .or_else(|| valid().max_by_key(age))
        .map(|(at, _)| at)
}

/// Whether another authority must be made at `now`: none that is valid and up to date is before half of its life.
#[must_use]
pub fn due(now: Timestamp, lives: &[Life]) -> bool {
    !lives
        .iter()
        .any(|life| !life.outdated && life.holds(now) && life.age(now) < life.span() / 2)
}

/// The state of each authority at `now`, in the same order.
#[must_use]
pub fn states(now: Timestamp, lives: &[Life]) -> Vec<State> {
    let active = active(now, lives);
    let begins = active.and_then(|at| lives.get(at)).map(|l| l.not_before);
    lives
        .iter()
        .enumerate()
        .map(|(at, life)| match begins {
            _ if Some(at) == active => State::Active,
            Some(begins) if life.not_before > begins => State::Prepared,
            None if life.not_before > now => State::Prepared,
            _ => State::Old,
        })
        .collect()
}
