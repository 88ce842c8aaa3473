//! The clock tree: 150 MHz for the core and the peripherals, from the board's crystal of 12 MHz.

#![expect(unsafe_code, reason = "dividers are written as numbers")]

use rp235x_pac::{CLOCKS, PLL_SYS, RESETS, TICKS, XOSC, ticks::TICK};

/// The crystal, and the reference clock, Hz.
const CRYSTAL_HZ: u32 = 12_000_000;
/// SPI and UART, Hz. The core's clock, too: the fastest the chip is specified for.
pub(crate) const PERIPHERAL_HZ: u32 = 150_000_000;

/// The PLL multiplies the crystal by this and divides by both of the next: 1,500 MHz, below the 1,600 that its
/// oscillator does.
const MULTIPLIER: u16 = 125;
const DIVIDERS: [u8; 2] = [5, 2];
const _: () = assert!(
    CRYSTAL_HZ as u64 * MULTIPLIER as u64 / DIVIDERS[0] as u64 / DIVIDERS[1] as u64
        == PERIPHERAL_HZ as u64
);

/// Cycles of 256 that the crystal has to start: 63 ms. The data sheet's 1 ms is too little for slow crystals.
const STARTUP: u16 = 46 * 64;

/// Switches from the oscillator on which the boot ROM runs to the crystal and the PLL.
///
/// A debugger may have restarted the core alone, with the PLL already running; so the core is taken off it first. A crystal
/// that does not start leaves this waiting; the watchdog ends it.
pub(crate) fn start() {
    // SAFETY: called once, before anything else uses the clocks.
    let (clocks, pll, resets) = unsafe { (&*CLOCKS::ptr(), &*PLL_SYS::ptr(), &*RESETS::ptr()) };
    // SAFETY: as above.
    let (crystal, ticks) = unsafe { (&*XOSC::ptr(), &*TICKS::ptr()) };

    // SAFETY: any number of cycles is a valid delay.
    crystal
        .startup()
        .write(|w| unsafe { w.delay().bits(STARTUP) });
    crystal
        .ctrl()
        .write(|w| w.freq_range()._1_15mhz().enable().enable());
    while crystal.status().read().stable().bit_is_clear() {}

    // `selected` has one bit for each source; both multiplexers are free of glitches (data sheet 8.1.3.2).
    clocks.clk_sys_ctrl().modify(|_, w| w.src().clk_ref());
    while clocks.clk_sys_selected().read().bits() != 1 << 0 {}
    clocks.clk_ref_ctrl().modify(|_, w| w.src().xosc_clksrc());
    while clocks.clk_ref_selected().read().bits() != 1 << 2 {}

    resets.reset().modify(|_, w| w.pll_sys().set_bit());
    resets.reset().modify(|_, w| w.pll_sys().clear_bit());
    while resets.reset_done().read().pll_sys().bit_is_clear() {}
    // SAFETY: one is a valid divider of the reference, and `MULTIPLIER` within the PLL's 16 to 320 (data sheet 8.6).
    pll.cs().write(|w| unsafe { w.refdiv().bits(1) });
    // SAFETY: as above.
    pll.fbdiv_int()
        .write(|w| unsafe { w.fbdiv_int().bits(MULTIPLIER) });
    pll.pwr()
        .modify(|_, w| w.pd().clear_bit().vcopd().clear_bit());
    while pll.cs().read().lock().bit_is_clear() {}
    let [first, second] = DIVIDERS;
    // SAFETY: both are within 1 to 7, and the larger one comes first.
    pll.prim()
        .write(|w| unsafe { w.postdiv1().bits(first).postdiv2().bits(second) });
    pll.pwr().modify(|_, w| w.postdivpd().clear_bit());

    clocks
        .clk_sys_ctrl()
        .modify(|_, w| w.auxsrc().clksrc_pll_sys());
    clocks
        .clk_sys_ctrl()
        .modify(|_, w| w.src().clksrc_clk_sys_aux());
    while clocks.clk_sys_selected().read().bits() != 1 << 1 {}
    clocks
        .clk_peri_ctrl()
        .write(|w| w.auxsrc().clk_sys().enable().set_bit());

    make_ticks(ticks.ticktimer0());
}

/// Makes the ticks that the watchdog counts, without which it stands: the boot ROM leaves them off (data sheet 8.5).
///
/// They are microseconds once the reference clock is the crystal's, and about that before.
pub(crate) fn tick_watchdog() {
    // SAFETY: called once, before anything else uses this generator.
    make_ticks(unsafe { (*TICKS::ptr()).tickwatchdog() });
}

/// One tick each microsecond of the crystal's, from the reference clock.
fn make_ticks(tick: &TICK) {
    tick.ctrl().write(|w| w.enable().clear_bit());
    // SAFETY: 12 cycles are a microsecond, and fit.
    tick.cycles()
        .write(|w| unsafe { w.proc0_cycles().bits((CRYSTAL_HZ / 1_000_000) as u16) });
    tick.ctrl().write(|w| w.enable().set_bit());
}
