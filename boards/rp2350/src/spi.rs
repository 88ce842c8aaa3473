//! SPI to the TPM: SPI0, a PL022; master, mode 0, eight bits, most significant bit first, polled.

#![expect(unsafe_code, reason = "dividers are written as numbers")]

use assay_board_support::byte_spi::ByteSpi;
use rp235x_pac::{RESETS, SPI0};

use crate::clock::PERIPHERAL_HZ;

/// The clock is the peripherals' divided by both: 5 MHz, below the 10 MHz that every TPM and a hand-made cable
/// stand.
const PRESCALER: u8 = 2;
const DIVIDER: u8 = 15;
const _: () = assert!(PERIPHERAL_HZ / PRESCALER as u32 / DIVIDER as u32 == 5_000_000);

/// The TPM's bus.
pub(crate) struct TpmSpi(());

impl TpmSpi {
    /// Switches the SPI on. Its pins must have its function.
    pub(crate) fn start() -> Self {
        // SAFETY: called once, before anything else uses them.
        let (resets, spi) = unsafe { (&*RESETS::ptr(), &*SPI0::ptr()) };
        resets.reset().modify(|_, w| w.spi0().set_bit());
        resets.reset().modify(|_, w| w.spi0().clear_bit());
        while resets.reset_done().read().spi0().bit_is_clear() {}
        // SAFETY: an even number from 2 on is a valid prescaler.
        spi.sspcpsr()
            .write(|w| unsafe { w.cpsdvsr().bits(PRESCALER) });
        // Mode 0, Motorola's frames and mastership are what is left at zero. 7 is the code of eight bits.
        // SAFETY: any divider is valid; the register holds it less one.
        spi.sspcr0()
            .write(|w| unsafe { w.dss().bits(7).scr().bits(DIVIDER - 1) });
        spi.sspcr1().write(|w| w.sse().set_bit());
        Self(())
    }
}

impl ByteSpi for TpmSpi {
    fn exchange(&mut self, byte: u8) -> u8 {
        // SAFETY: `self` is the owner of the SPI.
        let spi = unsafe { &*SPI0::ptr() };
        // SAFETY: the data register takes any byte.
        spi.sspdr().write(|w| unsafe { w.data().bits(byte.into()) });
        while spi.sspsr().read().rne().bit_is_clear() {}
        spi.sspdr().read().data().bits() as u8
    }

    /// Busy falls when the last frame has been shifted out (DDI 0194 3.3.4).
    fn settle(&mut self) {
        // SAFETY: a read.
        while unsafe { (*SPI0::ptr()).sspsr().read().bsy().bit_is_set() } {}
    }
}
