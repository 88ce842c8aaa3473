//! Nuvoton NPCT65x and NPCT75x: up to two wait bytes a frame.

use super::{Chip, Quirks};

pub(super) const NAME: &str = "Nuvoton NPCT7xx";

pub(super) const CHIP: Chip = Chip {
    vendor: 0x1050,
    devices: (0x00FC, 0x00FE),
    quirks: Quirks {
        // A requestUse right after the locality was given up is dropped (Linux, May 2026). The driver
        // keeps its locality, so this matters only when a boot loader hands the TPM over.
        settle_after_relinquish_us: 5_000,
        ..Quirks::COMMON
    },
};
