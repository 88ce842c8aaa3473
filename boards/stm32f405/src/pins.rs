//! Which pins, peripherals and crystal a board has: the only module that differs between them.
//!
//! README.md has the wiring tables. Every variant has a TPM on one SPI with a chip select that is
//! an ordinary output (the SPI's own NSS cannot be held low over the wait states of a TPM frame),
//! and the link on one USART.

use stm32f4xx_hal::gpio::{Output, Pin, PinState, PushPull, Speed};
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::{Config, Rcc};
use stm32f4xx_hal::spi::{Mode, Phase, Polarity, Spi};

#[cfg(any(
    all(feature = "olimex-h405", feature = "feather"),
    all(feature = "olimex-h405", feature = "netduino-plus-2"),
    all(feature = "feather", feature = "netduino-plus-2"),
))]
compile_error!("features `olimex-h405`, `feather` and `netduino-plus-2` exclude each other");

/// SPI mode 0, as the TPM requires ([PTP 1.05] 6.4.6).
const TPM_MODE: Mode = Mode {
    polarity: Polarity::IdleLow,
    phase: Phase::CaptureOnFirstTransition,
};

/// Asked of the HAL in Hz. Its divider search rounds up to the next clock that is FASTER than
/// asked for 10 MHz (84 MHz / 8 = 10.5 MHz); asking for 7 MHz gives 84 / 16 = 5.25 MHz on SPI1 and
/// 42 / 8 = 5.25 MHz on SPI2, below the 10 MHz that every TPM and a hand-made cable stand.
const TPM_CLOCK_HZ: u32 = 7_000_000;

/// Frequency of the crystal, or `None` for the internal oscillator.
///
/// The internal one is within 1 % at 25 °C but 4 % from -10 to 85 °C (STM32F405 data sheet,
/// table 42), too much for a UART: a node outside a room needs the variant of its board.
const CRYSTAL_MHZ: Option<u32> = if cfg!(feature = "olimex-h405") {
    Some(8)
} else if cfg!(feature = "feather") {
    Some(12)
} else if cfg!(feature = "netduino-plus-2") {
    Some(25)
} else {
    None
};

fn clocks(rcc: pac::RCC) -> Rcc {
    let source = match CRYSTAL_MHZ {
        Some(mhz) => Config::hse(mhz.MHz()),
        None => Config::hsi(),
    };
    // The fastest the chip goes, and what QEMU's model of it assumes.
    rcc.freeze(source.sysclk(168.MHz()).pclk1(42.MHz()).pclk2(84.MHz()))
}

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
    /// The clock tree: 168 MHz core, 42 MHz APB1, 84 MHz APB2.
    pub(crate) rcc: Rcc,
    /// SPI to the TPM, mode 0, 5.25 MHz.
    pub(crate) spi: Spi<TpmSpi>,
    /// Chip select, high (inactive).
    pub(crate) chip_select: TpmChipSelect,
    /// The USART of the link, not yet on; its pins are in their alternate function.
    pub(crate) usart: LinkUsart,
}

/// Starts the clocks and configures the pins. The chip select is high before the SPI starts.
pub(crate) fn take(chip: pac::Peripherals) -> Board {
    let mut rcc = clocks(chip.RCC);
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
    let (spi, chip_select, lines) = (
        chip.SPI1,
        a.pa4.into_push_pull_output_in_state(PinState::High),
        (
            Some(a.pa5.into_alternate().speed(Speed::High)),
            Some(a.pa6.into_alternate().internal_pull_up(true)),
            Some(a.pa7.into_alternate().speed(Speed::High)),
        ),
    );
    #[cfg(feature = "netduino-plus-2")]
    let (spi, chip_select, lines) = (
        chip.SPI2,
        b.pb10.into_push_pull_output_in_state(PinState::High),
        (
            Some(b.pb13.into_alternate().speed(Speed::High)),
            Some(b.pb14.into_alternate().internal_pull_up(true)),
            Some(b.pb15.into_alternate().speed(Speed::High)),
        ),
    );
    let spi = Spi::new(spi, lines, TPM_MODE, TPM_CLOCK_HZ.Hz(), &mut rcc);

    #[cfg(feature = "defmt")]
    crate::log::start(chip.USART6, chip.GPIOC, &mut rcc);

    Board {
        rcc,
        spi,
        chip_select,
        usart,
    }
}
