//! Time since start-up: SysTick interrupts at 1 kHz, its counter gives the microseconds between.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

use assay_firmware::platform::Platform;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use embedded_hal::delay::DelayNs;

use crate::wait::{Waiter, wait_us};

/// Interrupts per second.
const TICK_HZ: u32 = 1_000;
pub(super) const TICK_US: u32 = 1_000_000 / TICK_HZ;
// A sleep ends at the next tick, which `wait` counts on.
const _: () = assert!(TICK_US <= 1_000);

/// Milliseconds since [`Timer::start`], low and high word: 32 bits alone wrap after 49.7 days.
/// Written by the interrupt handler only.
static TICKS_LOW: AtomicU32 = AtomicU32::new(0);
static TICKS_HIGH: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    let next = TICKS_LOW.load(Ordering::Relaxed).wrapping_add(1);
    if next == 0 {
        TICKS_HIGH.store(
            TICKS_HIGH.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }
    TICKS_LOW.store(next, Ordering::Release);
    #[cfg(feature = "embassy")]
    super::alarms::tick();
}

/// Milliseconds since start-up. For the tick's own handler, which nothing interrupts that changes them.
#[cfg(feature = "embassy")]
pub(super) fn ticks() -> u64 {
    u64::from(TICKS_HIGH.load(Ordering::Relaxed)) << 32
        | u64::from(TICKS_LOW.load(Ordering::Relaxed))
}

/// Microseconds since start-up at a core clock of `hz`, as [`Timer::now_us`], but from any context: where interrupts are masked
/// a tick may be due that its handler cannot count yet. For less than a tick; who masks them for longer stops this clock.
#[cfg(feature = "embassy")]
pub(super) fn now_us_masked(hz: u32) -> u64 {
    loop {
        let high = TICKS_HIGH.load(Ordering::Relaxed);
        let low = TICKS_LOW.load(Ordering::Acquire);
        let mut left = SYST::get_current();
        let due = SCB::is_pendst_pending();
        if due {
            // What was read may be of the period before.
            left = SYST::get_current();
        }
        if low != TICKS_LOW.load(Ordering::Acquire) || high != TICKS_HIGH.load(Ordering::Relaxed) {
            continue;
        }
        let ticks = (u64::from(high) << 32 | u64::from(low)) + u64::from(due);
        // The counter is 0 when its tick becomes due, which is where the next period begins, and before the start.
        let into_tick = match left {
            0 => 0,
            _ => TICK_US.saturating_sub(left / (hz / 1_000_000) + 1),
        };
        return ticks * u64::from(TICK_US) + u64::from(into_tick);
    }
}

/// Milliseconds since start-up, wrapping after 49.7 days; for log lines, from any context.
#[must_use]
pub fn milliseconds() -> u32 {
    TICKS_LOW.load(Ordering::Relaxed)
}

/// What ends a hang, of the board or of its TPM. `()` is a board that has nothing of the kind.
pub trait Watchdog {
    /// Restarts its countdown.
    fn kick();

    /// [`Platform::restart`].
    fn restart();

    /// [`Platform::noise`], of a board that has a source.
    fn noise(out: &mut [u8; 32]) -> usize {
        let _ = out;
        0
    }
}

impl Watchdog for () {
    fn kick() {}

    fn restart() {}
}

/// A started SysTick at a core clock of `HZ`. Copies read the same counter.
pub struct Timer<const HZ: u32, W>(PhantomData<W>);

impl<const HZ: u32, W> Clone for Timer<HZ, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const HZ: u32, W> Copy for Timer<HZ, W> {}

impl<const HZ: u32, W: Watchdog> Timer<HZ, W> {
    const COUNTS_PER_US: u32 = {
        assert!(HZ >= 1_000_000 && HZ.is_multiple_of(1_000_000));
        HZ / 1_000_000
    };

    /// Starts the tick. Interrupts must be enabled for time to pass.
    pub fn start(mut syst: SYST) -> Self {
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(HZ / TICK_HZ - 1);
        syst.clear_current();
        syst.enable_interrupt();
        syst.enable_counter();
        Self(PhantomData)
    }

    /// Microseconds since the start. Never goes back; must not be called from an interrupt handler.
    #[must_use]
    pub fn now_us(self) -> u64 {
        loop {
            let high = TICKS_HIGH.load(Ordering::Relaxed);
            let low = TICKS_LOW.load(Ordering::Acquire);
            let left = SYST::get_current();
            // A tick that is due but not yet counted: `left` may be of this period or the next.
            if SCB::is_pendst_pending()
                || low != TICKS_LOW.load(Ordering::Acquire)
                || high != TICKS_HIGH.load(Ordering::Relaxed)
            {
                continue;
            }
            let ticks = u64::from(high) << 32 | u64::from(low);
            let into_tick = TICK_US.saturating_sub(left / Self::COUNTS_PER_US + 1);
            return ticks * u64::from(TICK_US) + u64::from(into_tick);
        }
    }

    /// Kicks the watchdog and sleeps until the next interrupt: a tick at the latest, so at most a millisecond.
    pub fn sleep(self) {
        W::kick();
        cortex_m::asm::wfi();
    }

    fn wait_us(mut self, us: u64) {
        wait_us(&mut self, us);
    }
}

impl<const HZ: u32, W: Watchdog> Waiter for Timer<HZ, W> {
    fn now_us(&mut self) -> u64 {
        Self::now_us(*self)
    }

    fn kick(&mut self) {
        W::kick();
    }

    fn sleep(&mut self) {
        cortex_m::asm::wfi();
    }
}

impl<const HZ: u32, W: Watchdog> DelayNs for Timer<HZ, W> {
    /// Waits at least `ns`, asleep if it is long, and keeps the watchdog quiet.
    fn delay_ns(&mut self, ns: u32) {
        self.wait_us(u64::from(ns.div_ceil(1_000)));
    }

    fn delay_us(&mut self, us: u32) {
        self.wait_us(u64::from(us));
    }

    fn delay_ms(&mut self, ms: u32) {
        self.wait_us(u64::from(ms) * 1_000);
    }
}

impl<const HZ: u32, W: Watchdog> Platform for Timer<HZ, W> {
    fn now_us(&mut self) -> u64 {
        Self::now_us(*self)
    }

    fn idle(&mut self) {
        self.sleep();
    }

    fn kick_watchdog(&mut self) {
        W::kick();
    }

    fn restart(&mut self) {
        W::restart();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        W::noise(out)
    }
}
