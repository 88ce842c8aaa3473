//! The accesses to the TPM's registers that `spi trace` shows.

use crate::bus::{Access, Direction, Reg, TraceSink};

/// Accesses kept.
pub(super) const KEPT: usize = 64;
/// Bytes kept of each.
pub(super) const DATA: usize = 12;

/// One access.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// From 1, since the start or since the last `spi trace next`.
    pub(super) number: u32,
    pub(super) direction: Direction,
    pub(super) reg: Reg,
    pub(super) ok: bool,
    /// Bytes that went over the bus.
    pub(super) len: u8,
    /// The first of them.
    data: [u8; DATA],
}

impl Kept {
    const NONE: Self = Self {
        number: 0,
        direction: Direction::Read,
        reg: Reg::ACCESS,
        ok: true,
        len: 0,
        data: [0; DATA],
    };

    /// The bytes that were kept.
    pub(super) fn data(&self) -> &[u8] {
        let len = usize::from(self.len).min(DATA);
        self.data.get(..len).unwrap_or_default()
    }
}

/// What is beside the bus and remembers.
#[derive(Debug)]
pub(super) struct AccessLog {
    entries: [Kept; KEPT],
    /// Accesses so far.
    total: u32,
    /// Keep so many and no more; `None` to keep the last.
    first: Option<u32>,
}

impl AccessLog {
    pub(super) const fn new() -> Self {
        Self {
            entries: [Kept::NONE; KEPT],
            total: 0,
            first: None,
        }
    }

    /// Forgets all, and keeps the next `count` accesses, [`KEPT`] at most.
    pub(super) fn keep_next(&mut self, count: usize) {
        *self = Self::new();
        self.first = Some(count.min(KEPT) as u32);
    }

    /// Goes back to keeping the last accesses; what was kept stays until then.
    pub(super) const fn keep_last(&mut self) {
        self.first = None;
    }

    /// How many the log waits for, if it does, and how many accesses there were.
    pub(super) const fn awaited(&self) -> (Option<u32>, u32) {
        (self.first, self.total)
    }

    /// The newest `count` of those kept, oldest first.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = Kept> {
        let kept = match self.first {
            Some(first) => self.total.min(first),
            None => self.total,
        };
        let shown = (count.min(KEPT) as u32).min(kept);
        (kept - shown..kept).filter_map(|at| self.entries.get(at as usize % KEPT).copied())
    }
}

impl TraceSink for AccessLog {
    fn access(&mut self, access: &Access<'_>) {
        let at = self.total;
        // 2^32 accesses are some hours of nothing else; the numbers stop there.
        self.total = at.saturating_add(1);
        if self.first.is_some_and(|first| at >= first) {
            return;
        }
        let mut data = [0; DATA];
        for (to, from) in data.iter_mut().zip(access.data) {
            *to = *from;
        }
        if let Some(entry) = self.entries.get_mut(at as usize % KEPT) {
            *entry = Kept {
                number: self.total,
                direction: access.direction,
                reg: access.reg,
                ok: access.ok,
                len: access.data.len().min(usize::from(u8::MAX)) as u8,
                data,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(accesses: u8) -> AccessLog {
        let mut log = AccessLog::new();
        fill(&mut log, accesses);
        log
    }

    fn fill(log: &mut AccessLog, accesses: u8) {
        for byte in 0..accesses {
            log.access(&Access {
                direction: Direction::Read,
                reg: Reg::STS,
                data: &[byte; 4],
                ok: true,
            });
        }
    }

    fn numbers(log: &AccessLog, count: usize) -> Vec<u32> {
        log.newest(count).map(|kept| kept.number).collect()
    }

    #[test]
    fn the_newest_are_shown_in_their_order() {
        assert!(numbers(&log_of(0), 4).is_empty());
        assert_eq!(numbers(&log_of(2), 4), [1, 2]);
        assert_eq!(numbers(&log_of(200), 3), [198, 199, 200]);
        assert_eq!(numbers(&log_of(200), 1_000).len(), KEPT);
    }

    #[test]
    fn the_next_are_kept_and_those_after_them_are_not() {
        let mut log = log_of(9);
        log.keep_next(3);
        assert!(numbers(&log, 64).is_empty());
        fill(&mut log, 200);
        assert_eq!(numbers(&log, 64), [1, 2, 3]);
        assert_eq!(log.awaited(), (Some(3), 200));
    }
}
