//! embassy's time over SysTick: [`systick`](super::systick)'s clock, and wakers for moments of it.
//!
//! The tick that counts the milliseconds looks after the wakers too, so no other timer of the chip is needed, and QEMU, which
//! models the SysTick of the core better than the timers of the chips, runs the same code.
//!
//! # Waits shorter than a tick
//!
//! A TPM is asked for its status every tenth of a millisecond. Who waits for less than a tick is therefore woken at once,
//! again and again: everybody else who is ready has a turn in between, and the moment is met to the microsecond, but the
//! processor does not sleep. Longer waits sleep, and end at the first tick after their moment, a millisecond late at most.

use core::cell::RefCell;
use core::task::Waker;

use cortex_m::interrupt::{self, Mutex};
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

use super::systick::{TICK_US, now_us_masked, ticks};

// Moments are in microseconds, as the clock is.
const _: () = assert!(TICK_HZ == 1_000_000);

static QUEUE: Mutex<RefCell<Queue>> = Mutex::new(RefCell::new(Queue::new()));

/// The time driver of a board whose core runs at `HZ`. The board makes it the one of its image with
/// `embassy_time_driver::time_driver_impl`, and starts the tick with [`Timer::start`](super::systick::Timer::start);
/// before that no time passes.
#[derive(Debug)]
pub struct Alarms<const HZ: u32>;

impl<const HZ: u32> Driver for Alarms<HZ> {
    fn now(&self) -> u64 {
        now_us_masked(HZ)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        if at < self.now() + u64::from(TICK_US) {
            waker.wake_by_ref();
            return;
        }
        // A tick that comes in between has nothing to do with this one, whose moment is a later tick's.
        interrupt::free(|cs| {
            // The answer says that an alarm must be set; here the next tick looks by itself.
            let _ = QUEUE.borrow(cs).borrow_mut().schedule_wake(at, waker);
        });
    }
}

/// Wakes whose moment has come. For the tick's handler.
pub(super) fn tick() {
    let now = ticks() * u64::from(TICK_US);
    interrupt::free(|cs| {
        let _ = QUEUE.borrow(cs).borrow_mut().next_expiration(now);
    });
}
