//! Which pins the board uses. README.md has the wiring tables.
//!
//! Chip select is an ordinary output: the SPI's own NSS cannot be held low over the wait states of a TPM frame.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::pac::{GPIOA, GPIOB};

/// Chip select of the TPM: PB6, D10.
pub(crate) struct TpmChipSelect(GPIOB);

impl ErrorType for TpmChipSelect {
    type Error = Infallible;
}

impl OutputPin for TpmChipSelect {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.bsrr().write(|w| w.br6().set_bit());
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.bsrr().write(|w| w.bs6().set_bit());
        Ok(())
    }
}

/// Connects the pins. Chip select is high before it is an output, and before the SPI starts.
pub(crate) fn connect(a: GPIOA, b: GPIOB) -> TpmChipSelect {
    b.bsrr().write(|w| w.bs6().set_bit());
    b.moder().modify(|_, w| w.moder6().output());

    // A receive line that nothing drives must rest high, or it reads as an endless break. MISO is pulled up: with no TPM
    // fitted the bus reads 0xFF, which no TPM answers.
    a.pupdr()
        .modify(|_, w| w.pupdr3().pull_up().pupdr6().pull_up());
    // 50 MHz drivers for the SPI's clock and data; the slowest would round 5 MHz off (data sheet, table 60).
    a.ospeedr()
        .modify(|_, w| w.ospeedr5().high_speed().ospeedr7().high_speed());
    a.afrl().modify(|_, w| {
        // USART2 is function 7, SPI1 function 5.
        w.afrl2().af7().afrl3().af7();
        w.afrl5().af5().afrl6().af5().afrl7().af5()
    });
    a.moder().modify(|_, w| {
        w.moder2().alternate().moder3().alternate();
        w.moder5()
            .alternate()
            .moder6()
            .alternate()
            .moder7()
            .alternate()
    });
    TpmChipSelect(b)
}
