//! The watchdog: the last resort against a hang.

#![expect(
    unsafe_code,
    reason = "the registers of the watchdog are written from several places"
)]

use rp235x_pac::{PSM, WATCHDOG};

use crate::clock;

/// Longest time between two kicks. Every wait kicks, for the TPM and for the link, however short. What takes time without
/// a wait is the sending of a frame, 0.2 s at 115,200 baud, and the P-256 arithmetic, some tenths of a second.
pub(crate) const LONGEST_MS: u32 = 8_000;
/// In microseconds, as the register has it; 24 bits.
const LOAD: u32 = LONGEST_MS * 1_000;
const _: () = assert!(LOAD < 1 << 24);

/// What a restart resets: everything but the two oscillators (bits 2 and 3 of PSM's WDSEL, data sheet 7.4.4).
const RESETS_ALL: u32 = 0x01FF_FFFF & !(1 << 2 | 1 << 3);

/// Starts the countdown. From here on somebody must [`kick`].
///
/// Before the clocks are up its ticks are made from the boot ROM's oscillator, which is about as fast as the crystal.
pub(crate) fn start() {
    // SAFETY: called once, before any other code uses these registers.
    let (watchdog, psm) = unsafe { (&*WATCHDOG::ptr(), &*PSM::ptr()) };
    watchdog.ctrl().modify(|_, w| w.enable().clear_bit());
    // SAFETY: the bits are those of the register's table.
    psm.wdsel().write(|w| unsafe { w.bits(RESETS_ALL) });
    clock::tick_watchdog();
    kick();
    // A debugger that halts the core halts the countdown, too: these are the reset values.
    watchdog.ctrl().modify(|_, w| w.enable().set_bit());
}

/// Restarts the countdown; harmless before [`start`].
pub(crate) fn kick() {
    // SAFETY: the register is write-only and one store is the whole operation, so nobody can be disturbed half-way;
    // it takes any 24 bits.
    unsafe { (*WATCHDOG::ptr()).load().write(|w| w.bits(LOAD)) };
}

/// Restarts the chip at once.
#[cfg(target_arch = "riscv32")]
pub(crate) fn restart_now() -> ! {
    // SAFETY: the caller never returns to anybody who uses the watchdog.
    let watchdog = unsafe { &*WATCHDOG::ptr() };
    watchdog.ctrl().modify(|_, w| w.trigger().set_bit());
    loop {
        core::hint::spin_loop();
    }
}
