//! Time from TIMER0: 64 bits of microseconds, which do not wrap in a board's life, and an alarm that ends a sleep.

#![expect(unsafe_code, reason = "alarms are written as numbers")]

use assay_board_support::timer::Clock;
use rp235x_pac::{Interrupt, RESETS, TIMER0, timer0};

use crate::{arch, noise, pins, watchdog};

/// A sleep ends after a millisecond at the latest.
const LONGEST_SLEEP_US: u32 = 1_000;
/// The alarm's bit.
const ALARM: u8 = 1 << 0;

/// The running timer. Copies read the same one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Micros(());

fn timer() -> &'static timer0::RegisterBlock {
    // SAFETY: the counter is only read, and only `Micros::sleep` uses the alarm.
    unsafe { &*TIMER0::ptr() }
}

/// Milliseconds since start-up, wrapping after 49.7 days; for log lines.
#[cfg(feature = "defmt")]
pub(crate) fn milliseconds() -> u32 {
    (Micros(()).now_us() / 1_000) as u32
}

impl Micros {
    /// Starts at zero. The clocks must be on.
    pub(crate) fn start() -> Self {
        // SAFETY: called once, before anything else uses the timer.
        let resets = unsafe { &*RESETS::ptr() };
        resets.reset().modify(|_, w| w.timer0().set_bit());
        resets.reset().modify(|_, w| w.timer0().clear_bit());
        while resets.reset_done().read().timer0().bit_is_clear() {}
        timer().inte().write(|w| w.alarm_0().set_bit());
        arch::unmask(Interrupt::TIMER0_IRQ_0);
        Self(())
    }
}

impl Clock for Micros {
    fn now_us(self) -> u64 {
        // The latched pair of registers would serve one reader only; a panic in the middle of a read is a second one.
        loop {
            let high = timer().timerawh().read().bits();
            let low = timer().timerawl().read().bits();
            if timer().timerawh().read().bits() == high {
                return u64::from(high) << 32 | u64::from(low);
            }
        }
    }

    fn sleep(self) {
        arch::sleep(
            || {
                let low = || timer().timerawl().read().bits();
                let from = low();
                let end = from.wrapping_add(LONGEST_SLEEP_US);
                // SAFETY: the alarm takes any time; it fires when the low word equals it.
                timer().alarm0().write(|w| unsafe { w.bits(end) });
                low().wrapping_sub(from) < LONGEST_SLEEP_US
            },
            || {
                // SAFETY: writing an alarm's bit disarms it, or clears its interrupt.
                timer().armed().write(|w| unsafe { w.bits(ALARM.into()) });
                // SAFETY: as above.
                timer().intr().write(|w| unsafe { w.bits(ALARM.into()) });
                // The line is low when this has come back over the bus; until then it would be pending anew.
                timer().intr().read();
            },
        );
    }

    fn kick(self) {
        watchdog::kick();
        pins::tell_supervisor();
    }

    /// The chip cannot pull its own reset line low, so only an outside supervisor resets the TPM, with the board: it does
    /// when it is no longer told (README.md, "Wiring"). Without one the watchdog restarts the board alone.
    fn restart(self) {
        loop {
            core::hint::spin_loop();
        }
    }

    fn noise(self, out: &mut [u8; 32]) -> usize {
        noise::read(out, self)
    }
}
