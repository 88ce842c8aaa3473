//! ST ST33TPHF2X, ST33KTPM2X, ST33GTPMISPI: wait states on reads and on writes.

use super::{ANY_DEVICE, Chip, Quirks};

pub(super) const NAME: &str = "ST ST33";

pub(super) const CHIP: Chip = Chip {
    vendor: 0x104A,
    devices: ANY_DEVICE,
    quirks: Quirks {
        // wolfTPM holds these parts at 32 bytes a burst.
        max_burst: 32,
        ..Quirks::COMMON
    },
};
