//! Which pins, peripherals and crystal a board has: the only module that differs between them.
//!
//! README.md has the wiring tables. Every variant has a TPM on one SPI with a chip select that is
//! an ordinary output (the SPI's own NSS cannot be held low over the wait states of a TPM frame),
//! and the link on one USART.

use stm32f4xx_hal::gpio::{Output, Pin, PinState, PushPull, Speed};
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Rcc;

use crate::clock;

#[cfg(any(
    all(feature = "olimex-h405", feature = "feather"),
    all(feature = "olimex-h405", feature = "netduino-plus-2"),
    all(feature = "feather", feature = "netduino-plus-2"),
))]
compile_error!("features `olimex-h405`, `feather` and `netduino-plus-2` exclude each other");

/// The USART of the link.
#[cfg(not(feature = "feather"))]
pub(crate) type LinkUsart = pac::USART2;
/// The USART of the link: PA2 is not connected on the Feather, its TX and RX pins are USART3.
#[cfg(feature = "feather")]
pub(crate) type LinkUsart = pac::USART3;

/// The SPI of the TPM.
#[cfg(not(feature = "netduino-plus-2"))]
pub(crate) type TpmSpi = pac::SPI1;
/// The SPI of the TPM: PA5 and PA7 are not on the Netduino's headers, D11 to D13 are SPI2.
#[cfg(feature = "netduino-plus-2")]
pub(crate) type TpmSpi = pac::SPI2;

/// Chip select of the TPM.
#[cfg(not(feature = "netduino-plus-2"))]
pub(crate) type TpmChipSelect = Pin<'A', 4, Output<PushPull>>;
/// Chip select of the TPM: the header's D10.
#[cfg(feature = "netduino-plus-2")]
pub(crate) type TpmChipSelect = Pin<'B', 10, Output<PushPull>>;

/// What [`take`] hands out.
pub(crate) struct Board {
    /// Switches peripherals on. Knows no frequencies, see [`clock`].
    pub(crate) rcc: Rcc,
    /// SPI to the TPM, not yet on; its pins are in their alternate function.
    pub(crate) spi: TpmSpi,
    /// Chip select, high (inactive).
    pub(crate) chip_select: TpmChipSelect,
    /// The flash controller.
    pub(crate) flash: pac::FLASH,
    /// The USART of the link, not yet on; its pins are in their alternate function.
    pub(crate) usart: LinkUsart,
}

/// Starts the clocks and configures the pins. The chip select is high before the SPI starts.
pub(crate) fn take(chip: pac::Peripherals) -> Board {
    clock::start(&chip.RCC, &chip.FLASH);
    let mut rcc = chip.RCC.constrain();
    let a = chip.GPIOA.split(&mut rcc);
    #[cfg(any(feature = "feather", feature = "netduino-plus-2"))]
    let b = chip.GPIOB.split(&mut rcc);

    // A receive line that nothing drives must rest high, or it reads as an endless break.
    #[cfg(not(feature = "feather"))]
    let (usart, _, _) = (
        chip.USART2,
        a.pa2.into_alternate::<7>(),
        a.pa3.into_alternate::<7>().internal_pull_up(true),
    );
    #[cfg(feature = "feather")]
    let (usart, _, _) = (
        chip.USART3,
        b.pb10.into_alternate::<7>(),
        b.pb11.into_alternate::<7>().internal_pull_up(true),
    );

    // PB2 switches the supply of the Netduino's headers, and with it the TPM's.
    #[cfg(feature = "netduino-plus-2")]
    let _ = b.pb2.into_push_pull_output_in_state(PinState::High);

    // MISO is pulled up: with no TPM fitted the bus reads 0xFF, which no TPM answers.
    #[cfg(not(feature = "netduino-plus-2"))]
    let (spi, chip_select, _, _, _) = (
        chip.SPI1,
        a.pa4.into_push_pull_output_in_state(PinState::High),
        a.pa5.into_alternate::<5>().speed(Speed::High),
        a.pa6.into_alternate::<5>().internal_pull_up(true),
        a.pa7.into_alternate::<5>().speed(Speed::High),
    );
    #[cfg(feature = "netduino-plus-2")]
    let (spi, chip_select, _, _, _) = (
        chip.SPI2,
        b.pb10.into_push_pull_output_in_state(PinState::High),
        b.pb13.into_alternate::<5>().speed(Speed::High),
        b.pb14.into_alternate::<5>().internal_pull_up(true),
        b.pb15.into_alternate::<5>().speed(Speed::High),
    );

    #[cfg(feature = "defmt")]
    crate::log::start(chip.USART6, chip.GPIOC, &mut rcc);

    Board {
        rcc,
        flash: chip.FLASH,
        spi,
        chip_select,
        usart,
    }
}
