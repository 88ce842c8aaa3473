//! The clock tree: 80 MHz everywhere, from the internal oscillator of 16 MHz.
//!
//! No crystal is needed, and the Nucleo has none for this: the oscillator is trimmed to within 1 % from 0 to 85 °C and
//! 2 % from -40 to 125 °C (STM32L476 data sheet, table 47), and a UART stands 3.3 %.

#![expect(unsafe_code, reason = "dividers are written as numbers")]

use crate::pac::{FLASH, RCC};

/// Core, SysTick, both buses, Hz: the fastest the chip goes.
pub(crate) const CORE_HZ: u32 = 80_000_000;

/// 16 MHz times this, halved, is the core's clock. The PLL's oscillator takes 64 to 344 MHz (RM0351 6.4.4).
const MULTIPLIER: u8 = 10;
const _: () = assert!(16_000_000 * MULTIPLIER as u32 / 2 == CORE_HZ);

/// The random number generator's clock is the PLL's oscillator divided by this: at most 48 MHz, and at least a sixteenth of
/// the core's (RM0351 27.3.6).
const NOISE_DIVIDER: u32 = 4;
const _: () = {
    let hz = 16_000_000 * MULTIPLIER as u32 / NOISE_DIVIDER;
    assert!(hz <= 48_000_000 && hz >= CORE_HZ / 16);
};

/// Codes of RM0351 6.4.3 and 6.4.4.
const SOURCE_INTERNAL: u8 = 2;
const SWITCH_PLL: u8 = 3;
/// Of the divider by 4 (6.4.4), and of that output as the clock of the generator (RCC_CCIPR).
const NOISE_DIVIDED: u8 = 1;
const NOISE_FROM_PLL: u8 = 2;

/// Switches from the oscillator on which the chip starts to the PLL, and the clocks of the peripherals on.
pub(crate) fn start(rcc: &RCC, flash: &FLASH) {
    rcc.cr().modify(|_, w| w.hsion().set_bit());
    while rcc.cr().read().hsirdy().bit_is_clear() {}
    // The input and output dividers' zeros are their 1 and their 2.
    // SAFETY: the numbers were checked above against the reference manual's ranges.
    rcc.pllcfgr().write(|w| unsafe {
        w.pllsrc().bits(SOURCE_INTERNAL);
        w.pllm().bits(0);
        w.plln().bits(MULTIPLIER);
        w.pllr().bits(0);
        w.pllren().set_bit();
        w.pllq().bits(NOISE_DIVIDED);
        w.pllqen().set_bit()
    });
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    while rcc.cr().read().pllrdy().bit_is_clear() {}

    // At 80 MHz in range 1, which is the reset's, the flash needs four wait states (RM0351 3.3.3), in force before the
    // clock rises.
    // SAFETY: 4 is a number of wait states of the register's table.
    flash.acr().modify(|_, w| unsafe {
        w.latency().bits(4);
        w.prften().set_bit();
        w.icen().set_bit();
        w.dcen().set_bit()
    });
    while flash.acr().read().latency().bits() != 4 {}

    // The buses' dividers are 1 after reset.
    // SAFETY: 3 is the PLL's code.
    rcc.cfgr().modify(|_, w| unsafe { w.sw().bits(SWITCH_PLL) });
    while rcc.cfgr().read().sws().bits() != SWITCH_PLL {}

    // SAFETY: 2 is the PLL's code.
    rcc.ccipr()
        .modify(|_, w| unsafe { w.clk48sel().bits(NOISE_FROM_PLL) });
    rcc.ahb2enr()
        .modify(|_, w| w.gpioaen().set_bit().gpioben().set_bit());
    rcc.apb1enr1().modify(|_, w| w.usart2en().set_bit());
    rcc.apb2enr().modify(|_, w| w.spi1en().set_bit());
    // A clock is there two cycles after it was switched on, which a read takes (RM0351 6.2.18).
    let _ = (rcc.ahb2enr().read(), rcc.apb2enr().read());
}
