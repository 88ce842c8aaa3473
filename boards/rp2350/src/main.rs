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
mod flash;
#[cfg(feature = "defmt")]
mod log;
mod noise;
mod pins;
mod rom;
mod serial;
mod spi;
mod time;
mod watchdog;

#[cfg(not(feature = "console"))]
use assay_board_support::boots::Counting;
use assay_board_support::byte_spi::ByteBus;
#[cfg(feature = "console")]
use assay_board_support::desk::{Desk, Guard};
#[cfg(not(feature = "console"))]
use assay_board_support::image::region as image_region;
use assay_board_support::line::Line;
#[cfg(feature = "console")]
use assay_board_support::paged_flash::PagedFlash;
#[cfg(not(feature = "console"))]
use assay_board_support::provisioning;
use assay_board_support::timer::Timer;
use assay_firmware::bus::SpiTis;
#[cfg(feature = "console")]
use assay_firmware::console::Console;
#[cfg(not(feature = "console"))]
use assay_firmware::evidence::tpm::TpmEvidence;
#[cfg(not(feature = "console"))]
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_firmware::platform::BoardInfo;
#[cfg(not(feature = "console"))]
use assay_firmware::run::{Node, Timing};
#[cfg(not(feature = "console"))]
use assay_firmware::tis::Tis;

#[cfg(feature = "console")]
use crate::flash::Quad;
use crate::pins::TpmChipSelect;
use crate::serial::LinkUart;
use crate::spi::TpmSpi;
use crate::time::Micros;

const BOARD: BoardInfo = BoardInfo {
    name: arch::BOARD,
    version: env!("CARGO_PKG_VERSION"),
};

/// How the record is written, for a technician.
#[cfg(feature = "console")]
const HOW_TO_FLASH: &str = "picotool load -t bin -o 0x103F0000 node.bin";

/// The link.
type Link = Line<LinkUart, Timer<Micros>>;
/// The TPM's registers.
type Registers = SpiTis<ByteBus<TpmSpi>, TpmChipSelect>;
/// What the board is for: the agent over its parts.
#[cfg(not(feature = "console"))]
type Image =
    Node<'static, Counting<Timer<Micros>>, Link, TpmEvidence<Tis<Registers, Timer<Micros>>>>;
/// What the board is for while it is on a desk.
#[cfg(feature = "console")]
type Image = Console<Desk<Timer<Micros>, Link, Registers, PagedFlash<Quad>>>;

/// Called once, by the reset.
fn run() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    image().run()
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn image() -> Image {
    clock::start();
    let chip_select = pins::connect();
    let timer = Timer(Micros::start());
    // Before the link listens: a core that changes its flash hears nothing.
    #[cfg(not(feature = "console"))]
    let platform = Counting::start(timer, flash::settings());
    let link = Line::new(LinkUart::start(), timer, &serial::RECEIVER);
    let Ok(bus) = SpiTis::new(ByteBus(TpmSpi::start()), chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    #[cfg(feature = "console")]
    return Console::new(
        // Nothing on the chip keeps code from writing the flash beside it.
        Desk::new(timer, BOARD, HOW_TO_FLASH, flash::kept()).guarded(Guard::NONE),
        link,
        bus,
        timer,
    );
    #[cfg(not(feature = "console"))]
    {
        #[cfg(feature = "defmt")]
        defmt::info!("boot {}", platform.number());
        let image = Measurable {
            name: BOARD.name,
            version: BOARD.version,
            bytes: image_region(),
        };
        let boot = MeasuredBoot::new(image, platform.number());
        let source = TpmEvidence::new(Tis::new(bus, timer)).measuring(boot);
        let record = provisioning::region();
        Node::new(platform, link, source, record, BOARD, Timing::default())
    }
}
