//! The HAL's SPI with a `flush` that waits.
//!
//! stm32f4xx-hal 0.23 returns from a transfer when the last byte has been *sampled*, half a clock
//! before the line is idle again, and its `flush` does nothing. A chip select raised there cuts the
//! last clock pulse short. Here `flush` waits for BSY to fall (RM0090 28.5.3 says after
//! TXE, which a finished transfer implies).

use embedded_hal::spi::{ErrorType, SpiBus};
use stm32f4xx_hal::spi::{Error, Spi};

use crate::pins::TpmSpi;

/// The TPM's bus: mode 0, eight bits, most significant bit first.
pub(crate) struct TpmBus(Spi<TpmSpi>);

impl TpmBus {
    /// Takes a configured SPI.
    pub(crate) const fn new(spi: Spi<TpmSpi>) -> Self {
        Self(spi)
    }
}

impl ErrorType for TpmBus {
    type Error = Error;
}

// A peripheral that never reports "done" is a broken chip: the watchdog ends that wait.
impl SpiBus for TpmBus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Error> {
        self.0.read(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Error> {
        self.0.write(words)
    }

    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Error> {
        self.0.transfer(read, write)
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Error> {
        self.0.transfer_in_place(words)
    }

    fn flush(&mut self) -> Result<(), Error> {
        while self.0.is_busy() {}
        Ok(())
    }
}
