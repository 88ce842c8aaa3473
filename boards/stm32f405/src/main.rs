//! The Assay agent on an STM32F405 with a TPM on SPI: clocks, pins, and the agent's run loop.
//!
//! Without features this image runs, unmodified, in QEMU's `netduinoplus2` as well.

#![no_std]
#![no_main]

mod clock;
mod flash;
#[cfg(feature = "defmt")]
mod log;
mod noise;
mod panic;
mod pins;
#[cfg(feature = "defmt")]
mod protection;
mod serial;
mod spi;
mod watchdog;

use assay_board_support::boots::Counting;
use assay_board_support::cortex_m::systick;
use assay_board_support::{image, provisioning};
use assay_firmware::bus::SpiTis;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_firmware::platform::BoardInfo;
#[cfg(feature = "defmt")]
use assay_firmware::platform::WriteProtection;
use assay_firmware::run::{Node, Timing};
use assay_firmware::tis::Tis;
use cortex_m_rt::entry;
use stm32f4xx_hal::pac;

use crate::clock::CORE_HZ;
use crate::pins::TpmChipSelect;
use crate::serial::Link;
use crate::spi::TpmBus;
use crate::watchdog::Independent;

const BOARD: BoardInfo = BoardInfo {
    name: "stm32f405",
    version: env!("CARGO_PKG_VERSION"),
};

/// Time on this board.
pub(crate) type Timer = systick::Timer<CORE_HZ, Independent>;
/// The agent over this board's parts.
type Agent =
    Node<'static, Counting<Timer>, Link, TpmEvidence<Tis<SpiTis<TpmBus, TpmChipSelect>, Timer>>>;

#[entry]
fn main() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    agent().run()
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn agent() -> Agent {
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), pac::Peripherals::take()) else {
        unreachable!("this is the first call")
    };
    let mut board = pins::take(chip);
    let timer = Timer::start(core.SYST);
    let platform = Counting::start(timer, flash::settings(board.flash));
    #[cfg(feature = "defmt")]
    {
        defmt::info!("boot {}", platform.number());
        if protection::read().write == WriteProtection::Open {
            defmt::warn!("record not write-protected");
        }
    }
    let link = Link::new(board.usart, timer, &mut board.rcc);
    let Ok(bus) = SpiTis::new(TpmBus::new(board.spi, &mut board.rcc), board.chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    let image = Measurable {
        name: BOARD.name,
        version: BOARD.version,
        bytes: image::region(),
    };
    let boot = MeasuredBoot::new(image, platform.number());
    let source = TpmEvidence::new(Tis::new(bus, timer)).measuring(boot);
    let record = provisioning::region();
    Node::new(platform, link, source, record, BOARD, Timing::default())
}
