//! Counters that QEMU's translated code feeds: instructions, the span between two addresses, and
//! the lowest write in a range. Atomics, since they are touched without QEMU's lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Instructions executed since the machine was powered.
pub static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

/// Count at the last passage of the start address; `u64::MAX` outside of a span.
static SPAN_START: AtomicU64 = AtomicU64::new(u64::MAX);

/// Lowest address written in the range; `u64::MAX` when there was none.
static LOWEST: AtomicU64 = AtomicU64::new(u64::MAX);
static LOW: AtomicU64 = AtomicU64::new(0);
static HIGH: AtomicU64 = AtomicU64::new(0);

/// Instructions so far.
#[must_use]
pub fn instructions() -> u64 {
    INSTRUCTIONS.load(Ordering::Relaxed)
}

/// The start address was passed.
pub fn span_started() {
    SPAN_START.store(instructions(), Ordering::Relaxed);
}

/// The stop address was passed: instructions since the start, `None` without one.
#[must_use]
pub fn span_stopped() -> Option<u64> {
    match SPAN_START.swap(u64::MAX, Ordering::Relaxed) {
        u64::MAX => None,
        started => Some(instructions().saturating_sub(started)),
    }
}

/// Sets the range to watch, `low..high`.
pub fn watch(low: u64, high: u64) {
    LOW.store(low, Ordering::Relaxed);
    HIGH.store(high, Ordering::Relaxed);
}

/// A write at `address`.
pub fn written(address: u64) {
    let watched = LOW.load(Ordering::Relaxed)..HIGH.load(Ordering::Relaxed);
    if watched.contains(&address) {
        LOWEST.fetch_min(address, Ordering::Relaxed);
    }
}

/// Lowest address written in the range.
#[must_use]
pub fn lowest_write() -> Option<u64> {
    match LOWEST.load(Ordering::Relaxed) {
        u64::MAX => None,
        address => Some(address),
    }
}

/// Both as JSON members: `"instructions":…,"stack_lowest":…` (null when nothing was written).
#[must_use]
pub fn to_json_members() -> String {
    let lowest = lowest_write().map_or_else(|| "null".to_owned(), |address| address.to_string());
    format!(
        "\"instructions\":{},\"stack_lowest\":{lowest}",
        instructions()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the counters are the process's own.
    #[test]
    fn spans_and_the_lowest_write_are_kept() {
        assert_eq!(span_stopped(), None);
        span_started();
        INSTRUCTIONS.fetch_add(40, Ordering::Relaxed);
        assert_eq!(span_stopped(), Some(40));
        watch(100, 200);
        written(99);
        written(200);
        assert_eq!(lowest_write(), None);
        written(150);
        written(120);
        written(180);
        assert_eq!(lowest_write(), Some(120));
    }
}
