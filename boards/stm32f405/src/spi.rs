//! SPI to the TPM: master, mode 0, eight bits, most significant bit first, polled.
//!
//! Byte by byte, each received before the next is sent, so nothing can overrun; chip select is not
//! the peripheral's, so there is no mode fault either. A peripheral that never reports "done" is a
//! broken chip: the watchdog ends that wait.
//!
//! # Why not the HAL's `Spi`
//!
//! stm32f4xx-hal 0.23 returns when the last byte has been *sampled*, half a clock before the line is
//! idle, and its `flush` does nothing: a chip select raised there cuts the last pulse short. Its
//! search for a divider also rounds the clock up (10.5 MHz for 10 MHz asked).

#![expect(unsafe_code, reason = "the divider is written as a number")]

use core::convert::Infallible;

use embedded_hal::spi::{ErrorType, SpiBus};
use stm32f4xx_hal::rcc::{Enable, Rcc, Reset};

use crate::clock::{APB1_HZ, APB2_HZ};
use crate::pins::TpmSpi;

/// The clock is the bus's, divided by 2 to the power of this plus one: 5.25 MHz, below the 10 MHz
/// that every TPM and a hand-made cable stand.
const DIVIDER: u8 = if cfg!(feature = "netduino-plus-2") {
    2
} else {
    3
};
const BUS_HZ: u32 = if cfg!(feature = "netduino-plus-2") {
    APB1_HZ
} else {
    APB2_HZ
};
const _: () = assert!(BUS_HZ >> (DIVIDER + 1) == 5_250_000);

/// The TPM's bus.
pub(crate) struct TpmBus(TpmSpi);

impl TpmBus {
    /// Switches the SPI on. Its pins must be in their alternate function.
    pub(crate) fn new(spi: TpmSpi, rcc: &mut Rcc) -> Self {
        TpmSpi::enable(rcc);
        TpmSpi::reset(rcc);
        // Mode 0, eight bits and the bit order are what is left at zero. The internal select input
        // must read high, or the peripheral takes itself for a slave.
        spi.cr1().write(|w| {
            // SAFETY: every value of the three bits is a divider.
            unsafe { w.br().bits(DIVIDER) };
            w.mstr()
                .set_bit()
                .ssm()
                .set_bit()
                .ssi()
                .set_bit()
                .spe()
                .set_bit()
        });
        Self(spi)
    }

    fn exchange(&mut self, byte: u8) -> u8 {
        self.0.dr().write(|w| w.dr().set(byte.into()));
        while self.0.sr().read().rxne().bit_is_clear() {}
        self.0.dr().read().dr().bits() as u8
    }
}

impl ErrorType for TpmBus {
    type Error = Infallible;
}

impl SpiBus for TpmBus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        words.fill(0);
        self.transfer_in_place(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        for word in words {
            self.exchange(*word);
        }
        Ok(())
    }

    /// The longer of the two decides; zeros are sent where `write` has ended.
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        let (mut read, mut write) = (read.iter_mut(), write.iter());
        loop {
            let (slot, word) = (read.next(), write.next());
            if slot.is_none() && word.is_none() {
                return Ok(());
            }
            let received = self.exchange(word.copied().unwrap_or(0));
            if let Some(slot) = slot {
                *slot = received;
            }
        }
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        for word in words {
            *word = self.exchange(*word);
        }
        Ok(())
    }

    /// Waits until the last clock has ended (RM0090 28.3.8: RXNE, then TXE, then BSY).
    fn flush(&mut self) -> Result<(), Infallible> {
        loop {
            let status = self.0.sr().read();
            if status.txe().bit_is_set() && status.bsy().bit_is_clear() {
                return Ok(());
            }
        }
    }
}
