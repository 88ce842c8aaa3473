//! The Assay agent on QEMU's `virt` machine with its memory-mapped TPM.
//!
//! The same agent as on hardware, above a FIFO that is not ours: QEMU's `tpm-tis-device`.

#![no_std]
#![no_main]

mod panic;
mod serial;
mod start;
mod timer;
mod tpm;

use assay_board_support::provisioning;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::platform::BoardInfo;
use assay_firmware::run::{Node, Timing};
use assay_firmware::tis::Tis;

use crate::serial::Link;
use crate::timer::Timer;

const BOARD: BoardInfo = BoardInfo {
    name: "qemu-virt-aarch64",
    version: env!("CARGO_PKG_VERSION"),
};

/// Called by [`start`], once.
extern "C" fn main() -> ! {
    let timer = Timer::start();
    let link = Link::new(timer);
    let tpm = Tis::new(tpm::take(), timer);
    let source = TpmEvidence::new(tpm);
    Node::new(
        timer,
        link,
        source,
        provisioning::region(),
        BOARD,
        Timing::default(),
    )
    .run()
}
