//! Timers of QEMU's on the guest's clock. Handled with QEMU's lock held.
#![expect(unsafe_code, reason = "QEMU's interface is C")]

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::qemu;

/// A timer on the guest's clock.
#[derive(Debug)]
pub struct Alarm {
    /// QEMU's `QEMUTimer`, 48 bytes in 7.2 and 56 in 10.0, never freed.
    timer: *mut [u64; 32],
    /// When it calls back, ns; `u64::MAX` when it does not.
    at_ns: AtomicU64,
}

// SAFETY: the timer is handled with QEMU's lock held only.
unsafe impl Sync for Alarm {}
// SAFETY: as above.
unsafe impl Send for Alarm {}

impl Alarm {
    /// One that does not call back yet.
    #[must_use]
    pub fn new(callback: qemu::TimerCallback) -> Self {
        let timer = ptr::from_mut(Box::leak(Box::new([0; 32])));
        // SAFETY: the memory is zeroed, larger than a QEMUTimer, 8-aligned and never freed; the callback lives as long as the
        // process; the machine exists, and with it the main loop's lists.
        unsafe {
            qemu::timer_init_full(
                timer.cast::<c_void>(),
                ptr::null_mut(),
                qemu::CLOCK_VIRTUAL,
                qemu::NANOSECONDS,
                0,
                callback,
                ptr::null_mut(),
            );
        }
        Self {
            timer,
            at_ns: AtomicU64::new(u64::MAX),
        }
    }

    /// Calls back at `at_ns`, or not.
    pub fn set(&self, at_ns: Option<u64>) {
        let at_ns = at_ns.unwrap_or(u64::MAX);
        if self.at_ns.swap(at_ns, Ordering::Relaxed) == at_ns {
            return;
        }
        // SAFETY: the timer was made above; QEMU's lock is held.
        unsafe {
            match i64::try_from(at_ns) {
                Ok(at) => qemu::timer_mod_ns(self.timer.cast(), at),
                Err(_) => qemu::timer_del(self.timer.cast()),
            }
        }
    }

    /// Calls back at `at_ns` at the latest. One that is due before stays: who it calls looks what has become of its time, which
    /// costs less than to move it at each kick.
    pub fn at_the_latest(&self, at_ns: u64) {
        if self.at_ns.load(Ordering::Relaxed) > at_ns {
            self.set(Some(at_ns));
        }
    }

    /// It has called back.
    pub fn rang(&self) {
        self.at_ns.store(u64::MAX, Ordering::Relaxed);
    }
}
