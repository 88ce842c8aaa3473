//! Which pins the board uses. README.md has the wiring tables.
//!
//! Chip select is an ordinary output: the SPI's own rises after every byte in the mode that a TPM needs.

#![expect(
    unsafe_code,
    reason = "pins are set and cleared by writing masks to the single-cycle IO"
)]

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use rp235x_pac::{IO_BANK0, PADS_BANK0, RESETS, SIO};

/// The link.
const LINK_TX: usize = 0;
const LINK_RX: usize = 1;
/// The input of an outside supervisor's watchdog, if there is one.
const SUPERVISOR: usize = 15;
/// The TPM, by its names: MISO is the SPI's RX, MOSI its TX.
const TPM_MISO: usize = 16;
const TPM_CS: usize = 17;
const TPM_SCK: usize = 18;
const TPM_MOSI: usize = 19;

/// Functions of a pin (data sheet 9.4).
const SPI: u8 = 1;
const UART: u8 = 2;
const IO: u8 = 5;

/// Chip select of the TPM.
pub(crate) struct TpmChipSelect(());

impl ErrorType for TpmChipSelect {
    type Error = Infallible;
}

impl OutputPin for TpmChipSelect {
    fn set_low(&mut self) -> Result<(), Infallible> {
        drive(TPM_CS, false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        drive(TPM_CS, true);
        Ok(())
    }
}

fn drive(pin: usize, high: bool) {
    // SAFETY: the set and clear registers change the pins of the mask and no other, in one store.
    let sio = unsafe { &*SIO::ptr() };
    if high {
        // SAFETY: any mask is valid.
        sio.gpio_out_set().write(|w| unsafe { w.bits(1 << pin) });
    } else {
        // SAFETY: as above.
        sio.gpio_out_clr().write(|w| unsafe { w.bits(1 << pin) });
    }
}

/// An edge for the supervisor.
pub(crate) fn tell_supervisor() {
    // SAFETY: the register changes the pins of the mask and no other, in one store; any mask is valid.
    unsafe {
        (*SIO::ptr())
            .gpio_out_xor()
            .write(|w| w.bits(1 << SUPERVISOR))
    };
}

/// Connects the pins. Chip select is high before it is an output, and before the SPI starts.
pub(crate) fn connect() -> TpmChipSelect {
    // SAFETY: called once, before anything else uses the pins.
    let (resets, sio) = unsafe { (&*RESETS::ptr(), &*SIO::ptr()) };
    resets
        .reset()
        .modify(|_, w| w.io_bank0().clear_bit().pads_bank0().clear_bit());
    loop {
        let done = resets.reset_done().read();
        if done.io_bank0().bit_is_set() && done.pads_bank0().bit_is_set() {
            break;
        }
    }
    for pin in [TPM_CS, SUPERVISOR] {
        drive(pin, true);
        // SAFETY: any mask is valid.
        sio.gpio_oe_set().write(|w| unsafe { w.bits(1 << pin) });
        function(pin, IO, Pull::None);
    }
    // MISO is pulled up: with no TPM fitted the bus reads 0xFF, which no TPM answers.
    function(TPM_MISO, SPI, Pull::Up);
    function(TPM_SCK, SPI, Pull::None);
    function(TPM_MOSI, SPI, Pull::None);
    function(LINK_TX, UART, Pull::None);
    // A receive line that nothing drives must rest high, or it reads as an endless break.
    function(LINK_RX, UART, Pull::Up);
    TpmChipSelect(())
}

enum Pull {
    None,
    Up,
}

fn function(pin: usize, function: u8, pull: Pull) {
    // SAFETY: called by `connect` alone.
    let (io, pads) = unsafe { (&*IO_BANK0::ptr(), &*PADS_BANK0::ptr()) };
    // SAFETY: the callers' functions are those of the data sheet's table.
    io.gpio(pin)
        .gpio_ctrl()
        .write(|w| unsafe { w.funcsel().bits(function) });
    // Last, since it ends the pad's isolation, in which it holds what it had at reset (data sheet 9.7).
    pads.gpio(pin).write(|w| {
        w.ie().set_bit();
        w.pde().clear_bit();
        w.pue().bit(matches!(pull, Pull::Up));
        w.iso().clear_bit()
    });
}
