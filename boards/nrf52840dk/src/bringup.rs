//! The image for the desk (feature `console`): a technician's console over the board's parts, in the agent's place.

use assay_board_support::desk::Desk;
use assay_board_support::timer::Timer;
use assay_firmware::console::Console;

use crate::flash::{self, Pages};
use crate::time::Micros;
use crate::{BOARD, Link, Registers, access, parts};

/// How the record is written from outside.
const HOW_TO_FLASH: &str =
    "probe-rs download --chip nRF52840_xxAA --binary-format bin --base-address 0x000FC000 node.bin";

/// Starts the console. The record's pages stay open, for `provision`; the key's is closed, as by the agent, and not looked at.
pub(crate) fn run(timer: Timer<Micros>) -> ! {
    let is_closed = access::close_key_page();
    #[cfg(feature = "defmt")]
    if !is_closed {
        defmt::warn!("the key's page does not close");
    }
    #[cfg(not(feature = "defmt"))]
    let _ = is_closed;
    console(timer).run()
}

/// Not inlined, so that what only the start needs leaves the stack again.
#[inline(never)]
fn console(timer: Timer<Micros>) -> Console<Desk<Timer<Micros>, Link, Registers, Pages>> {
    let (link, bus) = parts(timer);
    let desk = Desk::new(timer, BOARD, HOW_TO_FLASH, flash::kept());
    Console::new(desk, link, bus, timer)
}
