//! Two operations measured in turns, so that a processor which changes its speed changes both.

use std::time::Duration;

const SLICE: Duration = Duration::from_millis(4);
/// Operations between two looks at the clock.
const BATCH: u32 = 8;

/// Operations per second, and how ours compares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) ours: f64,
    pub(crate) bare: f64,
    pub(crate) ratio: f64,
}

/// Runs both in turns, each for one slice at a time.
#[allow(
    dead_code,
    reason = "not every benchmark has an operation without preparation"
)]
pub(crate) fn in_turns(pairs: usize, mut ours: impl FnMut(), bare: impl FnMut()) -> Measured {
    prepared_in_turns(pairs, || (), |()| ours(), bare)
}

/// As [`in_turns`]; what `prepare` makes for each of our operations is not counted.
pub(crate) fn prepared_in_turns<T>(
    pairs: usize,
    mut prepare: impl FnMut() -> T,
    mut ours: impl FnMut(T),
    mut bare: impl FnMut(),
) -> Measured {
    let mut ours = || slice(&mut prepare, &mut ours);
    let mut bare = || slice(&mut || (), &mut |()| bare());
    for _ in 0..5 {
        ours();
        bare();
    }
    let (mut us, mut them, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..pairs {
        // Who goes first alternates too: the second may find warmer caches.
        let (our_rate, bare_rate) = if turn % 2 == 0 {
            let ours = ours();
            (ours, bare())
        } else {
            let bare = bare();
            (ours(), bare)
        };
        us.push(our_rate);
        them.push(bare_rate);
        ratios.push(our_rate / bare_rate);
    }
    Measured {
        ours: median(us),
        bare: median(them),
        ratio: median(ratios),
    }
}

/// Operations per second over one slice.
fn slice<T>(prepare: &mut impl FnMut() -> T, operation: &mut impl FnMut(T)) -> f64 {
    let mut count = 0u32;
    let mut spent = Duration::ZERO;
    while spent < SLICE {
        let prepared: Vec<T> = (0..BATCH).map(|_| prepare()).collect();
        let began = processor_time();
        for one in prepared {
            operation(one);
        }
        spent += processor_time() - began;
        count += BATCH;
    }
    f64::from(count) / spent.as_secs_f64()
}

/// What this thread has run so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
