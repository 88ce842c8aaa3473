//! The Assay agent on Nordic's nRF52840-DK with a TPM on the Arduino header: clocks, pins, and the agent's run loop.

#![no_std]
#![no_main]

mod access;
#[cfg(not(feature = "console"))]
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

#[cfg(not(feature = "console"))]
use assay_board_support::boots::Counting;
use assay_board_support::byte_spi::ByteBus;
#[cfg(feature = "console")]
use assay_board_support::desk::Desk;
#[cfg(not(feature = "console"))]
use assay_board_support::image::region as image_region;
use assay_board_support::line::Line;
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
use cortex_m_rt::entry;

#[cfg(all(feature = "secure-bus", not(feature = "console")))]
use crate::key::BoardKey;
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

/// How the record is written, for a technician.
#[cfg(feature = "console")]
const HOW_TO_FLASH: &str =
    "probe-rs download --chip nRF52840_xxAA --binary-format bin --base-address 0x000FC000 node.bin";

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
type Image = Console<Desk<Timer<Micros>, Link, Registers>>;

#[entry]
fn main() -> ! {
    // First, so that a crystal that does not start ends in a restart, too.
    watchdog::start();
    access::protect_provisioning();
    let timer = Timer(Micros::start());
    let kept = Kept::take(timer);
    image(timer, kept).run()
}

/// What the board keeps in its flash; of which a bring-up image has nothing.
struct Kept {
    #[cfg(not(feature = "console"))]
    platform: Counting<Timer<Micros>>,
    #[cfg(all(feature = "secure-bus", not(feature = "console")))]
    key: BoardKey,
}

impl Kept {
    /// Before the link is up: a flash that is erased stops the processor, and bytes would be lost; and the key's page is closed
    /// before anything comes in. Not inlined, and apart from [`image`], whose frame is the largest there is.
    #[inline(never)]
    #[cfg_attr(
        feature = "console",
        expect(unused_variables, reason = "nothing is kept")
    )]
    fn take(timer: Timer<Micros>) -> Self {
        Self {
            #[cfg(not(feature = "console"))]
            platform: Counting::start(timer, flash::settings()),
            #[cfg(all(feature = "secure-bus", not(feature = "console")))]
            key: BoardKey::take(timer),
        }
    }
}

/// Brings the board up. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
#[cfg_attr(
    feature = "console",
    expect(unused_variables, reason = "nothing is kept")
)]
fn image(timer: Timer<Micros>, kept: Kept) -> Image {
    let chip_select = pins::connect();
    let link = Line::new(LinkUart::start(), timer, &serial::RECEIVER);
    let Ok(bus) = SpiTis::new(ByteBus(TpmSpi::start()), chip_select) else {
        unreachable!("an output pin of this chip cannot fail")
    };
    let record = provisioning::region();
    #[cfg(feature = "console")]
    return Console::new(
        Desk::new(timer, BOARD, record, HOW_TO_FLASH),
        link,
        bus,
        timer,
    );
    #[cfg(not(feature = "console"))]
    {
        let image = Measurable {
            name: BOARD.name,
            version: BOARD.version,
            bytes: image_region(),
        };
        #[cfg(feature = "defmt")]
        defmt::info!("boot {}", kept.platform.number());
        let boot = MeasuredBoot::new(image, kept.platform.number());
        let source = TpmEvidence::new(Tis::new(bus, timer)).measuring(boot);
        #[cfg(feature = "secure-bus")]
        let source = match cortex_m::singleton!(: BoardKey = kept.key) {
            Some(key) => source.signing_with(key),
            None => unreachable!("this is the first call"),
        };
        Node::new(
            kept.platform,
            link,
            source,
            record,
            BOARD,
            Timing::default(),
        )
    }
}
