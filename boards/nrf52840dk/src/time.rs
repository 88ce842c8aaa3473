//! Time from TIMER0 at 1 MHz, and a compare that ends a sleep.
//!
//! SysTick does not serve: its clock stands still while the core sleeps.

#![expect(
    unsafe_code,
    reason = "unmasking an interrupt is unsafe by its signature"
)]

use core::sync::atomic::{AtomicU32, Ordering};

use assay_board_support::cortex_m::sleep;
use assay_board_support::timer::Clock;
use cortex_m::peripheral::{NVIC, SCB};
use nrf_pac::timer::vals::Bitmode;
use nrf_pac::{CLOCK, Interrupt, TIMER0};

use crate::{noise, pins, watchdog};

/// 16 MHz divided by 2 to the power of this is 1 MHz.
const PRESCALER: u8 = 4;
/// A sleep ends after a millisecond at the latest.
const LONGEST_SLEEP_US: u32 = 1_000;
/// Which compare register ends a sleep, and which takes the time.
const WAKE: usize = 0;
const NOW: usize = 1;

/// The last reading, and how often the 32 bits have wrapped, which takes 71 minutes: the agent asks for the time every
/// millisecond, so none is missed. Used by one reader alone, never by an interrupt handler.
static LAST: AtomicU32 = AtomicU32::new(0);
static WRAPS: AtomicU32 = AtomicU32::new(0);

/// The running timer. Copies read the same one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Micros(());

/// Milliseconds since start-up, wrapping after 49.7 days; for log lines, which no interrupt handler writes.
#[cfg(feature = "defmt")]
pub(crate) fn milliseconds() -> u32 {
    (Micros(()).now_us() / 1_000) as u32
}

fn counter() -> u32 {
    TIMER0.tasks_capture(NOW).write_value(1);
    TIMER0.cc(NOW).read()
}

impl Micros {
    /// Starts the crystal, and the timer at zero.
    ///
    /// The internal oscillator is within 1.5 % (data sheet 5.4), which a UART stands but not gladly. A crystal that does
    /// not start leaves this waiting; the watchdog ends it.
    pub(crate) fn start() -> Self {
        CLOCK.events_hfclkstarted().write_value(0);
        CLOCK.tasks_hfclkstart().write_value(1);
        while CLOCK.events_hfclkstarted().read() == 0 {}

        TIMER0.tasks_stop().write_value(1);
        TIMER0.tasks_clear().write_value(1);
        TIMER0.bitmode().write(|w| w.set_bitmode(Bitmode::_32bit));
        TIMER0.prescaler().write(|w| w.set_prescaler(PRESCALER));
        TIMER0.tasks_start().write_value(1);
        // SAFETY: unmasking breaks no critical section: none is held here. The interrupt ends sleeps; its handler never runs.
        unsafe { NVIC::unmask(Interrupt::TIMER0) };
        Self(())
    }
}

impl Clock for Micros {
    fn now_us(self) -> u64 {
        let now = counter();
        let mut wraps = WRAPS.load(Ordering::Relaxed);
        if now < LAST.load(Ordering::Relaxed) {
            wraps = wraps.wrapping_add(1);
            WRAPS.store(wraps, Ordering::Relaxed);
        }
        LAST.store(now, Ordering::Relaxed);
        u64::from(wraps) << 32 | u64::from(now)
    }

    fn sleep(self) {
        let withdraw = || {
            TIMER0.events_compare(WAKE).write_value(0);
            // An event takes effect on the interrupt line four cycles after the write, or a read of it (data sheet 6.1.8).
            TIMER0.events_compare(WAKE).read();
        };
        sleep::until_pending(
            Interrupt::TIMER0,
            || {
                withdraw();
                let from = counter();
                TIMER0
                    .cc(WAKE)
                    .write_value(from.wrapping_add(LONGEST_SLEEP_US));
                TIMER0.intenset().write(|w| w.set_compare(WAKE, true));
                counter().wrapping_sub(from) < LONGEST_SLEEP_US
            },
            || {
                // A byte of the link may have ended the sleep first: the compare is still to come then, and nobody awaits it.
                TIMER0.intenclr().write(|w| w.set_compare(WAKE, true));
                withdraw();
            },
        );
    }

    fn kick(self) {
        watchdog::kick();
        pins::tell_supervisor();
    }

    /// The chip cannot pull its own reset line low, so only an outside supervisor resets the TPM, with the board: it does
    /// when it is no longer told (README.md, "Wiring"). Without one this restarts the board alone.
    fn restart(self) {
        // Longer than a supervisor's patience, shorter than the watchdog's.
        let from = counter();
        while counter().wrapping_sub(from) < watchdog::SUPERVISED_MS * 1_000 {}
        SCB::sys_reset()
    }

    fn noise(self, out: &mut [u8; 32]) -> usize {
        noise::read(out, self)
    }
}
