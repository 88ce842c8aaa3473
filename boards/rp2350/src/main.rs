//! The Assay agent on an RP2350 with a TPM on SPI0: clocks, pins, and the agent's run loop.
//!
//! The chip has two kinds of cores, and the boot ROM starts the kind that the image is for. This is the source for both:
//! the package `assay-board-rp2350` builds it for the Cortex-M33, `assay-board-rp2350-riscv` for the Hazard3. What
//! differs is in [`arch`].

#![no_std]
#![no_main]

#[cfg(target_arch = "arm")]
#[path = "arch/cortex_m33.rs"]
mod arch;
#[cfg(target_arch = "riscv32")]
#[path = "arch/hazard3.rs"]
mod arch;
mod boot;
mod clock;
#[cfg(feature = "defmt")]
mod log;
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

use crate::pins::TpmChipSelect;
use crate::serial::LinkUart;
use crate::spi::TpmSpi;
use crate::time::Micros;

const BOARD: BoardInfo = BoardInfo {
    name: arch::BOARD,
    version: env!("CARGO_PKG_VERSION"),
};

/// The agent over this board's parts.
type Agent = Node<
    'static,
    Timer<Micros>,
    Line<LinkUart, Timer<Micros>>,
    TpmEvidence<Tis<SpiTis<ByteBus<TpmSpi>, TpmChipSelect>, Timer<Micros>>>,
>;

/// Called once, by the reset.
fn run() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    agent().run()
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn agent() -> Agent {
    clock::start();
    let chip_select = pins::connect();
    let timer = Timer(Micros::start());
    let link = Line::new(LinkUart::start(), timer, &serial::RECEIVER);
    let Ok(bus) = SpiTis::new(ByteBus(TpmSpi::start()), chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    let source = TpmEvidence::new(Tis::new(bus, timer));
    let record = provisioning::region();
    Node::new(timer, link, source, record, BOARD, Timing::default())
}
