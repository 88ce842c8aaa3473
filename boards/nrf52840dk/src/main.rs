//! The Assay agent on Nordic's nRF52840-DK with a TPM on the Arduino header: clocks, pins, and the agent's run loop.

#![no_std]
#![no_main]

mod flash;
#[cfg(feature = "defmt")]
mod log;
mod panic;
mod pins;
mod serial;
mod spi;
mod time;
mod watchdog;

use assay_board_support::byte_spi::ByteBus;
use assay_board_support::line::Line;
use assay_board_support::provisioning;
use assay_board_support::timer::Timer;
use assay_firmware::bus::SpiTis;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::platform::BoardInfo;
use assay_firmware::run::{Node, Timing};
use assay_firmware::tis::Tis;
use cortex_m_rt::entry;

use crate::pins::TpmChipSelect;
use crate::serial::LinkUart;
use crate::spi::TpmSpi;
use crate::time::Micros;

/// The core, Hz. It is not to choose: the chip makes it of whichever oscillator runs.
pub(crate) const CORE_HZ: u32 = 64_000_000;

const BOARD: BoardInfo = BoardInfo {
    name: "nrf52840dk",
    version: env!("CARGO_PKG_VERSION"),
};

/// The agent over this board's parts.
type Agent = Node<
    'static,
    Timer<Micros>,
    Line<LinkUart, Timer<Micros>>,
    TpmEvidence<Tis<SpiTis<ByteBus<TpmSpi>, TpmChipSelect>, Timer<Micros>>>,
>;

#[entry]
fn main() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    agent().run()
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn agent() -> Agent {
    flash::protect_provisioning();
    let timer = Timer(Micros::start());
    let chip_select = pins::connect();
    let link = Line::new(LinkUart::start(), timer, &serial::RECEIVER);
    let Ok(bus) = SpiTis::new(ByteBus(TpmSpi::start()), chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    let source = TpmEvidence::new(Tis::new(bus, timer));
    let record = provisioning::region();
    Node::new(timer, link, source, record, BOARD, Timing::default())
}
