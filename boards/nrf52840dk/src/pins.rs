//! Which pins the board uses. README.md has the wiring tables.
//!
//! Chip select is an ordinary output: it must stay low over the wait states of a TPM frame.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use nrf_pac::gpio::Gpio;
use nrf_pac::gpio::vals::{Dir, Drive, Input, Pull};
use nrf_pac::shared::regs::Psel;
use nrf_pac::{P0, P1};

/// A pin by its port and number there.
#[derive(Clone, Copy)]
pub(crate) struct Pin {
    port: u8,
    number: u8,
}

/// The link, wired to the debug probe's serial port on the DK.
pub(crate) const LINK_TX: Pin = Pin::new(0, 6);
pub(crate) const LINK_RX: Pin = Pin::new(0, 8);
/// The TPM, on D10 to D13 of the Arduino header.
const TPM_CS: Pin = Pin::new(1, 12);
pub(crate) const TPM_MOSI: Pin = Pin::new(1, 13);
pub(crate) const TPM_MISO: Pin = Pin::new(1, 14);
pub(crate) const TPM_SCK: Pin = Pin::new(1, 15);
/// The input of an outside supervisor's watchdog, if there is one: D9.
const SUPERVISOR: Pin = Pin::new(1, 11);

impl Pin {
    const fn new(port: u8, number: u8) -> Self {
        Self { port, number }
    }

    const fn gpio(self) -> Gpio {
        if self.port == 0 { P0 } else { P1 }
    }

    /// What a peripheral's pin select takes.
    pub(crate) fn select(self) -> Psel {
        let mut select = Psel(0);
        select.set_port(self.port != 0);
        select.set_pin(self.number);
        select
    }

    fn drive(self, high: bool) {
        // The set and clear registers change the pins of the mask and no other, in one store.
        let number = usize::from(self.number);
        if high {
            self.gpio().outset().write(|w| w.set_pin(number, true));
        } else {
            self.gpio().outclr().write(|w| w.set_pin(number, true));
        }
    }

    fn output(self, high: bool) {
        self.drive(high);
        self.gpio().pin_cnf(usize::from(self.number)).write(|w| {
            w.set_dir(Dir::Output);
            w.set_input(Input::Disconnect);
            // Wires of a decimetre want the stronger of the two drives at 4 MHz (data sheet 6.9).
            w.set_drive(Drive::H0h1);
        });
    }

    fn input(self, pull: Pull) {
        self.gpio()
            .pin_cnf(usize::from(self.number))
            .write(|w| w.set_pull(pull));
    }
}

/// Chip select of the TPM.
pub(crate) struct TpmChipSelect(());

impl ErrorType for TpmChipSelect {
    type Error = Infallible;
}

impl OutputPin for TpmChipSelect {
    fn set_low(&mut self) -> Result<(), Infallible> {
        TPM_CS.drive(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        TPM_CS.drive(true);
        Ok(())
    }
}

/// An edge for the supervisor.
pub(crate) fn tell_supervisor() {
    let low = SUPERVISOR.gpio().out().read().0 & 1 << SUPERVISOR.number == 0;
    SUPERVISOR.drive(low);
}

/// Connects the pins. Chip select is high before it is an output, and before the SPI starts.
pub(crate) fn connect() -> TpmChipSelect {
    TPM_CS.output(true);
    SUPERVISOR.output(true);
    // What the SPI and the UART do not drive, before they start and between frames, has these levels: the clock rests low.
    TPM_SCK.output(false);
    TPM_MOSI.output(false);
    LINK_TX.output(true);
    // MISO is pulled up: with no TPM fitted the bus reads 0xFF, which no TPM answers.
    TPM_MISO.input(Pull::Pullup);
    // A receive line that nothing drives must rest high, or it reads as an endless break.
    LINK_RX.input(Pull::Pullup);
    TpmChipSelect(())
}
