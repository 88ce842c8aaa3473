//! Which pins the board uses. README.md has the wiring tables.
//!
//! Chip select is an ordinary output: the SPI's own NSS cannot be held low over the wait states of a TPM frame.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::pac::{GPIOA, GPIOB};

/// Chip select of the TPM: PA11, D10.
pub(crate) struct TpmChipSelect(GPIOA);

impl ErrorType for TpmChipSelect {
    type Error = Infallible;
}

impl OutputPin for TpmChipSelect {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.bsrr().write(|w| w.br11().set_bit());
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.bsrr().write(|w| w.bs11().set_bit());
        Ok(())
    }
}

/// Connects the pins. Chip select is high before it is an output, and before the SPI starts.
pub(crate) fn connect(a: GPIOA, b: GPIOB) -> TpmChipSelect {
    a.bsrr().write(|w| w.bs11().set_bit());
    a.moder().modify(|_, w| w.moder11().output());

    // A receive line that nothing drives must rest high, or it reads as an endless break. MISO is pulled up: with no TPM
    // fitted the bus reads 0xFF, which no TPM answers.
    a.pupdr().modify(|_, w| w.pupdr15().pull_up());
    b.pupdr().modify(|_, w| w.pupdr4().pull_up());
    b.ospeedr()
        .modify(|_, w| w.ospeedr3().high_speed().ospeedr5().high_speed());
    // USART2 is function 7 on PA2 and 3 on PA15, SPI1 is function 5.
    a.afrl().modify(|_, w| w.afrl2().af7());
    a.afrh().modify(|_, w| w.afrh15().af3());
    b.afrl()
        .modify(|_, w| w.afrl3().af5().afrl4().af5().afrl5().af5());
    a.moder()
        .modify(|_, w| w.moder2().alternate().moder15().alternate());
    b.moder().modify(|_, w| {
        w.moder3()
            .alternate()
            .moder4()
            .alternate()
            .moder5()
            .alternate()
    });
    TpmChipSelect(a)
}
