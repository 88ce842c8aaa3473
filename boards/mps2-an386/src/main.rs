//! The Assay agent on QEMU's `mps2-an386`, with a TPM on an SPI bus that a bridge carries to the host.
//!
//! Emulator only. README.md says why it exists.

#![no_std]
#![no_main]

mod bridge;
mod panic;
mod semihosting;
mod serial;

use assay_board_support::cortex_m::systick;
use assay_board_support::{image, provisioning};
use assay_firmware::bus::SpiTis;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_firmware::platform::BoardInfo;
use assay_firmware::run::{Node, Timing};
use assay_firmware::tis::Tis;
use cortex_m_rt::entry;

use crate::bridge::{TpmBus, TpmChipSelect};
use crate::serial::Link;

/// Core, SysTick and UARTs, Hz: QEMU's model of the board has one clock.
const CORE_HZ: u32 = 25_000_000;

const BOARD: BoardInfo = BoardInfo {
    name: "mps2-an386",
    version: env!("CARGO_PKG_VERSION"),
};

/// Time on this machine. It has a watchdog, which is not started: whoever runs it has a deadline.
pub(crate) type Timer = systick::Timer<CORE_HZ, ()>;
/// The agent over this board's parts.
type Agent = Node<'static, Timer, Link, TpmEvidence<Tis<SpiTis<TpmBus, TpmChipSelect>, Timer>>>;

#[entry]
fn main() -> ! {
    agent().run()
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn agent() -> Agent {
    let Some(core) = cortex_m::Peripherals::take() else {
        unreachable!("this is the first call")
    };
    let timer = Timer::start(core.SYST);
    let link = Link::new(timer);
    let (bus, chip_select) = bridge::open();
    let Ok(bus) = SpiTis::new(bus, chip_select) else {
        unreachable!("a chip select that is bridged cannot fail")
    };
    let image = Measurable {
        name: BOARD.name,
        version: BOARD.version,
        bytes: image::region(),
    };
    // No memory of this machine outlives it, so nothing counts its boots.
    let boot = MeasuredBoot::new(image, None);
    let source = TpmEvidence::new(Tis::new(bus, timer)).measuring(boot);
    let record = provisioning::region();
    Node::new(timer, link, source, record, BOARD, Timing::default())
}
