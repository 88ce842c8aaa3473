//! What the agent remembers about itself when no debugger is there: counters and a ring of events.
//!
//! Both cost a few bytes and a few instructions, so they are always on; log lines (see the `defmt`
//! feature) come second.

/// One counter per error code. Counts stop at `u16::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters<const N: usize>([u16; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const N: usize> Counters<N> {
    /// Nothing counted yet.
    pub const ZERO: Self = Self([0; N]);

    /// Counts `code`; a code at or above `N` counts as `N - 1`.
    pub fn count(&mut self, code: u8) {
        let index = usize::from(code).min(N.saturating_sub(1));
        if let Some(counter) = self.0.get_mut(index) {
            *counter = counter.saturating_add(1);
        }
    }

    /// How often `code` was counted.
    pub fn get(&self, code: u8) -> u16 {
        self.0.get(usize::from(code)).copied().unwrap_or(0)
    }

    /// All counters, index = code.
    pub const fn all(&self) -> &[u16; N] {
        &self.0
    }
}

/// One line of a [`Ring`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entry<T> {
    /// What happened.
    pub event: T,
    /// How often in a row, at least 1; stops at `u16::MAX`.
    pub times: u16,
}

/// The last `N` different events, oldest first. Repeats of one event take one line.
#[derive(Clone, Copy, Debug)]
pub struct Ring<T, const N: usize> {
    /// A line that was never written has 0 times.
    entries: [Entry<T>; N],
    /// The line written last.
    newest: usize,
}

impl<T: Copy, const N: usize> Ring<T, N> {
    /// A ring without events. `filler` stands in the lines that were never written, and is never shown.
    pub const fn new(filler: T) -> Self {
        let never = Entry {
            event: filler,
            times: 0,
        };
        Self {
            entries: [never; N],
            newest: 0,
        }
    }
}

impl<T: Copy + PartialEq, const N: usize> Ring<T, N> {
    /// Adds an event, overwriting the oldest.
    pub fn push(&mut self, event: T) {
        if let Some(entry) = self.entries.get_mut(self.newest)
            && entry.times > 0
            && entry.event == event
        {
            entry.times = entry.times.saturating_add(1);
            return;
        }
        self.newest = (self.newest + 1) % N.max(1);
        if let Some(slot) = self.entries.get_mut(self.newest) {
            *slot = Entry { event, times: 1 };
        }
    }

    /// The events from oldest to newest.
    pub fn iter(&self) -> impl Iterator<Item = Entry<T>> {
        let (newer, older) = self.entries.split_at((self.newest + 1).min(N));
        let written = older.iter().chain(newer).copied();
        written.filter(|entry| entry.times > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_newest_and_folds_repeats() {
        let mut ring = Ring::<u8, 3>::new(0);
        assert_eq!(ring.iter().count(), 0);
        for event in [1, 2, 2, 3, 4, 4, 4] {
            ring.push(event);
        }
        let kept: Vec<_> = ring.iter().map(|e| (e.event, e.times)).collect();
        assert_eq!(kept, [(2, 2), (3, 1), (4, 3)]);
    }

    #[test]
    fn rings_and_counters_of_no_length_do_nothing() {
        let mut ring = Ring::<u8, 0>::new(0);
        ring.push(1);
        assert_eq!(ring.iter().count(), 0);
        let mut none = Counters::<0>::default();
        none.count(3);
        assert_eq!(none.get(3), 0);
    }

    #[test]
    fn counters_stop_at_their_end() {
        let mut counters = Counters::<2>::default();
        for _ in 0..70_000u32 {
            counters.count(1);
        }
        counters.count(9);
        assert_eq!((counters.get(0), counters.get(1)), (0, u16::MAX));
    }
}
