//! Microchip (Atmel) ATTPM20.

use super::{ANY_DEVICE, Chip, Quirks};

pub(super) const NAME: &str = "Microchip ATTPM20";

pub(super) const CHIP: Chip = Chip {
    vendor: 0x1114,
    devices: ANY_DEVICE,
    quirks: Quirks {
        // Status reads in quick succession upset it; Linux leaves 15 ms between them.
        poll_min_us: 15_000,
        ..Quirks::COMMON
    },
};
