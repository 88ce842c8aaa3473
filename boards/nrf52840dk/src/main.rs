//! The Assay agent on Nordic's nRF52840-DK with a TPM on the Arduino header: clocks, pins, and what is run on them.

#![no_std]
#![no_main]

mod access;
#[cfg(not(feature = "console"))]
mod agent;
#[cfg(feature = "console")]
mod bringup;
mod flash;
#[cfg(all(feature = "secure-bus", not(feature = "console")))]
mod key;
#[cfg(feature = "defmt")]
mod log;
mod noise;
mod panic;
mod pins;
mod serial;
mod spi;
mod time;
mod watchdog;

use assay_board_support::byte_spi::ByteBus;
use assay_board_support::line::Line;
use assay_board_support::timer::Timer;
use assay_firmware::bus::SpiTis;
use assay_firmware::platform::BoardInfo;
use cortex_m_rt::entry;

#[cfg(not(feature = "console"))]
use crate::agent::run;
#[cfg(feature = "console")]
use crate::bringup::run;
use crate::pins::TpmChipSelect;
use crate::serial::LinkUart;
use crate::spi::TpmSpi;
use crate::time::Micros;

/// The core, Hz. It is not to choose: the chip makes it of whichever oscillator runs.
pub(crate) const CORE_HZ: u32 = 64_000_000;

pub(crate) const BOARD: BoardInfo = BoardInfo {
    name: "nrf52840dk",
    version: env!("CARGO_PKG_VERSION"),
};

/// The link.
pub(crate) type Link = Line<LinkUart, Timer<Micros>>;
/// The TPM's registers.
pub(crate) type Registers = SpiTis<ByteBus<TpmSpi>, TpmChipSelect>;

#[entry]
fn main() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    run(Timer(Micros::start()))
}

/// The link and the TPM, once their pins are connected.
pub(crate) fn parts(timer: Timer<Micros>) -> (Link, Registers) {
    let chip_select = pins::connect();
    let link = Line::new(LinkUart::start(), timer, &serial::RECEIVER);
    let Ok(bus) = SpiTis::new(ByteBus(TpmSpi::start()), chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    (link, bus)
}
