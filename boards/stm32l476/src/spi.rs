//! SPI to the TPM: SPI1; master, mode 0, eight bits, most significant bit first, polled.

#![expect(unsafe_code, reason = "the data register takes numbers")]

use assay_board_support::byte_spi::ByteSpi;

use crate::clock::CORE_HZ;
use crate::pac::SPI1;

/// The clock is the bus's, divided by 16: 5 MHz, below the 10 MHz that every TPM and a hand-made cable stand.
const _: () = assert!(CORE_HZ / 16 == 5_000_000);

/// The TPM's bus.
pub(crate) struct TpmSpi(SPI1);

impl TpmSpi {
    /// Switches the SPI on. Its pins must be in their alternate function.
    pub(crate) fn start(spi: SPI1) -> Self {
        // One received byte counts as something: the reset value waits for two.
        spi.cr2().write(|w| w.ds().eight_bit().frxth().quarter());
        // Mode 0 and the bit order are what is left at zero. The internal select input must read high, or the peripheral
        // takes itself for a slave.
        spi.cr1().write(|w| {
            w.br().div16();
            w.mstr().set_bit();
            w.ssm().set_bit();
            w.ssi().set_bit();
            w.spe().set_bit()
        });
        Self(spi)
    }
}

impl ByteSpi for TpmSpi {
    fn exchange(&mut self, byte: u8) -> u8 {
        // By the register's view of eight bits: a wider store would send two bytes.
        // SAFETY: the data register takes any byte.
        self.0.dr8().write(|w| unsafe { w.dr().bits(byte) });
        while self.0.sr().read().rxne().bit_is_clear() {}
        self.0.dr8().read().dr().bits()
    }

    /// Waits until nothing is left to send and the last clock has ended (RM0351 42.4.9).
    fn settle(&mut self) {
        loop {
            let status = self.0.sr().read();
            if status.ftlvl().is_empty() && status.bsy().bit_is_clear() {
                return;
            }
        }
    }
}
