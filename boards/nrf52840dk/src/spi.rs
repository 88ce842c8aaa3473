//! SPI to the TPM: SPI1, the one without DMA; mode 0, eight bits, most significant bit first, polled.
//!
//! The SPI with DMA (SPIM) would cost a start, an end and a buffer in RAM for each of a frame's short parts.

use assay_board_support::byte_spi::ByteSpi;
use nrf_pac::SPI1;
use nrf_pac::spi::vals::{Enable, Frequency};

use crate::{CORE_HZ, pins};

/// Cycles of the core in a clock of the bus, which is 4 MHz: below the 10 MHz that every TPM stands; 8 MHz is more than
/// the DK's header and a hand-made cable like.
const BIT_CYCLES: u32 = CORE_HZ / 4_000_000;

/// The TPM's bus.
pub(crate) struct TpmSpi(());

impl TpmSpi {
    /// Switches the SPI on. Its pins must have their direction and level.
    pub(crate) fn start() -> Self {
        SPI1.psel().sck().write_value(pins::TPM_SCK.select());
        SPI1.psel().mosi().write_value(pins::TPM_MOSI.select());
        SPI1.psel().miso().write_value(pins::TPM_MISO.select());
        SPI1.frequency().write(|w| w.set_frequency(Frequency::M4));
        // Mode 0 and the bit order are what is left at zero.
        SPI1.config().write(|_| ());
        SPI1.enable().write(|w| w.set_enable(Enable::Enabled));
        SPI1.events_ready().write_value(0);
        Self(())
    }
}

impl ByteSpi for TpmSpi {
    fn exchange(&mut self, byte: u8) -> u8 {
        SPI1.txd().write(|w| w.set_txd(byte));
        while SPI1.events_ready().read() == 0 {}
        SPI1.events_ready().write_value(0);
        SPI1.rxd().read().rxd()
    }

    /// The peripheral says "ready" when the last bit has been sampled and has no flag for the end of its clock.
    fn settle(&mut self) {
        cortex_m::asm::delay(BIT_CYCLES);
    }
}
