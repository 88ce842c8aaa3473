//! Questions that strangers can make up.
//!
//! What a question is about is a policy's or a cloud's own words, as a rule. Where it is what an unproven proof says, anybody
//! could have the service ask without end, each time for something else, so that no kept answer ever fits. Such a question
//! has a quota for its lane.

use core::time::Duration;
use std::collections::VecDeque;

use super::Quota;

/// The times at which the questions of a lane were asked that still count.
#[derive(Debug, Default)]
pub(super) struct Asked(VecDeque<Duration>);

impl Asked {
    /// Takes a place; `false`: there is none.
    pub(super) fn take(&mut self, quota: Quota, now: Duration) -> bool {
        while self
            .0
            .front()
            .is_some_and(|at| at.saturating_add(quota.per) <= now)
        {
            self.0.pop_front();
        }
        let free = self.0.len() < quota.most;
        if free {
            self.0.push_back(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Duration, Quota};

    #[test]
    fn places_come_back_one_by_one() {
        let quota = Quota {
            most: 2,
            per: Duration::from_secs(10),
        };
        let mut asked = Asked::default();
        let mut take = |second| asked.take(quota, Duration::from_secs(second));
        assert_eq!([0, 4, 5, 9].map(&mut take), [true, true, false, false]);
        assert_eq!([10, 11, 14, 15].map(&mut take), [true, false, true, false]);
    }
}
