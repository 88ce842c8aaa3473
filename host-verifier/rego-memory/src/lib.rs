//! Counts the memory of one evaluation of a Rego module, so that the interpreter ends it when it takes too much.
//!
//! The interpreter, `regorus`, looks at its memory between its steps and gives up above a limit. What it looks at is the crate
//! `regorus-mimalloc`: another allocator, whose figures are those of the whole process. In a service, with many
//! evaluations at once and much else, they say nothing of one. This crate stands in its place (`[patch.crates-io]` of the
//! workspace) with the same functions, and counts by thread, while an evaluation is on it.
//!
//! * Memory comes from the system's allocator as it would without this crate. Every allocation and release adds to one number of
//!   its thread, without a lock and without a branch.
//! * [`measured`] runs an evaluation with a limit. What its thread holds more than at the beginning is what it takes.
//! * [`INTERPRETER_LIMIT`] is for the interpreter's own limit: [`allocation_stats_snapshot`] passes it exactly if the
//!   evaluation is above its own.
//!
//! The limit is looked at between steps, so an evaluation can pass it by what a single step takes: one call of a builtin, one
//! element of a comprehension.
#![expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; each method hands its arguments to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Neither is made at run time nor has anything to end, so both can be used in every allocation of a thread's life.
    /// Bytes that this thread allocated less those that it released.
    static HELD: Cell<i64> = const { Cell::new(0) };
    /// The evaluation that is on this thread.
    static EVALUATION: Cell<Option<Evaluation>> = const { Cell::new(None) };
}

#[derive(Debug, Clone, Copy)]
struct Evaluation {
    /// What the thread held when it began.
    before: i64,
    /// How much more it may hold.
    limit: u64,
    passed: bool,
}

/// The system's allocator, with a number per thread.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: usize) {
    HELD.set(HELD.get().wrapping_add_unsigned(bytes as u64));
}

fn remove(bytes: usize) {
    HELD.set(HELD.get().wrapping_sub_unsigned(bytes as u64));
}

// SAFETY: every method is the system allocator's, with the arguments and the result unchanged. The numbers beside it do not
// allocate and do not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of this method, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(new_size);
        remove(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

/// Bytes that an evaluation took at its end, and whether it passed its limit on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that it still holds: its result, mostly.
    pub held: u64,
    /// The interpreter looked at its memory when it was above the limit.
    pub passed: bool,
}

/// Runs an evaluation on this thread with a limit in bytes.
pub fn measured<T>(limit: u64, evaluation: impl FnOnce() -> T) -> (T, Usage) {
    /// Ends with the scope, also when the evaluation panics.
    struct Outer(Option<Evaluation>);
    impl Drop for Outer {
        fn drop(&mut self) {
            EVALUATION.set(self.0);
        }
    }
    let outer = Outer(EVALUATION.replace(Some(Evaluation {
        before: HELD.get(),
        limit,
        passed: false,
    })));
    let result = evaluation();
    let usage = Usage {
        held: taken(),
        passed: EVALUATION.get().is_some_and(|own| own.passed),
    };
    drop(outer);
    (result, usage)
}

/// Bytes that the evaluation on this thread holds; 0 when there is none.
#[must_use]
pub fn taken() -> u64 {
    let begun = EVALUATION.get();
    begun.map_or(0, |own| {
        u64::try_from(HELD.get().wrapping_sub(own.before)).unwrap_or(0)
    })
}

/// The value for the interpreter's own limit, which is one for the whole process. Above it there is one number, which
/// [`allocation_stats_snapshot`] gives for an evaluation above its own limit.
pub const INTERPRETER_LIMIT: u64 = u64::MAX - 1;

/// What the interpreter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationStats {
    /// Above [`INTERPRETER_LIMIT`] for an evaluation above its limit, 0 otherwise.
    pub allocated: u64,
}

/// What the interpreter asks for: of the thread that asks.
#[must_use]
pub fn allocation_stats_snapshot() -> (AllocationStats, ()) {
    let allocated = match EVALUATION.get() {
        Some(own) if taken() > own.limit => {
            EVALUATION.set(Some(Evaluation {
                passed: true,
                ..own
            }));
            u64::MAX
        }
        _ => 0,
    };
    (AllocationStats { allocated }, ())
}

/// The interpreter has this called where it would install its allocator. That of this crate is installed already.
#[macro_export]
macro_rules! assign_global {
    () => {};
}

/// The interpreter's settings of numbers that are gathered by thread and published now and then. Here they are never
/// published, and always exact.
pub mod limits {
    /// Nothing to publish.
    pub const fn flush_thread_counters() {}

    /// Nothing to set.
    pub const fn set_thread_flush_threshold(_: Option<u64>) {}

    /// Nothing is published by itself.
    #[must_use]
    pub const fn thread_flush_threshold() -> Option<u64> {
        None
    }

    /// What has the interpreter look at once and not at every sixteenth step: above 32 KiB.
    #[must_use]
    pub fn thread_allocation_pending_delta() -> i64 {
        i64::try_from(crate::taken()).unwrap_or(i64::MAX)
    }

    /// Never published.
    #[must_use]
    pub const fn take_thread_flushed_since_check_flag() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{INTERPRETER_LIMIT, allocation_stats_snapshot, measured, taken};

    #[test]
    fn a_thread_counts_its_own_and_only_while_it_evaluates() {
        let outside = vec![0_u8; 1 << 20];
        assert_eq!(taken(), 0);
        let (_, usage) = measured(1 << 20, || {
            let half = vec![0_u8; 1 << 19];
            assert!((1 << 19..1 << 20).contains(&taken()));
            assert!(allocation_stats_snapshot().0.allocated <= INTERPRETER_LIMIT);
            // What another thread does is another's.
            let other = std::thread::spawn(|| drop(vec![0_u8; 1 << 22]));
            assert!(other.join().is_ok());
            assert!(taken() < 1 << 20);
            drop(half);
        });
        assert!(!usage.passed && usage.held < 1 << 19);
        drop(outside);
    }

    #[test]
    fn above_the_limit_the_interpreter_is_told_so() {
        let (kept, usage) = measured(1 << 20, || {
            let mut grown: Vec<u8> = Vec::with_capacity(1 << 16);
            grown.reserve_exact(1 << 21);
            assert!(allocation_stats_snapshot().0.allocated > INTERPRETER_LIMIT);
            grown
        });
        assert!(usage.passed && usage.held > 1 << 20);
        drop(kept);
        let again = measured(1 << 20, allocation_stats_snapshot).0;
        assert!(again.0.allocated <= INTERPRETER_LIMIT);
    }

    #[test]
    fn a_panic_ends_the_count() {
        let fault = std::panic::catch_unwind(|| {
            measured(0, || std::panic::resume_unwind(Box::new("a fault")))
        });
        assert!(fault.is_err());
        let kept = vec![0_u8; 1 << 16];
        assert_eq!(taken(), 0);
        drop(kept);
    }
}
