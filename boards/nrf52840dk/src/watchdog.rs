//! The watchdog: the last resort against a hang.
//!
//! It runs from the slow oscillator, which it starts by itself, and cannot be stopped once started.

use nrf_pac::WDT;
use nrf_pac::wdt::vals::{Halt, Rr, Sleep};

/// Longest time between two kicks. Every wait kicks, for the TPM and for the link, however short. What takes time without
/// a wait is the sending of a frame, 0.2 s at 115,200 baud, and the P-256 arithmetic, some tenths of a second.
pub(crate) const LONGEST_MS: u32 = 8_000;
/// How long an outside supervisor may take to notice that it is no longer told.
pub(crate) const SUPERVISED_MS: u32 = 5_000;
const _: () = assert!(SUPERVISED_MS < LONGEST_MS);

/// The slow oscillator, Hz.
const SLOW_HZ: u32 = 32_768;

/// Starts the countdown. From here on somebody must [`kick`].
///
/// After a restart by the debugger alone it may still be running with its old settings, which are these.
pub(crate) fn start() {
    WDT.config().write(|w| {
        w.set_sleep(Sleep::Run);
        w.set_halt(Halt::Pause);
    });
    WDT.crv().write_value(LONGEST_MS / 1_000 * SLOW_HZ - 1);
    WDT.rren().write(|w| w.set_rr(0, true));
    WDT.tasks_start().write_value(1);
    kick();
}

/// Restarts the countdown; harmless before [`start`].
pub(crate) fn kick() {
    WDT.rr(0).write(|w| w.set_rr(Rr::Reload));
}
