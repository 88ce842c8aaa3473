//! Time from the generic timer, and sleep until it or the UART has something.
//!
//! Sleep is `wfi` with interrupts masked: a pending interrupt ends it, and no handler runs. QEMU
//! lets `wfe` return at once, which would burn a core of the machine it runs on. The interrupt
//! controller is set up just enough for the two sources to reach the processor.

#![expect(
    unsafe_code,
    reason = "system registers and the interrupt controller's registers"
)]

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

use assay_firmware::platform::Platform;
use embedded_hal::delay::DelayNs;

/// GICv2 distributor and CPU interface of `virt`, and the offsets used ([IHI 0048B] 4.1).
const GICD_CTLR: usize = 0x0800_0000;
const GICD_ISENABLER0: usize = 0x0800_0100;
const GICD_ISENABLER1: usize = 0x0800_0104;
const GICD_ITARGETSR8: usize = 0x0800_0820;
const GICC_CTLR: usize = 0x0801_0000;
const GICC_PMR: usize = 0x0801_0004;
/// The virtual timer's private interrupt.
const TIMER_INTERRUPT: u32 = 27;
/// The UART's interrupt: shared interrupt 1, which is number 33.
const UART_INTERRUPT: u32 = 33;

const TIMER_ENABLE: u64 = 1;
/// A sleep ends after a millisecond at the latest.
const LONGEST_SLEEP_HZ: u64 = 1_000;
/// Shorter delays spin.
const SLEEP_FROM_US: u64 = 1_000;

/// The running counter. Copies read the same one.
#[derive(Clone, Copy)]
pub(crate) struct Timer {
    counts_per_second: u64,
}

impl Timer {
    /// Lets the timer and the UART wake the processor. Called once.
    pub(crate) fn start() -> Self {
        let word = |address, value: u32| {
            // SAFETY: the addresses are registers of `virt`'s interrupt controller, aligned words
            // that nothing else in this program touches.
            unsafe { with_exposed_provenance_mut::<u32>(address).write_volatile(value) }
        };
        word(GICD_ISENABLER0, 1 << TIMER_INTERRUPT);
        // Shared interrupts 32 to 35 go to processor 0.
        word(GICD_ITARGETSR8, 0x0101_0101);
        word(GICD_ISENABLER1, 1 << (UART_INTERRUPT - 32));
        word(GICC_PMR, 0xFF);
        word(GICC_CTLR, 1);
        word(GICD_CTLR, 1);

        Self::running()
    }

    /// The counter as it is, without the wake-ups: for last words, which come at any time.
    pub(crate) fn running() -> Self {
        let counts_per_second: u64;
        // SAFETY: a read of an identification register.
        unsafe {
            asm!("mrs {}, cntfrq_el0", out(reg) counts_per_second, options(nomem, nostack));
        }
        Self {
            counts_per_second: counts_per_second.max(1),
        }
    }

    fn count(self) -> u64 {
        let count: u64;
        // SAFETY: a read of a counter; the barrier keeps it from being taken early.
        unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) count, options(nostack)) };
        count
    }

    /// Microseconds since the machine started. Never goes back.
    pub(crate) fn now_us(self) -> u64 {
        let count = self.count();
        let seconds = count / self.counts_per_second;
        let rest = count % self.counts_per_second;
        seconds * 1_000_000 + rest * 1_000_000 / self.counts_per_second
    }

    /// Sleeps until a byte arrives, at most a millisecond.
    pub(crate) fn sleep(self) {
        let counts = self.counts_per_second / LONGEST_SLEEP_HZ;
        // SAFETY: arms the virtual timer, which only this function uses, waits for any interrupt
        // to become pending (they stay masked), and disarms it, which withdraws its interrupt.
        unsafe {
            asm!(
                "msr cntv_tval_el0, {counts}",
                "msr cntv_ctl_el0, {enable}",
                "isb",
                "wfi",
                "msr cntv_ctl_el0, xzr",
                "isb",
                counts = in(reg) counts,
                enable = in(reg) TIMER_ENABLE,
                options(nostack),
            );
        }
    }

    fn wait_us(self, us: u64) {
        // One more, since the first microsecond has already begun.
        let end = self.now_us() + us + 1;
        while self.now_us() < end {
            if us >= SLEEP_FROM_US {
                self.sleep();
            }
        }
    }
}

impl Platform for Timer {
    fn now_us(&mut self) -> u64 {
        Timer::now_us(*self)
    }

    fn idle(&mut self) {
        self.sleep();
    }

    /// `virt` has no watchdog that runs without its setting up; the harness has a deadline.
    fn kick_watchdog(&mut self) {}
}

impl DelayNs for Timer {
    /// Waits at least `ns`.
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
