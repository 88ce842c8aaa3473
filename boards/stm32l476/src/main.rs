//! The Assay agent on ST's NUCLEO-L476RG with a TPM on the Arduino header: clocks, pins, and the agent's run loop.

#![no_std]
#![no_main]

mod clock;
mod flash;
#[cfg(feature = "defmt")]
mod log;
mod noise;
mod panic;
mod pins;
#[cfg(feature = "console")]
mod protect;
#[cfg(any(feature = "console", feature = "defmt"))]
mod protection;
mod serial;
mod spi;
mod watchdog;

#[cfg(not(feature = "console"))]
use assay_board_support::boots::Counting;
use assay_board_support::byte_spi::ByteBus;
use assay_board_support::cortex_m::systick;
#[cfg(feature = "console")]
use assay_board_support::desk::Desk;
#[cfg(not(feature = "console"))]
use assay_board_support::image::region as image_region;
use assay_board_support::line::Line;
#[cfg(not(feature = "console"))]
use assay_board_support::provisioning;
use assay_firmware::bus::SpiTis;
#[cfg(feature = "console")]
use assay_firmware::console::Console;
#[cfg(not(feature = "console"))]
use assay_firmware::evidence::tpm::TpmEvidence;
#[cfg(not(feature = "console"))]
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_firmware::platform::BoardInfo;
#[cfg(all(feature = "defmt", not(feature = "console")))]
use assay_firmware::platform::WriteProtection;
#[cfg(not(feature = "console"))]
use assay_firmware::run::{Node, Timing};
#[cfg(not(feature = "console"))]
use assay_firmware::tis::Tis;
use cortex_m_rt::entry;
use stm32l4::stm32l4x6 as pac;

use crate::clock::CORE_HZ;
#[cfg(feature = "console")]
use crate::flash::Pages;
use crate::pins::TpmChipSelect;
use crate::serial::LinkUsart;
use crate::spi::TpmSpi;
use crate::watchdog::Independent;

const BOARD: BoardInfo = BoardInfo {
    name: "stm32l476",
    version: env!("CARGO_PKG_VERSION"),
};

/// Time on this board.
type Timer = systick::Timer<CORE_HZ, Independent>;
/// How the record is written, for a technician.
#[cfg(feature = "console")]
const HOW_TO_FLASH: &str =
    "probe-rs download --chip STM32L476RGTx --binary-format bin --base-address 0x080FC000 node.bin";

/// The link.
type Link = Line<LinkUsart, Timer>;
/// The TPM's registers.
type Registers = SpiTis<ByteBus<TpmSpi>, TpmChipSelect>;
/// What the board is for: the agent over its parts.
#[cfg(not(feature = "console"))]
type Image = Node<'static, Counting<Timer>, Link, TpmEvidence<Tis<Registers, Timer>>>;
/// What the board is for while it is on a desk.
#[cfg(feature = "console")]
type Image = Console<Desk<Timer, Link, Registers, Pages>>;

#[entry]
fn main() -> ! {
    // First, so that an oscillator that does not start ends in a restart, too.
    watchdog::start();
    image().run()
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn image() -> Image {
    let (Some(core), Some(chip)) = (cortex_m::Peripherals::take(), pac::Peripherals::take()) else {
        unreachable!("this is the first call")
    };
    clock::start(&chip.RCC, &chip.FLASH);
    let chip_select = pins::connect(chip.GPIOA, chip.GPIOB);
    let timer = Timer::start(core.SYST);
    let link = Line::new(LinkUsart::start(chip.USART2), timer, &serial::RECEIVER);
    let Ok(bus) = SpiTis::new(ByteBus(TpmSpi::start(chip.SPI1)), chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    #[cfg(feature = "console")]
    return Console::new(
        Desk::new(timer, BOARD, HOW_TO_FLASH, flash::kept(chip.FLASH)).guarded(protect::GUARD),
        link,
        bus,
        timer,
    );
    #[cfg(not(feature = "console"))]
    {
        let platform = Counting::start(timer, flash::settings(chip.FLASH));
        #[cfg(feature = "defmt")]
        {
            defmt::info!("boot {}", platform.number());
            if protection::read().write == WriteProtection::Open {
                defmt::warn!("record not write-protected");
            }
        }
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
