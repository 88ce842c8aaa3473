//! The image for the field: the agent over the board's parts.

use assay_board_support::boots::Counting;
use assay_board_support::image::region;
use assay_board_support::provisioning;
use assay_board_support::timer::Timer;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_firmware::run::{Node, Timing};
use assay_firmware::tis::Tis;

#[cfg(feature = "secure-bus")]
use crate::key::BoardKey;
use crate::time::Micros;
use crate::{BOARD, Link, Registers, access, flash, parts};

/// The agent.
type Agent =
    Node<'static, Counting<Timer<Micros>>, Link, TpmEvidence<Tis<Registers, Timer<Micros>>>>;

/// Starts what the board keeps, and the agent over it.
pub(crate) fn run(timer: Timer<Micros>) -> ! {
    let record = access::close_record();
    let kept = Kept::take(timer);
    // Without sessions nobody asks for the key, and still nobody is to read it.
    #[cfg(not(feature = "secure-bus"))]
    let record = access::close_key_page() & record;
    let is_closed = access::close_image() & record;
    #[cfg(feature = "defmt")]
    if !is_closed {
        defmt::warn!("the flash is open to writes: the access control lists do not hold");
    }
    #[cfg(not(feature = "defmt"))]
    let _ = is_closed;
    agent(timer, kept).run()
}

/// What the board keeps in its flash.
struct Kept {
    platform: Counting<Timer<Micros>>,
    #[cfg(feature = "secure-bus")]
    key: BoardKey,
}

impl Kept {
    /// Before the link is up: a flash that is erased stops the processor, and bytes would be lost; and the key's page is closed
    /// before anything comes in. Not inlined, and apart from [`agent`], whose frame is the largest there is.
    #[inline(never)]
    fn take(timer: Timer<Micros>) -> Self {
        Self {
            platform: Counting::start(timer, flash::settings()),
            #[cfg(feature = "secure-bus")]
            key: BoardKey::take(timer),
        }
    }
}

/// Puts the agent together. Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn agent(timer: Timer<Micros>, kept: Kept) -> Agent {
    let (link, bus) = parts(timer);
    let image = Measurable {
        name: BOARD.name,
        version: BOARD.version,
        bytes: region(),
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
    let record = provisioning::region();
    Node::new(
        kept.platform,
        link,
        source,
        record,
        BOARD,
        Timing::default(),
    )
}
