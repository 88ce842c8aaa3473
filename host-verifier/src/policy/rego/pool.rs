//! Threads that evaluate modules, so that no login waits for another's.
//!
//! An evaluation looks at its clock between steps, and one step can be long: a comparison of values that share their parts
//! takes as long as their tree is large. Whoever waits here gives up in time whatever the evaluation does. A thread that
//! does not come back is lost until it does; there are [`MAX_THREADS`], and when all are lost modules deny.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, mpsc};

/// Most threads.
const MAX_THREADS: usize = 8;
/// Stack of each: enough for [`MAX_NESTING`](super::MAX_NESTING) in a build without optimisation, where a chain of 512 short
/// rules takes more than 12 and less than 16 MiB (less than 4 with it). It is address space until it is used.
const STACK: usize = 256 * 1024 * 1024;
/// Most evaluations that wait for a thread.
const MAX_WAITING: usize = 1024;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It was not begun in time.
    Busy,
    /// It did not end in time.
    Late,
    /// It ended without a result: a fault of the interpreter.
    Broken,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    more: Condvar,
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(Pool::default)
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Runs `job` on a thread of the pool and waits for its result for at most `patience`. On a runtime's thread, the runtime's
/// other tasks go on meanwhile.
pub(super) fn run<T: Send + 'static>(
    patience: Duration,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let state = Arc::new(AtomicU8::new(WAITING));
    let own = state.clone();
    let begun = move || {
        let begins = own.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        if begins.is_ok() {
            // Nobody waits any more when this fails.
            let _ = sender.send(job());
        }
    };
    if !pool().submit(Box::new(begun)) {
        return Err(Lost::Busy);
    }
    match aside(|| receiver.recv_timeout(patience)) {
        Ok(result) => Ok(result),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Lost::Broken),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let given_up =
                state.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
            Err(match given_up {
                Ok(_) => Lost::Busy,
                Err(_) => Lost::Late,
            })
        }
    }
}

/// Waits so that a runtime of several threads hands its other tasks to another one.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(wait)
        }
        _ => wait(),
    }
}

impl Pool {
    fn submit(&'static self, job: Job) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.jobs.len() >= MAX_WAITING {
            return false;
        }
        if queue.idle <= queue.jobs.len() && queue.threads < MAX_THREADS {
            let thread = std::thread::Builder::new()
                .name("rego".to_owned())
                .stack_size(STACK);
            match thread.spawn(|| self.work()) {
                Ok(_) => queue.threads += 1,
                Err(_) if queue.threads == 0 => return false,
                Err(_) => {}
            }
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.more.notify_one();
        true
    }

    fn work(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(job) = queue.jobs.pop_front() else {
                queue.idle += 1;
                queue = self
                    .more
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
                continue;
            };
            drop(queue);
            // A fault of the interpreter costs its own evaluation: the sender is dropped without a result.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Lost, MAX_THREADS, run};
    use core::time::Duration;
    use std::sync::mpsc;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    /// One test, since all share the pool.
    #[test]
    fn whoever_waits_gives_up_in_time_and_the_threads_come_back() {
        assert_eq!(run(LONG, || 7), Ok(7));
        // A fault costs its own evaluation.
        let broken: Result<u8, Lost> = run(LONG, || std::panic::resume_unwind(Box::new("a fault")));
        assert_eq!(broken, Err(Lost::Broken));

        // Jobs that do not end until they are told to, one per thread.
        let mut release = Vec::new();
        for _ in 0..MAX_THREADS {
            let (tell, told) = mpsc::channel::<()>();
            let (begin, begun) = mpsc::channel::<()>();
            let late = std::thread::spawn(move || {
                run(SHORT, move || {
                    begin.send(()).unwrap();
                    let _ = told.recv();
                })
            });
            begun.recv().unwrap();
            assert_eq!(late.join().unwrap(), Err(Lost::Late));
            release.push(tell);
        }
        assert_eq!(run(SHORT, || 7), Err(Lost::Busy));
        drop(release);
        assert_eq!(run(LONG, || 7), Ok(7));
    }
}
