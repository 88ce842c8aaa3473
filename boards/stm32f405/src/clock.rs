//! The clock tree: 168 MHz core, 42 MHz APB1, 84 MHz APB2, from the board's oscillator.
//!
//! # Why not the HAL's `freeze`
//!
//! It searches for the dividers at run time, which takes 1.7 KiB of flash, 3 % of the budget. Here
//! they are constants. The HAL then believes that the chip still runs as after reset, so
//! nothing here may ask it for a frequency: whoever needs one takes it from this module.

#![expect(unsafe_code, reason = "dividers are written as numbers")]

use stm32f4xx_hal::pac::{FLASH, RCC};

/// Core and SysTick, Hz: the fastest the chip goes, and what QEMU's model of it assumes.
pub(crate) const CORE_HZ: u32 = 168_000_000;
/// USART2, USART3 and SPI2, Hz.
pub(crate) const APB1_HZ: u32 = 42_000_000;
/// USART6 and SPI1, Hz.
pub(crate) const APB2_HZ: u32 = 84_000_000;

/// Frequency of the crystal in MHz, or `None` for the internal oscillator of 16 MHz.
///
/// The internal one is within 1 % at 25 °C but 4 % from -10 to 85 °C (STM32F405 data sheet,
/// table 42), too much for a UART: a node outside a room needs the variant of its board.
const CRYSTAL_MHZ: Option<u8> = if cfg!(feature = "olimex-h405") {
    Some(8)
} else if cfg!(feature = "feather") {
    Some(12)
} else if cfg!(feature = "netduino-plus-2") {
    Some(25)
} else {
    None
};

/// Input divider and multiplier: oscillator / M is 2 MHz if it is even (least jitter, RM0090 6.3.2)
/// and 1 MHz otherwise; times N is 336 MHz; halved is the core's clock.
const PLL: (u8, u16) = {
    let mhz = match CRYSTAL_MHZ {
        Some(mhz) => mhz,
        None => 16,
    };
    let input_mhz = if mhz.is_multiple_of(2) { 2 } else { 1 };
    let (divider, multiplier) = (mhz / input_mhz, 336 / input_mhz as u16);
    assert!(divider >= 2 && divider <= 63 && multiplier >= 50 && multiplier <= 432);
    assert!(mhz as u32 / divider as u32 * multiplier as u32 / 2 * 1_000_000 == CORE_HZ);
    (divider, multiplier)
};

/// Switches from the internal oscillator, on which the chip starts, to the PLL.
///
/// A crystal that does not start leaves this waiting; the watchdog ends it.
pub(crate) fn start(rcc: &RCC, flash: &FLASH) {
    if CRYSTAL_MHZ.is_some() {
        rcc.cr().modify(|_, w| w.hseon().set_bit());
        while rcc.cr().read().hserdy().bit_is_clear() {}
    }
    let (divider, multiplier) = PLL;
    rcc.pllcfgr().write(|w| {
        // SAFETY: both numbers were checked above against the ranges of RM0090 6.3.2; the fourth
        // output, at 48 MHz, is not used, and 7 is a legal divider for it.
        unsafe {
            w.pllm()
                .bits(divider)
                .plln()
                .bits(multiplier)
                .pllq()
                .bits(7)
        };
        w.pllp().div2().pllsrc().bit(CRYSTAL_MHZ.is_some())
    });
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    while rcc.cr().read().pllrdy().bit_is_clear() {}

    // At 168 MHz and 2.7 to 3.6 V the flash needs five wait states (RM0090 3.5.1), in force
    // before the clock rises.
    flash.acr().write(|w| {
        w.latency()
            .ws5()
            .prften()
            .set_bit()
            .icen()
            .set_bit()
            .dcen()
            .set_bit()
    });
    while !flash.acr().read().latency().is_ws5() {}

    rcc.cfgr()
        .write(|w| w.hpre().div1().ppre1().div4().ppre2().div2().sw().pll());
    while !rcc.cfgr().read().sws().is_pll() {}
}
